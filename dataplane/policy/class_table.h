// class_table.h - the lcores' lookup: address to class, by trees of cache lines (class_tree.h), built anew for each snapshot.
//
// A table is never changed: it is built from the snapshot's trie off the lcores, published with it, and freed after all
// workers have passed a quiescent state. Prefixes cut the addresses into ranges of one class each. v4 and the upper 64 bits of v6 have a tree;
// where v6 prefixes longer than /64 begin, the lower 64 bits have one of their own.
//
// Thread:  build and free on the control thread; lookups on any lcore.
// Memory:  EAL's: about 50 octets a prefix, at most 400.
// Blocks:  lookups never. Cost: the root, which is in the cache, and mostly one cache line more.

#pragma once

#include <stdint.h>

#include "base/err.h"
#include "config/snapshot.h"

struct class_table;

// ERR_NO_MEMORY: EAL has too little; the message for the operator is "raise dataplane.memory".
MUST_CHECK enum err class_table_build(const struct snapshot *snapshot, struct class_table **table);
void class_table_free(struct class_table *table);

uint32_t class_table_lookup(const struct class_table *table, const struct ip_addr *client);

enum { CLASS_TABLE_BURST = 16 };

// Lookups of these clients, CLASS_TABLE_BURST at most, come soon: have what they will read brought into the cache, step by step for all
// of them, so that they wait for memory together and not one after the other.
void class_table_prefetch(
	const struct class_table *table, const struct ip_addr *const clients[], unsigned count);

// For tests and bench: octets of EAL's memory it takes.
size_t class_table_octets(const struct class_table *table);
