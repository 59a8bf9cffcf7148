// dad.h - whether an address of ours is free on its link, and who disputes it (RFC 4862 5.4, RFC 4429, RFC 5227).
//
// An address is used while it is probed, since a server that comes back after a crash must answer within the second; over
// IPv6 under the rules of optimistic addresses (RFC 4429), over IPv4 as Linux does. One that turns out to be taken is not used
// over IPv6 (RFC 4862 5.4.5); over IPv4 it is used on and the conflict reported. It is probed again from time to time, so that
// an end of the conflict needs no restart.
//
// Thread: the lcore that owns the address. Memory: a plain struct. Blocks: never. Clock: an argument.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	DAD_RETRY_US = 30000000,  // between probes for an address that is taken
	DAD_DEFEND_US = 10000000, // between two announcements against others (RFC 5227 2.4)
};

enum dad_state {
	DAD_PROBING,
	DAD_OWNED,
	DAD_TAKEN,
};

enum dad_effect {
	DAD_NOTHING,
	DAD_PROBE,    // ask whether it is free
	DAD_ANNOUNCE, // tell all that it is ours
};

struct dad {
	uint8_t state; // enum dad_state
	uint8_t step;  // probes or announcements sent in it
	bool v6;
	uint64_t due_us; // UINT64_MAX: nothing
	uint64_t defended_us;
};

void dad_start(struct dad *dad, bool v6, uint64_t now_us);

// What is due by now.
enum dad_effect dad_tick(struct dad *dad, uint64_t now_us);

// Somebody else claims the address, or probes for it at the same time.
enum dad_effect dad_conflict(struct dad *dad, uint64_t now_us);
