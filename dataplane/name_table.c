#include "dataplane/name_table.h"

#include <assert.h>
#include <string.h>

#define NOBODY UINT32_MAX

struct waiter {
	uint32_t conn, generation, next;
};

// Entries that are not asked are in a list from the one used last to the one used first.
struct name_table {
	struct siphash_key key;
	uint32_t count, used, mask, newest, oldest, free_waiter;
	uint32_t *buckets;
	struct waiter *waiters;
	struct name_entry entries[];
};

static uint32_t buckets_for(uint32_t entries)
{
	uint32_t buckets = 1;

	while (buckets < entries)
		buckets *= 2;
	return buckets;
}

size_t name_table_octets(uint32_t entries, uint32_t waiters)
{
	return sizeof(struct name_table) + entries * sizeof(struct name_entry) +
	       waiters * sizeof(struct waiter) + buckets_for(entries) * sizeof(uint32_t);
}

struct name_table *name_table_init(
	void *memory, uint32_t entries, uint32_t waiters, const struct siphash_key *key)
{
	struct name_table *t = memory;

	*t = (struct name_table){.key = *key,
		.count = entries,
		.mask = buckets_for(entries) - 1,
		.newest = NOBODY,
		.oldest = NOBODY,
		.free_waiter = waiters > 0 ? 0 : NOBODY};
	t->waiters = (struct waiter *)(void *)&t->entries[entries];
	t->buckets = (uint32_t *)(void *)&t->waiters[waiters];
	for (uint32_t i = 0; i < waiters; i++)
		t->waiters[i].next = i + 1 < waiters ? i + 1 : NOBODY;
	memset(t->buckets, 0xff, ((size_t)t->mask + 1) * sizeof(t->buckets[0]));
	return t;
}

uint32_t name_table_index(const struct name_table *t, const struct name_entry *entry)
{
	return (uint32_t)(entry - t->entries);
}

// ---- Age

static void age_remove(struct name_table *t, struct name_entry *e)
{
	*(e->newer != NOBODY ? &t->entries[e->newer].older : &t->newest) = e->older;
	*(e->older != NOBODY ? &t->entries[e->older].newer : &t->oldest) = e->newer;
}

static void age_add(struct name_table *t, struct name_entry *e)
{
	const uint32_t index = name_table_index(t, e);

	e->newer = NOBODY;
	e->older = t->newest;
	*(t->newest != NOBODY ? &t->entries[t->newest].newer : &t->oldest) = index;
	t->newest = index;
}

// ---- Entries

static uint32_t *bucket_of(struct name_table *t, const struct ip_addr *address, bool plain)
{
	uint8_t octets[sizeof(address->octets) + 1];

	memcpy(octets, address->octets, sizeof(address->octets));
	octets[sizeof(address->octets)] = plain;
	return &t->buckets[siphash(&t->key, octets, sizeof(octets)) & t->mask];
}

struct name_entry *name_table_find(struct name_table *t, const struct ip_addr *address, bool plain)
{
	for (uint32_t at = *bucket_of(t, address, plain); at != NOBODY; at = t->entries[at].next) {
		struct name_entry *e = &t->entries[at];

		if (e->plain == plain && ip_addr_eq(&e->address, address))
			return e;
	}
	return NULL;
}

static void forget(struct name_table *t, struct name_entry *e)
{
	uint32_t *link = bucket_of(t, &e->address, e->plain);

	while (*link != name_table_index(t, e))
		link = &t->entries[*link].next;
	*link = e->next;
	age_remove(t, e);
}

static struct name_entry *make_room(struct name_table *t)
{
	struct name_entry *e;

	if (t->used < t->count)
		return &t->entries[t->used++];
	if (t->oldest == NOBODY)
		return NULL;
	e = &t->entries[t->oldest];
	forget(t, e);
	return e;
}

struct name_entry *name_table_take(struct name_table *t, const struct ip_addr *address, bool plain)
{
	struct name_entry *e = name_table_find(t, address, plain);
	uint32_t serial, *bucket;

	if (e != NULL) {
		if (e->state != NAME_STATE_ASKED) {
			age_remove(t, e);
			age_add(t, e);
		}
		return e;
	}
	e = make_room(t);
	if (e == NULL)
		return NULL;
	serial = e->serial;
	bucket = bucket_of(t, address, plain);
	memset(e, 0, offsetof(struct name_entry, text)); // names of others end before text does
	e->address = *address;
	e->plain = plain;
	e->serial = serial;
	e->waiter = NOBODY;
	e->next = *bucket;
	*bucket = name_table_index(t, e);
	age_add(t, e);
	return e;
}

void name_table_ask(struct name_table *t, struct name_entry *e)
{
	assert(e->state != NAME_STATE_ASKED);
	age_remove(t, e);
	e->state = NAME_STATE_ASKED;
	e->serial++;
}

struct name_entry *name_table_answer(
	struct name_table *t, const struct name_answer *answer, uint64_t until_us)
{
	struct name_entry *e = answer->entry < t->used ? &t->entries[answer->entry] : NULL;

	if (e == NULL || e->state != NAME_STATE_ASKED || e->serial != answer->serial)
		return NULL;
	e->state = NAME_STATE_ANSWERED;
	e->status = answer->status;
	e->count = answer->count;
	e->partial = answer->partial;
	e->cut = answer->cut;
	e->until_us = until_us;
	e->epoch = 0;
	memcpy(e->text, answer->text, sizeof(e->text));
	age_add(t, e);
	return e;
}

// ---- Who waits

bool name_table_wait(struct name_table *t, struct name_entry *e, uint32_t conn, uint32_t generation)
{
	const uint32_t index = t->free_waiter;

	if (index == NOBODY)
		return false;
	t->free_waiter = t->waiters[index].next;
	t->waiters[index] = (struct waiter){conn, generation, e->waiter};
	e->waiter = index;
	return true;
}

static void give_back(struct name_table *t, uint32_t index)
{
	t->waiters[index].next = t->free_waiter;
	t->free_waiter = index;
}

void name_table_unwait(struct name_table *t, struct name_entry *e, uint32_t conn)
{
	for (uint32_t *link = &e->waiter; *link != NOBODY; link = &t->waiters[*link].next) {
		const uint32_t index = *link;

		if (t->waiters[index].conn != conn)
			continue;
		*link = t->waiters[index].next;
		give_back(t, index);
		return;
	}
}

bool name_table_next_waiter(
	struct name_table *t, struct name_entry *e, uint32_t *conn, uint32_t *generation)
{
	const uint32_t index = e->waiter;

	if (index == NOBODY)
		return false;
	*conn = t->waiters[index].conn;
	*generation = t->waiters[index].generation;
	e->waiter = t->waiters[index].next;
	give_back(t, index);
	return true;
}
