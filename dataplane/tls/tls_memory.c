#include "tls/tls_memory.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// jemalloc's own calls; absent where a sanitizer's allocator stands in its place.
__attribute__((weak)) int mallctl(
	const char *name, void *old, size_t *old_octets, void *new, size_t new_octets);

struct piece {
	struct tls_account *account; // NULL: nobody's
	uint32_t octets, generation;
};

_Static_assert(sizeof(struct piece) == 16, "what follows must be aligned for anything");

static _Thread_local struct tls_account *payer;
static _Atomic uint64_t shared, refusals;

static bool pay(struct tls_account *account, uint32_t octets)
{
	if (account == NULL) {
		atomic_fetch_add_explicit(&shared, octets, memory_order_relaxed);
		return true;
	}
	if (atomic_fetch_add_explicit(&account->used, octets, memory_order_relaxed) + octets <=
		account->limit)
		return true;
	atomic_fetch_sub_explicit(&account->used, octets, memory_order_relaxed);
	atomic_fetch_add_explicit(&refusals, 1, memory_order_relaxed);
	return false;
}

static void pay_back(const struct piece *p)
{
	if (p->account == NULL)
		atomic_fetch_sub_explicit(&shared, p->octets, memory_order_relaxed);
	else if (p->account->generation == p->generation)
		atomic_fetch_sub_explicit(&p->account->used, p->octets, memory_order_relaxed);
}

static void *take(size_t octets, const char *file, int line)
{
	struct piece *p;

	(void)file;
	(void)line;
	if (octets == 0 || octets > UINT32_MAX - sizeof(*p) || !pay(payer, (uint32_t)octets))
		return NULL;
	p = malloc(sizeof(*p) + octets);
	if (p == NULL) {
		pay_back(&(struct piece){
			payer, (uint32_t)octets, payer != NULL ? payer->generation : 0});
		return NULL;
	}
	*p = (struct piece){payer, (uint32_t)octets, payer != NULL ? payer->generation : 0};
	return p + 1;
}

static void give(void *at, const char *file, int line)
{
	struct piece *p = at;

	(void)file;
	(void)line;
	if (p == NULL)
		return;
	pay_back(p - 1);
	free(p - 1);
}

static void *change(void *at, size_t octets, const char *file, int line)
{
	struct piece *p = at;
	void *other;

	if (p == NULL)
		return take(octets, file, line);
	if (octets == 0) {
		give(at, file, line);
		return NULL;
	}
	other = take(octets, file, line);
	if (other == NULL)
		return NULL;
	memcpy(other, at, octets < p[-1].octets ? octets : p[-1].octets);
	give(at, file, line);
	return other;
}

bool tls_memory_start(void)
{
	static bool started;

	if (!started)
		started = CRYPTO_set_mem_functions(take, change, give) == 1;
	return started;
}

void tls_memory_own_arena(void)
{
	unsigned arena;
	size_t octets = sizeof(arena);

	if (mallctl != NULL && mallctl("arenas.create", &arena, &octets, NULL, 0) == 0)
		(void)mallctl("thread.arena", NULL, NULL, &arena, sizeof(arena));
}

void tls_memory_open(struct tls_account *account, uint32_t limit_octets)
{
	account->generation++;
	account->limit = limit_octets;
	atomic_store_explicit(&account->used, 0, memory_order_relaxed);
}

void tls_memory_charge(struct tls_account *account)
{
	payer = account;
}

uint64_t tls_memory_shared_octets(void)
{
	return atomic_load_explicit(&shared, memory_order_relaxed);
}

uint64_t tls_memory_refusals(void)
{
	return atomic_load_explicit(&refusals, memory_order_relaxed);
}
