#include "net/neigh.h"

#include <assert.h>
#include <stddef.h>

static struct neigh *set_of(struct neigh_table *t, uint8_t nic_port, uint32_t v4)
{
	uint32_t h = (v4 ^ (uint32_t)nic_port << 24) * 2654435761u;

	return t->sets[h >> 24];
}

static struct neigh *look(struct neigh_table *t, uint8_t nic_port, uint32_t v4)
{
	struct neigh *set = set_of(t, nic_port, v4);

	for (int i = 0; i < NEIGH_WAYS; i++) {
		if (set[i].v4 == v4 && set[i].nic_port == nic_port)
			return &set[i];
	}
	return NULL;
}

// The place for a new entry: free, else the longest unused without a waiting frame. NULL: all have one waiting.
static struct neigh *make(struct neigh_table *t, uint8_t nic_port, uint32_t v4)
{
	struct neigh *set = set_of(t, nic_port, v4);
	struct neigh *best = NULL;

	for (int i = 0; i < NEIGH_WAYS; i++) {
		if (set[i].waiting != NULL)
			continue;
		if (best == NULL || set[i].used_us < best->used_us)
			best = &set[i];
	}
	if (best != NULL)
		*best = (struct neigh){.v4 = v4, .nic_port = nic_port};
	return best;
}

enum neigh_answer neigh_find(
	struct neigh_table *t, uint8_t nic_port, uint32_t v4, uint64_t now_us, struct mac *mac)
{
	struct neigh *n = look(t, nic_port, v4);
	bool ask;

	if (n == NULL)
		n = make(t, nic_port, v4);
	if (n == NULL)
		return NEIGH_WAIT;
	n->used_us = now_us;
	if (n->known && now_us - n->confirmed_us > NEIGH_STALE_US)
		n->known = false;
	ask = (!n->known || now_us - n->confirmed_us > NEIGH_FRESH_US) &&
	      (n->asked_us == 0 || now_us - n->asked_us >= NEIGH_RETRY_US);
	if (ask)
		n->asked_us = now_us;
	if (!n->known)
		return ask ? NEIGH_WAIT_ASK : NEIGH_WAIT;
	*mac = n->mac;
	return ask ? NEIGH_KNOWN_ASK : NEIGH_KNOWN;
}

void *neigh_leave(struct neigh_table *t, uint8_t nic_port, uint32_t v4, void *frame)
{
	struct neigh *n = look(t, nic_port, v4);
	void *old;

	if (n == NULL)
		return frame; // its set is full of others that wait
	assert(!n->known);
	old = n->waiting;
	n->waiting = frame;
	return old;
}

void *neigh_learn(struct neigh_table *t, struct neigh_word word, uint64_t now_us)
{
	struct neigh *n = look(t, word.nic_port, word.v4);
	void *frame;

	if (n == NULL && word.to_us)
		n = make(t, word.nic_port, word.v4);
	if (n == NULL)
		return NULL;
	if (n->used_us == 0)
		n->used_us = now_us;
	n->known = true;
	n->mac = word.mac;
	n->confirmed_us = now_us;
	frame = n->waiting;
	n->waiting = NULL;
	return frame;
}
