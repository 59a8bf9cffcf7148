// prefix_trie.h - all prefixes of all lists, longest match.
//
// Prefixes either nest or are apart, so a trie needs no pointers: nodes sorted by (address, length), each with the index of
// the one around it. The longest prefix that covers an address is the last node not above it, or one of that node's
// ancestors. Only listed prefixes have a node, besides the roots of the two families.
//
// Thread:  built by one; read by any.
// Memory:  the arena it was built in: 32 octets a node and 32 an entry.
// Blocks:  never. Cost: binary search, then at most 128 steps up.

#pragma once

#include <stdint.h>

#include "config/address_key.h"
#include "config/arena.h"
#include "config/config.h"

enum {
	PREFIX_TRIE_NO_LIST = 0xffff,
};

#define PREFIX_TRIE_NO_NODE UINT32_MAX

// One line of one list.
struct prefix_trie_entry {
	address_key first;
	const struct config_prefix *prefix;
	uint16_t list;
	uint8_t len;
};

struct prefix_trie_node {
	address_key first;
	uint32_t parent; // the prefix around it; PREFIX_TRIE_NO_NODE: none, it is ::/0
	uint32_t entry;  // its entries are entries[entry] up to those of the next node
	uint32_t class;
	uint8_t len;
};

struct prefix_trie {
	struct prefix_trie_node *nodes; // node_count, and one behind them for its entry
	struct prefix_trie_entry *entries;
	uint32_t node_count, entry_count;
};

// Octets of arena that building from so many entries takes.
size_t prefix_trie_octets(uint32_t entry_count);

// Room for entry_count entries, to be filled and handed to prefix_trie_build().
struct prefix_trie *prefix_trie_prepare(struct arena *arena, uint32_t entry_count);
void prefix_trie_add(struct prefix_trie *trie, const struct config_prefix *prefix, uint16_t list);

// Sort and link. Classes are all 0 afterwards; whoever owns their meaning sets them.
void prefix_trie_build(struct prefix_trie *trie);

// Longest prefix that covers key. Never PREFIX_TRIE_NO_NODE: the roots cover everything.
uint32_t prefix_trie_find(const struct prefix_trie *trie, address_key key);

// Root of a family, ::/0 or the mapped block: what lies around it does not count for addresses inside.
bool prefix_trie_is_root(const struct prefix_trie_node *node);
