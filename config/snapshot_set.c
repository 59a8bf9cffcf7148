#include "config/snapshot_set.h"

#include <assert.h>

#include "config/prefix_trie.h"

enum {
	DEPTH = ADDRESS_KEY_BITS + 2, // prefixes around one another are of different lengths
};

// The prefixes around the place that was reached, outermost first; all before `next` is written.
struct pass {
	const struct prefix_trie *trie;
	const bool *wanted;
	struct address_set_writer writer;
	uint32_t open[DEPTH];
	unsigned depth;
	address_key next;
	bool ended; // the last address there is was written
};

static uint32_t ranges_in(const struct snapshot *snapshot)
{
	return 2 * snapshot->trie->node_count + 1;
}

size_t snapshot_set_octets(const struct snapshot *snapshot)
{
	return (size_t)ranges_in(snapshot) * ADDRESS_SET_RANGE_OCTETS + ARENA_ALIGNMENT;
}

// Up to and with last, the class of the innermost open prefix holds.
static void write_up_to(struct pass *pass, address_key last)
{
	const struct prefix_trie_node *node = &pass->trie->nodes[pass->open[pass->depth - 1]];

	if (pass->wanted[node->class])
		address_set_write(&pass->writer, (struct address_range){pass->next, last});
	pass->ended = last == ADDRESS_KEY_MAX;
	pass->next = last + 1;
}

static void close_node(struct pass *pass)
{
	const struct prefix_trie_node *node = &pass->trie->nodes[pass->open[pass->depth - 1]];
	const address_key last = address_key_last(node->first, node->len);

	if (!pass->ended && pass->next <= last)
		write_up_to(pass, last);
	pass->depth--;
}

static void open_node(struct pass *pass, uint32_t index)
{
	const struct prefix_trie_node *node = &pass->trie->nodes[index];

	while (pass->depth > 0 && pass->open[pass->depth - 1] != node->parent)
		close_node(pass);
	if (pass->depth > 0 && pass->next < node->first)
		write_up_to(pass, node->first - 1);
	assert(pass->depth < DEPTH);
	pass->open[pass->depth++] = index;
}

struct address_set snapshot_set_of(
	struct arena *arena, const struct snapshot *snapshot, const bool *wanted)
{
	struct pass pass = {.trie = snapshot->trie,
		.wanted = wanted,
		.writer = address_set_writer_for(arena, ranges_in(snapshot))};

	for (uint32_t n = 0; n < snapshot->trie->node_count; n++)
		open_node(&pass, n);
	while (pass.depth > 0)
		close_node(&pass);
	return address_set_written(&pass.writer);
}
