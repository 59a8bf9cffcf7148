// snapshot_classes.h - sets of lists, each kept once and numbered: the classes of a snapshot.
//
// Thread:  the builder of the snapshot.
// Memory:  the arena; the numbering's hash table is only used while building.
// Blocks:  never.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/siphash.h"
#include "config/arena.h"

struct snapshot_classes {
	struct siphash_key key;
	uint64_t *sets;  // count * words; class 0 is the empty set
	uint32_t *slots; // class + 1; 0: free
	uint32_t words, count, most, mask;
};

size_t snapshot_classes_octets(uint32_t most, uint32_t words);

// Room for most classes of words 64-bit words each.
void snapshot_classes_init(struct snapshot_classes *classes, struct arena *arena, uint32_t most,
	uint32_t words, struct siphash_key key);

// The room for the next set, zeroed: fill it, then call snapshot_classes_keep().
uint64_t *snapshot_classes_next(struct snapshot_classes *classes);

// Number of the set just filled; an older number when the same set is there already.
uint32_t snapshot_classes_keep(struct snapshot_classes *classes);
