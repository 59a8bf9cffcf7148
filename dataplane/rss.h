// rss.h - the hash that NICs spread flows by (Toeplitz), computed here as well.
//
// The worker of a flow has to be the same whether the NIC has RSS or not, and for fragments and ICMP errors that no NIC hashes the
// same way. So the owner is found by the NIC's own hash: with one key of ours in every port, a packet that RSS has spread is at its owner
// already, and no ring hop is needed. The key is random, so a stranger cannot aim at one worker.
//
// Thread:  rss_init() on the control thread before any worker runs; the rest any lcore.
// Memory:  struct rss, read only after rss_init().
// Blocks:  never. Cost: a table lookup an octet of the tuple, 12 for IPv4 and 36 for IPv6.

#pragma once

#include <stdint.h>

#include "base/ip_addr.h"

enum {
	RSS_KEY_OCTETS = 52,       // the longest that NICs take; shorter ones use the first octets
	RSS_KEY_SHORT_OCTETS = 40, // what the hash over two IPv6 addresses and ports needs
	RSS_INPUT_OCTETS = 36,     // two IPv6 addresses, two ports
	RSS_TABLE_ENTRIES = 64,    // divides the size of every NIC's redirection table
};

struct rss {
	uint8_t key[RSS_KEY_OCTETS];
	uint32_t table[RSS_INPUT_OCTETS][256];
};

struct rss_tuple {
	const struct ip_addr *src, *dst; // of one family
	uint16_t src_port, dst_port;     // host order
};

void rss_init(struct rss *rss, const uint8_t key[RSS_KEY_OCTETS]);

uint32_t rss_hash(const struct rss *rss, const struct rss_tuple *tuple);

// Which of n queues the hash means, when entry i of the redirection table is queue i % RSS_TABLE_ENTRIES % n.
static inline unsigned rss_pick(uint32_t hash, unsigned n)
{
	return hash % RSS_TABLE_ENTRIES % n;
}
