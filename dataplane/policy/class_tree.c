#include "policy/class_tree.h"

#include <assert.h>

#include <stdlib.h>

enum {
	KEYS = CLASS_TREE_KEYS,
	BITS = 64,
	LINES_FIRST = 64,
	SPLIT_MOST = (KEYS + 1) * (KEYS + 1), // ranges that two steps by comparison find
	BRANCH_LEAST = 3, // fewer bits: children by comparison are the better node
	BRANCH_MOST = 24,
};

// ranges[0] holds below ranges[1].first, whatever its own first is.
struct run {
	const struct class_tree_range *ranges;
	uint32_t count;
};

static void fill(struct class_tree *tree, uint32_t at, struct run run);

static void grow(struct class_tree *tree)
{
	const uint32_t room = tree->room > 0 ? 2 * tree->room : LINES_FIRST;
	struct class_tree_line *lines = reallocarray(tree->lines, room, sizeof(lines[0]));

	tree->failed = lines == NULL;
	if (lines == NULL)
		return;
	tree->lines = lines;
	tree->room = room;
}

// The first of so many new lines.
static uint32_t take_lines(struct class_tree *tree, uint32_t count)
{
	const uint32_t first = tree->count;

	// The last line's number must not look like the mark of a node.
	tree->failed = tree->failed || first + (uint64_t)count >= CLASS_TREE_LINE - 1;
	while (!tree->failed && tree->room - first < count)
		grow(tree);
	if (!tree->failed)
		tree->count += count;
	return first;
}

static void fill_keys(struct class_tree_line *line, struct run run)
{
	for (uint32_t i = 0; i < KEYS; i++) {
		const bool used = i + 1 < run.count;

		line->key[i] = used ? run.ranges[i + 1].first : UINT64_MAX;
		line->value[i] = run.ranges[used ? i : run.count - 1].value;
	}
	line->value[KEYS] = run.ranges[run.count - 1].value;
}

static unsigned common_bits(uint64_t a, uint64_t b)
{
	return a == b ? BITS : (unsigned)__builtin_clzll(a ^ b);
}

// By how many bits behind the first common ones to branch: as many as leave at most half of the children without a boundary
// of their own, and make no more children than there are pairs of boundaries.
static unsigned branch_bits(struct run run, unsigned common)
{
	uint32_t apart[BITS + 1] = {0}; // neighbours that first differ behind so many bits
	uint32_t filled = 1;
	unsigned best = 0;

	for (uint32_t i = 2; i < run.count; i++)
		apart[common_bits(run.ranges[i - 1].first, run.ranges[i].first)]++;
	for (unsigned bits = 1; bits <= BRANCH_MOST && common + bits <= BITS; bits++) {
		const uint64_t children = UINT64_C(1) << bits;

		filled += apart[common + bits - 1];
		if (children <= 2 * (uint64_t)filled && children <= run.count / 2)
			best = bits;
	}
	return best;
}

// What of run concerns the keys from first to last: the boundaries between them, and the range that holds before.
static struct run part_of(struct run run, uint64_t first, uint64_t last)
{
	uint32_t begin = 0, end;

	while (begin + 1 < run.count && run.ranges[begin + 1].first <= first)
		begin++;
	end = begin;
	while (end + 1 < run.count && run.ranges[end + 1].first <= last)
		end++;
	return (struct run){run.ranges + begin, end - begin + 1};
}

static void fill_branch(
	struct class_tree *tree, uint32_t at, struct run run, unsigned common, unsigned bits)
{
	assert(common < BITS);
	const unsigned shift = BITS - common - bits;
	const uint64_t span = UINT64_MAX >> common;
	const uint64_t first = run.ranges[1].first & ~span;
	const uint32_t child = take_lines(tree, UINT32_C(1) << bits);
	const struct class_tree_range *end = run.ranges + run.count;

	if (tree->failed)
		return;
	tree->lines[at] = (struct class_tree_line){.first = first,
		.span = span,
		.before = run.ranges[0].value,
		.behind = run.ranges[run.count - 1].value,
		.child = child,
		.shift = (uint8_t)shift,
		.value[KEYS] = CLASS_TREE_BRANCH};
	for (uint32_t n = 0; n < UINT32_C(1) << bits; n++) {
		const uint64_t begin = first + ((uint64_t)n << shift);
		const struct run part = part_of(run, begin, begin + ((UINT64_C(1) << shift) - 1));

		fill(tree, child + n, part);
		run = (struct run){part.ranges, (uint32_t)(end - part.ranges)};
	}
}

// Children of about the same number of ranges, as few as will do.
static void fill_split(struct class_tree *tree, uint32_t at, struct run run)
{
	const uint32_t count = run.count < SPLIT_MOST ? run.count / (KEYS + 1) + 1 : KEYS + 1;
	const uint32_t child = take_lines(tree, count);
	struct class_tree_range ranges[KEYS + 1];

	if (tree->failed)
		return;
	for (uint32_t n = 0; n < count; n++) {
		const uint32_t begin = (uint32_t)((uint64_t)run.count * n / count);
		const uint32_t end = (uint32_t)((uint64_t)run.count * (n + 1) / count);

		ranges[n] = (struct class_tree_range){
			run.ranges[begin].first, CLASS_TREE_LINE | (child + n)};
		fill(tree, child + n, (struct run){run.ranges + begin, end - begin});
	}
	if (!tree->failed)
		fill_keys(&tree->lines[at], (struct run){ranges, count});
}

static void fill(struct class_tree *tree, uint32_t at, struct run run)
{
	unsigned common, bits = 0;

	if (tree->failed)
		return;
	if (run.count <= KEYS + 1) {
		fill_keys(&tree->lines[at], run);
		return;
	}
	common = common_bits(run.ranges[1].first, run.ranges[run.count - 1].first);
	if (run.count > SPLIT_MOST)
		bits = branch_bits(run, common);
	if (bits >= BRANCH_LEAST)
		fill_branch(tree, at, run, common, bits);
	else
		fill_split(tree, at, run);
}

uint32_t class_tree_add(
	struct class_tree *tree, const struct class_tree_range *ranges, uint32_t count)
{
	const uint32_t root = take_lines(tree, 1);

	fill(tree, root, (struct run){ranges, count});
	return root;
}

void class_tree_free(struct class_tree *tree)
{
	free(tree->lines);
	*tree = (struct class_tree){0};
}
