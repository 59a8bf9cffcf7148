#include "dataplane/rss.h"

#include <string.h>

// 32 bits of the key from this bit on.
static uint32_t key_bits(const uint8_t key[RSS_KEY_OCTETS], unsigned bit)
{
	const uint8_t *at = key + bit / 8;
	uint64_t five = (uint64_t)at[0] << 32 | (uint64_t)at[1] << 24 | (uint64_t)at[2] << 16 |
			(uint64_t)at[3] << 8 | at[4];

	return (uint32_t)(five >> (8 - bit % 8));
}

static uint32_t octet_hash(const uint8_t *key, unsigned at, unsigned octet)
{
	uint32_t hash = 0;

	for (unsigned bit = 0; bit < 8; bit++) {
		if (octet >> (7 - bit) & 1)
			hash ^= key_bits(key, at * 8 + bit);
	}
	return hash;
}

// The hash is linear, so that of an input is the sum of those of its octets.
void rss_init(struct rss *rss, const uint8_t key[RSS_KEY_OCTETS])
{
	memcpy(rss->key, key, RSS_KEY_OCTETS);
	for (unsigned at = 0; at < RSS_INPUT_OCTETS; at++) {
		for (unsigned octet = 0; octet < 256; octet++)
			rss->table[at][octet] = octet_hash(key, at, octet);
	}
}

static uint32_t add(const struct rss *rss, unsigned *at, const uint8_t *octets, unsigned count)
{
	uint32_t hash = 0;

	for (unsigned i = 0; i < count; i++)
		hash ^= rss->table[(*at)++][octets[i]];
	return hash;
}

uint32_t rss_hash(const struct rss *rss, const struct rss_tuple *t)
{
	const uint8_t ports[4] = {(uint8_t)(t->src_port >> 8), (uint8_t)t->src_port,
		(uint8_t)(t->dst_port >> 8), (uint8_t)t->dst_port};
	unsigned skip = ip_addr_is_v4(t->dst) ? 12 : 0, at = 0;
	uint32_t hash;

	hash = add(rss, &at, t->src->octets + skip, 16 - skip);
	hash ^= add(rss, &at, t->dst->octets + skip, 16 - skip);
	return hash ^ add(rss, &at, ports, 4);
}
