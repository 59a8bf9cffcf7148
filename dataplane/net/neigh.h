// neigh.h - neighbours: who has which address on a link, v4 and v6 by one machine (the states of RFC 4861 7.3.2; RFC 826 and
// RFC 1122 2.3.2.1 ask for nothing else of ARP).
//
// One frame may wait for an answer (the newest; an older one is handed back to be dropped), so that a first SYN-ACK needs no
// retransmission. Asking is the caller's: the table says whom and when.
//
// What strangers can do here is bounded. Addresses we were made to ask for (a scan through the router, say) are at most
// NEIGH_INCOMPLETE_MAX and displace nobody who answered lately; what nobody has confirmed gives way first; gateways have
// places of their own, and another MAC address for a gateway that answers is not believed before the old one is silent.
//
// Thread:  the lcore that owns the table.
// Memory:  fixed table.
// Blocks:  never. Cost: a set of NEIGH_WAYS entries is looked at, and the gateways.
// Clock:   an argument.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/limits.h"
#include "base/siphash.h"
#include "net/frame.h"

enum {
	NEIGH_SETS = 512,
	NEIGH_WAYS = 8,
	NEIGH_PINNED = 2 * LIMIT_PORTS, // gateways
	NEIGH_COUNT = NEIGH_SETS * NEIGH_WAYS + NEIGH_PINNED,
	NEIGH_INCOMPLETE_MAX = 256, // more: no entry, the frame is dropped

	// RFC 4861 10; Linux has the same for ARP.
	NEIGH_REACHABLE_US = 30000000, // times 0.5 to 1.5
	NEIGH_DELAY_US = 5000000,
	NEIGH_RETRANS_US = 1000000,
	NEIGH_TRIES = 3,
	// A gateway that seems to have moved is asked at its old MAC address this fast before the new one is believed.
	NEIGH_VERIFY_US = 200000,
	NEIGH_GATEWAY_RETRY_US = 5000000, // between questions for one that does not answer
};

#define NEIGH_STATES(STATE)                                                                        \
	STATE(FREE)                                                                                \
	STATE(INCOMPLETE) /* asked for */                                                          \
	STATE(REACHABLE)  /* answered, not long ago */                                             \
	STATE(STALE)      /* used as it is, then asked again */                                    \
	STATE(DELAY)      /* in use again, soon to be asked */                                     \
	STATE(PROBE)      /* asked at its MAC address */

enum neigh_state {
#define STATE(name) NEIGH_##name,
	NEIGH_STATES(STATE)
#undef STATE
		NEIGH_STATE_COUNT
};

struct neigh_key {
	struct ip_addr addr;
	uint8_t nic_port;
};

struct neigh {
	struct neigh_key key;
	uint8_t state;  // enum neigh_state
	uint8_t tries;  // questions since the state began
	bool confirmed; // has answered a question of ours
	bool verifying; // PROBE because it seems to have moved
	bool silent;    // INCOMPLETE gateway that does not answer
	struct mac mac;
	uint16_t prev, next; // among those with something due; NEIGH_COUNT: end
	uint64_t due_us;     // REACHABLE: until when; else when something is to be done; STALE: 0
	uint64_t used_us;
	void *waiting; // one frame of the owner's; INCOMPLETE only
};

struct neigh_table {
	struct siphash_key key; // or strangers choose which neighbours share a set
	uint64_t draws;         // random numbers taken
	uint64_t next_due_us;   // nothing is due before
	uint16_t due_first;
	uint16_t incomplete, pinned;
	struct neigh all[NEIGH_COUNT]; // the sets, then the gateways
};

void neigh_init(struct neigh_table *t, const struct siphash_key *key);

// A gateway: it keeps its entry, and is asked for from now on so that its state is always known. At most NEIGH_PINNED.
void neigh_pin(struct neigh_table *t, const struct neigh_key *key, uint64_t now_us);

struct neigh_answer {
	bool known; // mac is it
	bool ask;   // the first question is due, to all
	struct mac mac;
};

// About to send to this neighbour.
struct neigh_answer neigh_use(struct neigh_table *t, const struct neigh_key *key, uint64_t now_us);

// Leave one frame until the answer comes, after an answer that was not known. Returns the frame to drop: the one it displaces,
// or itself when there is no entry; NULL if none.
void *neigh_leave(struct neigh_table *t, const struct neigh_key *key, void *frame);

// What an ARP or neighbour discovery packet says.
struct neigh_word {
	struct neigh_key key;
	struct mac mac;
	bool has_mac;   // else the one we know is meant
	bool solicited; // an answer to a question
	bool overrides; // the MAC address is to replace another one
	bool asks_us;   // it wants to talk to us: worth an entry though nobody asked for it
};

// Returns the frame that waited, now to be sent to word->mac; NULL if none.
void *neigh_learn(struct neigh_table *t, const struct neigh_word *word, uint64_t now_us);

// Something to be done about a neighbour.
struct neigh_ask {
	enum {
		NEIGH_ASK_ALL, // who has this address?
		NEIGH_ASK_ONE, // do you still have it, at mac?
		NEIGH_GIVE_UP, // it does not answer
	} kind;
	struct neigh_key key;
	struct mac mac;
	void *frame; // that waited in vain: to be dropped; NULL: none
};

// What is due by now, at most most of it; the rest comes with the next call. Returns how many.
unsigned neigh_poll(struct neigh_table *t, uint64_t now_us, struct neigh_ask *out, unsigned most);

// The question could not be asked (no address of ours may ask yet): again soon, not counted.
void neigh_postpone(struct neigh_table *t, const struct neigh_key *key, uint64_t now_us);

// For reports. NULL: nothing known.
const struct neigh *neigh_look(const struct neigh_table *t, const struct neigh_key *key);
