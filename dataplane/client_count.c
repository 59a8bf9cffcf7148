#include "dataplane/client_count.h"

#include <assert.h>
#include <string.h>

struct place {
	struct ip_addr client;
	uint16_t slot;
	uint32_t count; // 0: free
};

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

static struct ip_addr who(const struct ip_addr *client)
{
	struct ip_addr a = *client;

	if (!ip_addr_is_v4(client))
		memset(a.octets + 8, 0, 8);
	return a;
}

static uint32_t home_of(const struct client_count *t, const struct ip_addr *client, uint16_t slot)
{
	uint8_t key[18];

	memcpy(key, client->octets, 16);
	memcpy(key + 16, &slot, 2);
	return (uint32_t)siphash(&t->key, key, sizeof(key)) & t->mask;
}

// The client's place, or the free one where it belongs.
static uint32_t find(const struct client_count *t, const struct ip_addr *client, uint16_t slot)
{
	uint32_t i = home_of(t, client, slot);

	while (t->places[i].count != 0 &&
		(t->places[i].slot != slot || !ip_addr_eq(&t->places[i].client, client)))
		i = (i + 1) & t->mask;
	return i;
}

uint32_t client_count_add(struct client_count *t, const struct ip_addr *client, uint16_t slot)
{
	struct ip_addr a = who(client);
	struct place *p = &t->places[find(t, &a, slot)];

	p->client = a;
	p->slot = slot;
	return ++p->count;
}

// Close the gap at i, so that probes never meet a deleted place.
static void close_gap(struct client_count *t, uint32_t i)
{
	for (uint32_t j = (i + 1) & t->mask; t->places[j].count != 0; j = (j + 1) & t->mask) {
		uint32_t home = home_of(t, &t->places[j].client, t->places[j].slot);

		if (((j - home) & t->mask) < ((j - i) & t->mask))
			continue; // its home lies behind the gap
		t->places[i] = t->places[j];
		t->places[j].count = 0;
		i = j;
	}
}

uint32_t client_count_remove(struct client_count *t, const struct ip_addr *client, uint16_t slot)
{
	struct ip_addr a = who(client);
	uint32_t i = find(t, &a, slot);
	uint32_t left;

	assert(t->places[i].count > 0);
	left = --t->places[i].count;
	if (left == 0)
		close_gap(t, i);
	return left;
}
