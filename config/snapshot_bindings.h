// snapshot_bindings.h - which virtual server an address of ours belongs to.
//
// Thread:  built by one; read by any.
// Memory:  the arena it was built in.
// Blocks:  never. Cost: one hash lookup.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/siphash.h"
#include "config/arena.h"

struct snapshot_binding {
	struct ip_addr addr;
	uint16_t vserver;
	bool used;
	bool specific; // named by the virtual server; else by all-unassigned
};

struct snapshot_bindings;

size_t snapshot_bindings_octets(uint32_t count);
struct snapshot_bindings *snapshot_bindings_create(
	struct arena *arena, uint32_t count, struct siphash_key key);

// The first to claim an address keeps it: specific claims are added before those of all-unassigned.
void snapshot_bindings_add(struct snapshot_bindings *bindings, struct snapshot_binding binding);

// NULL: not ours.
const struct snapshot_binding *snapshot_bindings_find(
	const struct snapshot_bindings *bindings, const struct ip_addr *addr);
