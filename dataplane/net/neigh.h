// neigh.h - IPv4 neighbours (RFC 826): who has which address on a link, learned from ARP only.
//
// One frame may wait for an answer (the newest; an older one is handed back to be dropped), so that the first
// SYN-ACK towards a silent neighbour needs no retransmission.
//
// Thread:  the lcore that owns the table.
// Memory:  fixed table; at the bound the entry that was used longest ago in its set is replaced.
// Blocks:  never. Cost: a set of NEIGH_WAYS entries is looked at.
// Clock:   an argument.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/frame.h"

enum {
	NEIGH_SETS = 256,
	NEIGH_WAYS = 4,
	NEIGH_FRESH_US = 60 * 1000000,  // after that it is asked for again while still in use
	NEIGH_STALE_US = 180 * 1000000, // after that it is not used any more
	NEIGH_RETRY_US = 1000000,
};

struct neigh {
	uint32_t v4; // host order; 0: free
	uint8_t nic_port;
	bool known;
	struct mac mac;
	uint64_t confirmed_us, asked_us, used_us;
	void *waiting; // one frame of the owner's
};

struct neigh_table {
	struct neigh sets[NEIGH_SETS][NEIGH_WAYS];
};

enum neigh_answer {
	NEIGH_KNOWN,     // *mac is it
	NEIGH_KNOWN_ASK, // likewise, and it is time to send an ARP request
	NEIGH_WAIT,      // not known; a request is under way
	NEIGH_WAIT_ASK,  // not known: send an ARP request
};

enum neigh_answer neigh_find(
	struct neigh_table *t, uint8_t nic_port, uint32_t v4, uint64_t now_us, struct mac *mac);

// Leave one frame until the answer comes. Returns the frame that it displaces, NULL if none. Only after NEIGH_WAIT*.
void *neigh_leave(struct neigh_table *t, uint8_t nic_port, uint32_t v4, void *frame);

// What an ARP packet told us.
struct neigh_word {
	uint32_t v4;
	struct mac mac;
	uint8_t nic_port;
	bool to_us; // it was addressed to us: believed also when nobody asked
};

// Returns the frame that waited, now to be sent to word.mac; NULL if none.
void *neigh_learn(struct neigh_table *t, struct neigh_word word, uint64_t now_us);
