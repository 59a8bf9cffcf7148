// class_table.h - the lcores' lookup: address to class, one rte_fib for v4 (DIR24_8), built anew for each snapshot.
//
// rte_fib must not be changed under readers in DPDK 22.11, so a table is built from the snapshot's trie off the lcores,
// published with it, and freed after all workers have passed a quiescent state.
// Single addresses beyond what the fib's groups hold go to a hash beside it.
//
// Thread:  build and free on the control thread; lookups on any lcore.
// Memory:  EAL's (64 MiB a table and 1 KiB for each /24 that holds a longer prefix).
// Blocks:  lookups never.

#pragma once

#include <stdint.h>

#include "base/err.h"
#include "config/snapshot.h"

struct class_table;

// ERR_NO_MEMORY: EAL has too little; the message for the operator is "raise dataplane.memory".
MUST_CHECK enum err class_table_build(const struct snapshot *snapshot, struct class_table **table);
void class_table_free(struct class_table *table);

uint32_t class_table_lookup(const struct class_table *table, const struct ip_addr *client);
