// class_tree.h - numbers of 64 bits to values by ranges: an immutable tree of cache lines.
//
// A line is either a node that branches by as many bits as its ranges fill, or up to five boundaries and the six values between
// them. Of 400,000 random boundaries most are a root and one line away, however they are spread a few more; a prefix takes about 50 octets.
//
// Thread:  built by one; looked up by any.
// Memory:  building: malloc. The result is an array of lines that the caller keeps where it likes.
// Blocks:  lookups never. Cost: one cache line a step. Ranges made to be deep take at most 21 + 8 steps.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CLASS_TREE_KEYS = 5, // and one value more fill a cache line
};

// Values are the caller's below this.
#define CLASS_TREE_VALUES (UINT32_C(1) << 31)

// What stands in a line besides: value | this is the line to go on with; in value[CLASS_TREE_KEYS]: the line is a node.
#define CLASS_TREE_LINE   CLASS_TREE_VALUES
#define CLASS_TREE_BRANCH UINT32_MAX

struct class_tree_line {
	union {
		uint64_t key
			[CLASS_TREE_KEYS]; // value[i] holds below key[i]; unused ones are the largest
		struct {
			uint64_t first, span; // keys from first to first + span are below this node
			uint32_t before, behind, child;
			uint8_t shift; // child n has those with (key - first) >> shift == n
		};
	};
	uint32_t value[CLASS_TREE_KEYS + 1];
};

_Static_assert(sizeof(struct class_tree_line) == 64, "one cache line");

// The value holds from first up to the first of the next.
struct class_tree_range {
	uint64_t first;
	uint32_t value;
};

// Lines of any number of trees.
struct class_tree {
	struct class_tree_line *lines;
	uint32_t count, room;
	bool failed; // no memory: whatever is added, looked at once at the end
};

// Add a tree of count ranges (at least one) in order of first; the first one holds below it as well. Returns its root.
uint32_t class_tree_add(
	struct class_tree *tree, const struct class_tree_range *ranges, uint32_t count);

// Give the lines back.
void class_tree_free(struct class_tree *tree);

// What a line says of a key that does not go on to its children.
static inline uint32_t class_tree_value(const struct class_tree_line *l, uint64_t key)
{
	unsigned rank = 0;

	if (l->value[CLASS_TREE_KEYS] == CLASS_TREE_BRANCH)
		return key < l->first ? l->before : l->behind;
	for (unsigned i = 0; i < CLASS_TREE_KEYS; i++)
		rank += key >= l->key[i];
	return l->value[rank];
}

// The line to go on with; NULL: *value is what was looked for.
static inline const struct class_tree_line *class_tree_step(const struct class_tree_line *lines,
	const struct class_tree_line *l, uint64_t key, uint32_t *value)
{
	if (l->value[CLASS_TREE_KEYS] == CLASS_TREE_BRANCH && key - l->first <= l->span)
		return &lines[l->child + (uint32_t)((key - l->first) >> l->shift)];
	*value = class_tree_value(l, key);
	return (*value & CLASS_TREE_LINE) != 0 ? &lines[*value & ~CLASS_TREE_LINE] : NULL;
}

static inline uint32_t class_tree_find(
	const struct class_tree_line *lines, uint32_t root, uint64_t key)
{
	const struct class_tree_line *l = &lines[root];
	uint32_t value = 0;

	while (l != NULL)
		l = class_tree_step(lines, l, key, &value);
	return value;
}
