#include "net/neigh.h"

#include <assert.h>
#include <stddef.h>

enum {
	NOBODY = NEIGH_COUNT,
	POSTPONE_US = 100000,
};

static bool key_eq(const struct neigh_key *a, const struct neigh_key *b)
{
	return a->nic_port == b->nic_port && ip_addr_eq(&a->addr, &b->addr);
}

static uint16_t index_of(const struct neigh_table *t, const struct neigh *n)
{
	return (uint16_t)(n - t->all);
}

static bool is_pinned(const struct neigh_table *t, const struct neigh *n)
{
	return index_of(t, n) >= NEIGH_SETS * NEIGH_WAYS;
}

// Where the set of this key begins.
static uint16_t set_of(const struct neigh_table *t, const struct neigh_key *key)
{
	uint8_t octets[17];

	memcpy(octets, key->addr.octets, 16);
	octets[16] = key->nic_port;
	return (uint16_t)(siphash(&t->key, octets, sizeof(octets)) % NEIGH_SETS * NEIGH_WAYS);
}

const struct neigh *neigh_look(const struct neigh_table *t, const struct neigh_key *key)
{
	const struct neigh *set, *gateways = &t->all[(size_t)NEIGH_SETS * NEIGH_WAYS];

	for (unsigned i = 0; i < t->pinned; i++) {
		if (key_eq(&gateways[i].key, key))
			return &gateways[i];
	}
	set = &t->all[set_of(t, key)];
	for (unsigned i = 0; i < NEIGH_WAYS; i++) {
		if (set[i].state != NEIGH_FREE && key_eq(&set[i].key, key))
			return &set[i];
	}
	return NULL;
}

static struct neigh *look(struct neigh_table *t, const struct neigh_key *key)
{
	const struct neigh *n = neigh_look(t, key);

	return n != NULL ? &t->all[index_of(t, n)] : NULL;
}

// ---- What is due

static void unlink_due(struct neigh_table *t, struct neigh *n)
{
	if (n->next != NOBODY)
		t->all[n->next].prev = n->prev;
	if (n->prev != NOBODY)
		t->all[n->prev].next = n->next;
	else
		t->due_first = n->next;
	n->prev = n->next = NOBODY;
}

static bool is_due_listed(const struct neigh_table *t, const struct neigh *n)
{
	return n->prev != NOBODY || t->due_first == index_of(t, n);
}

static void list_due(struct neigh_table *t, struct neigh *n, uint64_t due_us)
{
	n->due_us = due_us;
	if (due_us < t->next_due_us)
		t->next_due_us = due_us;
	if (is_due_listed(t, n))
		return;
	n->prev = NOBODY;
	n->next = t->due_first;
	if (n->next != NOBODY)
		t->all[n->next].prev = index_of(t, n);
	t->due_first = index_of(t, n);
}

static uint64_t reachable_us(struct neigh_table *t)
{
	t->draws++;
	return NEIGH_REACHABLE_US / 2 +
	       siphash(&t->key, &t->draws, sizeof(t->draws)) % NEIGH_REACHABLE_US;
}

// The one place where a state begins. What is due in it: see the table in README.md.
static void enter(struct neigh_table *t, struct neigh *n, enum neigh_state state, uint64_t now_us)
{
	t->incomplete = (uint16_t)(t->incomplete - (n->state == NEIGH_INCOMPLETE) +
				   (state == NEIGH_INCOMPLETE));
	n->state = (uint8_t)state;
	n->tries = 0;
	n->verifying = n->silent = false;
	if (is_due_listed(t, n))
		unlink_due(t, n);
	switch (state) {
	case NEIGH_REACHABLE:
		n->confirmed = true;
		n->due_us = now_us + reachable_us(t);
		if (is_pinned(t, n)) // others are looked at when they are used
			list_due(t, n, n->due_us);
		break;
	case NEIGH_STALE:
		n->due_us = 0;
		if (is_pinned(t, n))
			list_due(t, n, now_us);
		break;
	case NEIGH_DELAY:
		list_due(t, n, now_us + NEIGH_DELAY_US);
		break;
	case NEIGH_INCOMPLETE:
	case NEIGH_PROBE:
		list_due(t, n, now_us);
		break;
	case NEIGH_FREE:
	case NEIGH_STATE_COUNT:
		break;
	}
}

// ---- Places

static bool is_reachable(const struct neigh *n, uint64_t now_us)
{
	return n->state == NEIGH_REACHABLE && now_us < n->due_us;
}

// How much is lost with this entry; less gives way first. UNTOUCHABLE: nothing displaces it.
enum worth { WORTH_NOTHING, WORTH_HEARSAY, WORTH_OLD, UNTOUCHABLE };

static enum worth worth_of(const struct neigh *n, uint64_t now_us)
{
	if (n->state == NEIGH_FREE)
		return WORTH_NOTHING;
	if (n->state == NEIGH_INCOMPLETE)
		return UNTOUCHABLE; // bounded by NEIGH_INCOMPLETE_MAX, gone in three seconds
	if (!n->confirmed)
		return WORTH_HEARSAY;
	return n->state == NEIGH_STALE || (n->state == NEIGH_REACHABLE && !is_reachable(n, now_us))
		       ? WORTH_OLD
		       : UNTOUCHABLE;
}

static struct neigh *make(struct neigh_table *t, const struct neigh_key *key, uint64_t now_us)
{
	struct neigh *set = &t->all[set_of(t, key)], *best = NULL;

	for (unsigned i = 0; i < NEIGH_WAYS; i++) {
		enum worth worth = worth_of(&set[i], now_us);

		if (worth == UNTOUCHABLE)
			continue;
		if (best == NULL || worth < worth_of(best, now_us) ||
			(worth == worth_of(best, now_us) && set[i].used_us < best->used_us))
			best = &set[i];
	}
	if (best == NULL)
		return NULL;
	enter(t, best, NEIGH_FREE, now_us);
	best->key = *key;
	best->confirmed = false;
	best->used_us = now_us;
	assert(best->waiting == NULL);
	return best;
}

void neigh_init(struct neigh_table *t, const struct siphash_key *key)
{
	*t = (struct neigh_table){.key = *key, .due_first = NOBODY, .next_due_us = UINT64_MAX};
	for (unsigned i = 0; i < NEIGH_COUNT; i++)
		t->all[i].prev = t->all[i].next = NOBODY;
}

void neigh_pin(struct neigh_table *t, const struct neigh_key *key, uint64_t now_us)
{
	struct neigh *n = &t->all[NEIGH_SETS * NEIGH_WAYS + t->pinned];

	assert(t->pinned < NEIGH_PINNED);
	t->pinned++;
	n->key = *key;
	enter(t, n, NEIGH_INCOMPLETE, now_us);
}

// ---- Use

static struct neigh *begin(struct neigh_table *t, const struct neigh_key *key, uint64_t now_us)
{
	struct neigh *n;

	if (t->incomplete >= NEIGH_INCOMPLETE_MAX)
		return NULL;
	n = make(t, key, now_us);
	if (n == NULL)
		return NULL;
	enter(t, n, NEIGH_INCOMPLETE, now_us);
	n->tries = 1;
	list_due(t, n, now_us + NEIGH_RETRANS_US);
	return n;
}

struct neigh_answer neigh_use(struct neigh_table *t, const struct neigh_key *key, uint64_t now_us)
{
	struct neigh *n = look(t, key);

	if (n == NULL) {
		n = begin(t, key, now_us);
		return (struct neigh_answer){.ask = n != NULL};
	}
	n->used_us = now_us;
	if (n->state == NEIGH_INCOMPLETE)
		return (struct neigh_answer){.known = false};
	if (n->state == NEIGH_STALE || (n->state == NEIGH_REACHABLE && !is_reachable(n, now_us)))
		enter(t, n, NEIGH_DELAY, now_us);
	return (struct neigh_answer){.known = true, .mac = n->mac};
}

void *neigh_leave(struct neigh_table *t, const struct neigh_key *key, void *frame)
{
	struct neigh *n = look(t, key);
	void *old;

	if (n == NULL)
		return frame;
	assert(n->state == NEIGH_INCOMPLETE);
	old = n->waiting;
	n->waiting = frame;
	return old;
}

// ---- Learning

static bool is_other_mac(const struct neigh *n, const struct neigh_word *word)
{
	return word->has_mac && memcmp(n->mac.octets, word->mac.octets, 6) != 0;
}

static void *complete(
	struct neigh_table *t, struct neigh *n, const struct neigh_word *word, uint64_t now_us)
{
	void *frame = n->waiting;

	if (!word->has_mac)
		return NULL; // RFC 4861 7.2.5: nothing to complete it with
	n->mac = word->mac;
	n->waiting = NULL;
	enter(t, n, word->solicited ? NEIGH_REACHABLE : NEIGH_STALE, now_us);
	return frame;
}

// Another MAC address for a known neighbour.
static void move(
	struct neigh_table *t, struct neigh *n, const struct neigh_word *word, uint64_t now_us)
{
	if (is_pinned(t, n) && n->confirmed) {
		if (n->verifying)
			return;
		enter(t, n, NEIGH_PROBE, now_us);
		n->verifying = true;
		return;
	}
	n->mac = word->mac;
	n->confirmed = false;
	enter(t, n, word->solicited ? NEIGH_REACHABLE : NEIGH_STALE, now_us);
}

void *neigh_learn(struct neigh_table *t, const struct neigh_word *word, uint64_t now_us)
{
	struct neigh *n = look(t, &word->key);

	if (n == NULL) {
		n = word->asks_us && word->has_mac ? make(t, &word->key, now_us) : NULL;
		if (n == NULL)
			return NULL;
		n->mac = word->mac;
		enter(t, n, NEIGH_STALE, now_us);
		return NULL;
	}
	if (n->state == NEIGH_INCOMPLETE)
		return complete(t, n, word, now_us);
	if (is_other_mac(n, word)) {
		if (word->overrides)
			move(t, n, word, now_us);
		else if (n->state == NEIGH_REACHABLE)
			enter(t, n, NEIGH_STALE, now_us);
	} else if (word->solicited) {
		enter(t, n, NEIGH_REACHABLE, now_us);
	}
	return NULL;
}

// ---- Time

static void *take_waiting(struct neigh *n)
{
	void *frame = n->waiting;

	n->waiting = NULL;
	return frame;
}

static struct neigh_ask ask(struct neigh_table *t, struct neigh *n, uint64_t now_us)
{
	struct neigh_ask ask = {.kind = n->state == NEIGH_PROBE ? NEIGH_ASK_ONE : NEIGH_ASK_ALL,
		.key = n->key,
		.mac = n->mac};
	uint64_t pause = NEIGH_RETRANS_US;

	if (n->verifying)
		pause = NEIGH_VERIFY_US;
	if (n->silent) {
		pause = NEIGH_GATEWAY_RETRY_US;
		ask.frame = take_waiting(n);
	}
	if (n->tries < NEIGH_TRIES)
		n->tries++;
	list_due(t, n, now_us + pause);
	return ask;
}

// n does not answer. A gateway is asked on, at its known address no more.
static struct neigh_ask give_up(struct neigh_table *t, struct neigh *n, uint64_t now_us)
{
	if (!is_pinned(t, n)) {
		struct neigh_ask gone = {
			.kind = NEIGH_GIVE_UP, .key = n->key, .frame = take_waiting(n)};

		enter(t, n, NEIGH_FREE, now_us);
		return gone;
	}
	n->confirmed = false;
	if (n->state == NEIGH_PROBE)
		enter(t, n, NEIGH_INCOMPLETE, now_us);
	else
		n->silent = true;
	return ask(t, n, now_us);
}

// n is due.
static struct neigh_ask step(struct neigh_table *t, struct neigh *n, uint64_t now_us)
{
	if (n->state != NEIGH_INCOMPLETE && n->state != NEIGH_PROBE)
		enter(t, n, NEIGH_PROBE, now_us);
	if (n->tries >= NEIGH_TRIES && !n->silent)
		return give_up(t, n, now_us);
	return ask(t, n, now_us);
}

unsigned neigh_poll(struct neigh_table *t, uint64_t now_us, struct neigh_ask *out, unsigned most)
{
	unsigned count = 0;
	uint16_t next;

	if (now_us < t->next_due_us)
		return 0;
	t->next_due_us = UINT64_MAX;
	for (uint16_t i = t->due_first; i != NOBODY; i = next) {
		struct neigh *n = &t->all[i];

		next = n->next;
		if (n->due_us <= now_us && count < most)
			out[count++] = step(t, n, now_us);
		else if (n->due_us < t->next_due_us)
			t->next_due_us = n->due_us;
	}
	return count;
}

void neigh_postpone(struct neigh_table *t, const struct neigh_key *key, uint64_t now_us)
{
	struct neigh *n = look(t, key);

	if (n == NULL || (n->state != NEIGH_INCOMPLETE && n->state != NEIGH_PROBE))
		return;
	n->tries = n->tries > 0 ? (uint8_t)(n->tries - 1) : 0;
	list_due(t, n, now_us + POSTPONE_US);
}
