#include "dataplane/client_count.h"

#include <assert.h>
#include <string.h>

enum {
	COUNT_BITS = 22, // as many as there can be connections
	TAG_BITS = 64 - COUNT_BITS,
};

// A client is known by its hash: among a million clients chances are one in nine that two of them share their count, and nobody
// can choose with whom.
struct place {
	uint64_t tag : TAG_BITS;
	uint64_t count : COUNT_BITS; // 0: free
};

_Static_assert(sizeof(struct place) == 8, "16 to 32 octets a connection");

struct client_count {
	struct siphash_key key;
	uint32_t mask;
	struct place places[];
};

static uint32_t place_count(uint32_t conns)
{
	uint32_t n = 16;

	while (n < 2 * conns)
		n *= 2;
	return n;
}

size_t client_count_octets(uint32_t conns)
{
	return sizeof(struct client_count) + place_count(conns) * sizeof(struct place);
}

struct client_count *client_count_init(void *memory, uint32_t conns, const struct siphash_key *key)
{
	struct client_count *table = memory;

	table->key = *key;
	table->mask = place_count(conns) - 1;
	return table;
}

static uint64_t tag_of(const struct client_count *t, const struct ip_addr *client, uint16_t slot)
{
	uint8_t key[18] = {0};

	memcpy(key, client->octets, ip_addr_is_v4(client) ? 16 : 8);
	memcpy(key + 16, &slot, 2);
	return siphash(&t->key, key, sizeof(key)) >> COUNT_BITS;
}

// The client's place, or the free one where it belongs.
static uint32_t find(const struct client_count *t, uint64_t tag)
{
	uint32_t i = (uint32_t)tag & t->mask;

	while (t->places[i].count != 0 && t->places[i].tag != tag)
		i = (i + 1) & t->mask;
	return i;
}

uint32_t client_count_add(struct client_count *t, const struct ip_addr *client, uint16_t slot)
{
	uint64_t tag = tag_of(t, client, slot);
	struct place *p = &t->places[find(t, tag)];

	p->tag = tag & ((1ULL << TAG_BITS) - 1);
	p->count++;
	return (uint32_t)p->count;
}

// Close the gap at i, so that probes never meet a deleted place.
static void close_gap(struct client_count *t, uint32_t i)
{
	for (uint32_t j = (i + 1) & t->mask; t->places[j].count != 0; j = (j + 1) & t->mask) {
		uint32_t home = (uint32_t)t->places[j].tag & t->mask;

		if (((j - home) & t->mask) < ((j - i) & t->mask))
			continue; // its home lies behind the gap
		t->places[i] = t->places[j];
		t->places[j].count = 0;
		i = j;
	}
}

uint32_t client_count_remove(struct client_count *t, const struct ip_addr *client, uint16_t slot)
{
	uint32_t i = find(t, tag_of(t, client, slot)), left;

	assert(t->places[i].count > 0);
	left = (uint32_t)t->places[i].count - 1;
	t->places[i].count = left & ((1U << COUNT_BITS) - 1);
	if (left == 0)
		close_gap(t, i);
	return left;
}
