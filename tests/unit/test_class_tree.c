// The tree of cache lines against a walk over its ranges: scattered, clustered, and made to be deep.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "policy/class_tree.h"

enum {
	MOST = 200000,
	LINES_A_RANGE = 3,
	STEPS_MOST = 29,
};

static uint64_t state = 88172645463325252;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int compare(const void *left, const void *right)
{
	const struct class_tree_range *a = left, *b = right;

	return a->first < b->first ? -1 : a->first > b->first;
}

// Sorted, each first once, values that tell neighbours apart.
static uint32_t settle(struct class_tree_range *ranges, uint32_t count)
{
	uint32_t kept = 1;

	qsort(ranges, count, sizeof(ranges[0]), compare);
	for (uint32_t i = 1; i < count; i++) {
		if (ranges[i].first != ranges[kept - 1].first)
			ranges[kept++] = ranges[i];
	}
	for (uint32_t i = 0; i < kept; i++)
		ranges[i].value = i;
	return kept;
}

static uint32_t slow_find(const struct class_tree_range *ranges, uint32_t count, uint64_t key)
{
	uint32_t low = 0, high = count;

	while (high - low > 1) {
		const uint32_t middle = low + (high - low) / 2;

		if (ranges[middle].first <= key)
			low = middle;
		else
			high = middle;
	}
	return ranges[low].value;
}

// How many lines a lookup reads.
static unsigned steps(const struct class_tree *tree, uint32_t at, uint64_t key)
{
	for (unsigned n = 1;; n++) {
		const struct class_tree_line *l = &tree->lines[at];
		uint32_t value;

		assert_true(n <= STEPS_MOST && at < tree->count);
		if (l->value[CLASS_TREE_KEYS] == CLASS_TREE_BRANCH && key - l->first <= l->span) {
			at = l->child + (uint32_t)((key - l->first) >> l->shift);
			continue;
		}
		value = l->value[CLASS_TREE_KEYS] == CLASS_TREE_BRANCH
				? (key < l->first ? l->before : l->behind)
				: l->value[(key >= l->key[0]) + (key >= l->key[1]) +
					   (key >= l->key[2]) + (key >= l->key[3]) +
					   (key >= l->key[4])];
		if ((value & CLASS_TREE_LINE) == 0)
			return n;
		at = value & ~CLASS_TREE_LINE;
	}
}

// Every boundary, the keys beside it, and as many anywhere. Returns the lines that lookups read on average, in thousandths.
static uint64_t check(struct class_tree_range *ranges, uint32_t count)
{
	struct class_tree tree = {0};
	uint64_t sum = 0;

	count = settle(ranges, count);
	const uint32_t root = class_tree_add(&tree, ranges, count);

	assert_false(tree.failed);
	assert_true(tree.count <= LINES_A_RANGE * (uint64_t)count + 1);
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t keys[] = {
			ranges[i].first, ranges[i].first - 1, ranges[i].first + 1, draw()};

		for (unsigned k = 0; k < 4; k++) {
			assert_int_equal(class_tree_find(tree.lines, root, keys[k]),
				slow_find(ranges, count, keys[k]));
			sum += steps(&tree, root, keys[k]);
		}
	}
	class_tree_free(&tree);
	return sum * 250 / count;
}

static struct class_tree_range *room(void)
{
	return calloc(MOST, sizeof(struct class_tree_range));
}

static void test_tree_any_small_number_of_ranges_is_found(void **unused)
{
	struct class_tree_range *ranges = room();

	(void)unused;
	for (uint32_t count = 1; count < 300; count++) {
		for (uint32_t i = 0; i < count; i++)
			ranges[i].first = draw() >> (draw() % 64);
		(void)check(ranges, count);
	}
	free(ranges);
}

static void test_tree_scattered_ranges_take_little_more_than_two_lines(void **unused)
{
	struct class_tree_range *ranges = room();

	(void)unused;
	for (uint32_t i = 0; i < MOST; i++)
		ranges[i].first = draw();
	assert_in_range(check(ranges, MOST), 2000, 2500);
	free(ranges);
}

// A provider that lists each of its customers, and everybody else.
static void test_tree_clusters_take_few_lines(void **unused)
{
	struct class_tree_range *ranges = room();

	(void)unused;
	for (uint32_t i = 0; i < MOST; i++)
		ranges[i].first = i % 2 == 0
					  ? draw()
					  : UINT64_C(0x2a02810000000000) | (draw() & 0xffffffff00);
	assert_in_range(check(ranges, MOST), 2000, 4000);
	free(ranges);
}

static void test_tree_both_ends_are_boundaries(void **unused)
{
	struct class_tree_range *ranges = room();

	(void)unused;
	for (uint32_t i = 0; i < 100; i++) {
		ranges[2 * i].first = i;
		ranges[2 * i + 1].first = UINT64_MAX - i;
	}
	(void)check(ranges, 200);
	free(ranges);
}

// Boundaries at powers of two, and powers of two behind each of them: few bits tell many apart.
static void test_tree_lists_made_to_be_deep_stay_bounded(void **unused)
{
	struct class_tree_range *ranges = room();
	uint32_t count = 0;

	(void)unused;
	for (unsigned a = 0; a < 64; a++) {
		for (unsigned b = 0; b < 64; b++) {
			for (unsigned c = 0; c < 40; c++)
				ranges[count++].first = (UINT64_C(1) << a) ^ (UINT64_C(1) << b) ^
							(UINT64_C(1) << c);
		}
	}
	(void)check(ranges, count);
	free(ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_any_small_number_of_ranges_is_found),
		cmocka_unit_test(test_tree_scattered_ranges_take_little_more_than_two_lines),
		cmocka_unit_test(test_tree_clusters_take_few_lines),
		cmocka_unit_test(test_tree_both_ends_are_boundaries),
		cmocka_unit_test(test_tree_lists_made_to_be_deep_stay_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
