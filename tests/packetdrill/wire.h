// wire.h - raw IP packets between packetdrill and the stack.
//
// What a setting takes from the stack is taken here: an option that is not to be offered goes out of SYNs in both
// directions, as if the peer did not know it.
//
// Thread: any, with the lock of the world.
// Memory: packets sent and not yet fetched, without bound: packetdrill fetches what its script expects.
// Blocks: never.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcp/tcp.h"

struct world;
struct wire_packet;

struct wire {
	struct wire_packet *first, *last;
	uint64_t sent;
};

// User of its functions: the world.
extern const struct tcp_env wire_env;

// A packet arrives. False: it is none.
bool wire_inject(struct world *world, const void *at, size_t octets);

// The oldest packet that was sent: its octets, at most room of them, at at; 0: none. *at_us: when it was sent.
size_t wire_take(struct wire *wire, void *at, size_t room, uint64_t *at_us);

void wire_free(struct wire *wire);
