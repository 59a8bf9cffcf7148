#include "config/prefix_trie.h"

#include <stdlib.h>

enum {
	ROOTS = 2,
};

size_t prefix_trie_octets(uint32_t entry_count)
{
	return sizeof(struct prefix_trie) + 3 * (size_t)ARENA_ALIGNMENT +
	       ((size_t)entry_count + ROOTS + 1) *
		       (sizeof(struct prefix_trie_node) + sizeof(struct prefix_trie_entry));
}

static void add(struct prefix_trie *trie, struct prefix_trie_entry entry)
{
	trie->entries[trie->entry_count++] = entry;
}

struct prefix_trie *prefix_trie_prepare(struct arena *arena, uint32_t entry_count)
{
	struct prefix_trie *trie = arena_take(arena, sizeof(*trie));
	const size_t most = (size_t)entry_count + ROOTS + 1;

	trie->entries = arena_take_array(arena, most, sizeof(trie->entries[0]));
	trie->nodes = arena_take_array(arena, most, sizeof(trie->nodes[0]));
	add(trie, (struct prefix_trie_entry){.list = PREFIX_TRIE_NO_LIST});
	add(trie, (struct prefix_trie_entry){.first = ADDRESS_KEY_V4_FIRST,
			  .len = ADDRESS_KEY_V4_LEN,
			  .list = PREFIX_TRIE_NO_LIST});
	return trie;
}

void prefix_trie_add(struct prefix_trie *trie, const struct config_prefix *prefix, uint16_t list)
{
	add(trie, (struct prefix_trie_entry){.first = address_key_of(&prefix->addr),
			  .len = prefix->len,
			  .prefix = prefix,
			  .list = list});
}

static int compare(const void *left, const void *right)
{
	const struct prefix_trie_entry *a = left, *b = right;

	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	if (a->list != b->list)
		return a->list < b->list ? -1 : 1;
	return a->prefix < b->prefix ? -1 : a->prefix > b->prefix;
}

static bool covers(const struct prefix_trie_node *node, address_key key)
{
	return address_key_covers(node->first, node->len, key);
}

// The node before the new one, or the nearest of that one's ancestors around it.
static uint32_t parent_of(const struct prefix_trie *trie, const struct prefix_trie_entry *entry)
{
	uint32_t at = trie->node_count - 1;

	if (trie->node_count == 0)
		return PREFIX_TRIE_NO_NODE;
	while (at != PREFIX_TRIE_NO_NODE && !covers(&trie->nodes[at], entry->first))
		at = trie->nodes[at].parent;
	return at;
}

static void add_node(struct prefix_trie *trie, uint32_t entry)
{
	const struct prefix_trie_entry *from = &trie->entries[entry];
	const struct prefix_trie_node node = {
		.first = from->first,
		.len = from->len,
		.parent = parent_of(trie, from),
		.entry = entry,
	};

	trie->nodes[trie->node_count++] = node;
}

void prefix_trie_build(struct prefix_trie *trie)
{
	qsort(trie->entries, trie->entry_count, sizeof(trie->entries[0]), compare);
	for (uint32_t i = 0; i < trie->entry_count; i++) {
		const struct prefix_trie_entry *entry = &trie->entries[i];

		if (i == 0 || entry[-1].first != entry->first || entry[-1].len != entry->len)
			add_node(trie, i);
	}
	trie->nodes[trie->node_count].entry = trie->entry_count;
}

// Last node whose address is not above key: the first comparison always holds, node 0 being ::/0.
static uint32_t last_not_above(const struct prefix_trie *trie, address_key key)
{
	uint32_t low = 0, high = trie->node_count;

	while (high - low > 1) {
		const uint32_t middle = low + (high - low) / 2;

		if (trie->nodes[middle].first <= key)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint32_t prefix_trie_find(const struct prefix_trie *trie, address_key key)
{
	uint32_t at = last_not_above(trie, key);

	while (!covers(&trie->nodes[at], key))
		at = trie->nodes[at].parent;
	return at;
}

bool prefix_trie_is_root(const struct prefix_trie_node *node)
{
	return node->len == 0 ||
	       (node->first == ADDRESS_KEY_V4_FIRST && node->len == ADDRESS_KEY_V4_LEN);
}
