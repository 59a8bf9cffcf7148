// client_count.h - how many sessions each client has with a virtual server on this worker. A v6 client is its /64.
//
// Thread:  the worker that owns the table.
// Memory:  fixed at init: 8 octets a place, at least twice as many places as there can be connections, so it is never full.
// Blocks:  never. Cost: one hash and a short probe.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/siphash.h"

struct client_count;

size_t client_count_octets(uint32_t conns);

// memory: client_count_octets() octets, zeroed.
struct client_count *client_count_init(void *memory, uint32_t conns, const struct siphash_key *key);

// Sessions of this client after the change.
uint32_t client_count_add(struct client_count *table, const struct ip_addr *client, uint16_t slot);
uint32_t client_count_remove(
	struct client_count *table, const struct ip_addr *client, uint16_t slot);
