// snapshot_set.h - which addresses have one of some classes: the compiled policy read backwards, exactly.
//
// Whoever can ask a policy about a class can have the set of all addresses it says yes to, over all of IPv4 and IPv6, without asking for
// each: the trie has a node for each listed prefix, and between two nodes nothing changes.
//
// Thread:  any that may hold the snapshot.
// Memory:  the arena: snapshot_set_octets() for each set.
// Blocks:  never. Cost: one pass over the trie, in order of address.

#pragma once

#include "config/address_set.h"
#include "config/snapshot.h"

size_t snapshot_set_octets(const struct snapshot *snapshot);

// wanted: one for each class of the snapshot.
struct address_set snapshot_set_of(
	struct arena *arena, const struct snapshot *snapshot, const bool *wanted);
