#include "policy/class_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#include "config/address_key.h"
#include "policy/class_tree.h"

enum {
	WORD_BITS = 64,
	V4_SHIFT = 32,
	LINE_OCTETS = 64,
	RANGES_FIRST = 64,
};

// In the tree of upper halves: the root of a tree of lower halves.
#define VALUE_LOWER (UINT32_C(1) << 30)

struct class_table {
	uint32_t v4, v6; // roots
	uint32_t count;
	_Alignas(LINE_OCTETS) struct class_tree_line lines[];
};

// ---- Lookup

uint32_t class_table_lookup(const struct class_table *table, const struct ip_addr *client)
{
	const address_key key = address_key_of(client);
	uint32_t value;

	if (address_key_is_v4(key))
		return class_tree_find(table->lines, table->v4, (uint64_t)key << V4_SHIFT);
	value = class_tree_find(table->lines, table->v6, (uint64_t)(key >> WORD_BITS));
	if ((value & VALUE_LOWER) == 0)
		return value;
	return class_tree_find(table->lines, value & ~VALUE_LOWER, (uint64_t)key);
}

// Of v6 only the upper halves: where lower ones count, they are a client's own hosts, and few.
static uint64_t first_key(const struct class_table *table, const struct ip_addr *client,
	const struct class_tree_line **root)
{
	const address_key key = address_key_of(client);
	const bool v4 = address_key_is_v4(key);

	*root = &table->lines[v4 ? table->v4 : table->v6];
	return v4 ? (uint64_t)key << V4_SHIFT : (uint64_t)(key >> WORD_BITS);
}

void class_table_prefetch(
	const struct class_table *table, const struct ip_addr *const clients[], unsigned count)
{
	const struct class_tree_line *at[CLASS_TABLE_BURST];
	uint64_t keys[CLASS_TABLE_BURST];
	bool more = true;

	assert(count <= CLASS_TABLE_BURST);
	for (unsigned i = 0; i < count; i++)
		keys[i] = first_key(table, clients[i], &at[i]);
	while (more) {
		more = false;
		for (unsigned i = 0; i < count; i++) {
			uint32_t value;

			if (at[i] == NULL)
				continue;
			at[i] = class_tree_step(table->lines, at[i], keys[i], &value);
			__builtin_prefetch(at[i]);
			more = more || at[i] != NULL;
		}
	}
}

// ---- Prefixes to ranges

struct range {
	address_key first;
	uint32_t class;
};

// The ranges of one family, and the prefixes around the one that was seen last. They nest, so there is at most one of
// each length.
struct ranges {
	bool of_v4, failed;
	struct range *all;
	uint32_t count, room;
	unsigned depth;
	struct {
		address_key last;
		uint32_t class;
	} around[ADDRESS_KEY_BITS + 1];
};

static void grow(struct ranges *r)
{
	const uint32_t room = r->room > 0 ? 2 * r->room : RANGES_FIRST;
	struct range *all = reallocarray(r->all, room, sizeof(all[0]));

	r->failed = all == NULL;
	if (all == NULL)
		return;
	r->all = all;
	r->room = room;
}

static void add_range(struct ranges *r, address_key first, uint32_t class)
{
	if (r->count > 0 && r->all[r->count - 1].first == first)
		r->count--; // a longer prefix begins there as well
	if (r->count > 0 && r->all[r->count - 1].class == class)
		return;
	if (r->count == r->room)
		grow(r);
	if (!r->failed)
		r->all[r->count++] = (struct range){first, class};
}

// Close every prefix that ends before key: from there on the one around it holds.
static void close_before(struct ranges *r, address_key key)
{
	while (r->depth > 1 && r->around[r->depth - 1].last < key) {
		const address_key next = r->around[r->depth - 1].last + 1;

		r->depth--;
		add_range(r, next, r->around[r->depth - 1].class);
	}
}

static bool on_prefix(void *user, const struct ip_addr *addr, uint8_t len, uint32_t class)
{
	struct ranges *r = user;
	const address_key first = address_key_of(addr);

	if ((len >= ADDRESS_KEY_V4_LEN && address_key_is_v4(first)) != r->of_v4)
		return true;
	close_before(r, first);
	r->around[r->depth].last = address_key_last(first, len);
	r->around[r->depth++].class = class;
	add_range(r, first, class);
	return !r->failed;
}

// False: no memory. The root of the family is always there, and first.
static bool gather(struct ranges *r, const struct snapshot *snapshot, bool v4)
{
	*r = (struct ranges){.of_v4 = v4};
	snapshot_each_prefix(snapshot, on_prefix, r);
	close_before(r, v4 ? ADDRESS_KEY_V4_LAST : ADDRESS_KEY_MAX);
	return !r->failed;
}

// ---- Ranges to trees

// Room for halves of ranges: up to two of each, and the one before.
static struct class_tree_range *halves_for(const struct ranges *r)
{
	return calloc(2 * (size_t)r->count + 1, sizeof(struct class_tree_range));
}

static uint32_t add_v4(struct class_tree *tree, const struct ranges *r)
{
	struct class_tree_range *halves = halves_for(r);
	uint32_t root = 0;

	tree->failed = tree->failed || halves == NULL;
	for (uint32_t i = 0; halves != NULL && i < r->count; i++)
		halves[i] = (struct class_tree_range){
			(uint64_t)r->all[i].first << V4_SHIFT, r->all[i].class};
	if (!tree->failed)
		root = class_tree_add(tree, halves, r->count);
	free(halves);
	return root;
}

struct upper {
	struct class_tree_range *halves;
	uint32_t count;
};

// The last to speak of an address counts.
static void add_upper(struct upper *upper, uint64_t first, uint32_t value)
{
	if (upper->count > 0 && upper->halves[upper->count - 1].first == first)
		upper->count--;
	if (upper->count == 0 || upper->halves[upper->count - 1].value != value)
		upper->halves[upper->count++] = (struct class_tree_range){first, value};
}

// Ranges from i on that begin in one upper half: a value when the first begins where it does and is alone, else a tree for the lower
// halves. Returns the range behind them.
static uint32_t add_group(struct class_tree *tree, const struct ranges *r, uint32_t i,
	struct upper *upper, struct class_tree_range *lower)
{
	const uint64_t word = (uint64_t)(r->all[i].first >> WORD_BITS);
	uint32_t count = 0, end = i;

	if ((uint64_t)r->all[i].first != 0)
		lower[count++] = (struct class_tree_range){0, r->all[i - 1].class};
	for (; end < r->count && r->all[end].first >> WORD_BITS == word; end++)
		lower[count++] =
			(struct class_tree_range){(uint64_t)r->all[end].first, r->all[end].class};
	if (count == 1) {
		add_upper(upper, word, lower[0].value);
		return end;
	}
	add_upper(upper, word, VALUE_LOWER | class_tree_add(tree, lower, count));
	if (word != UINT64_MAX)
		add_upper(upper, word + 1, r->all[end - 1].class);
	return end;
}

static uint32_t add_v6(struct class_tree *tree, const struct ranges *r)
{
	struct upper upper = {.halves = halves_for(r)};
	struct class_tree_range *lower = halves_for(r);
	uint32_t root = 0;

	tree->failed = tree->failed || upper.halves == NULL || lower == NULL;
	for (uint32_t i = 0; !tree->failed && i < r->count;)
		i = add_group(tree, r, i, &upper, lower);
	tree->failed = tree->failed || tree->count >= VALUE_LOWER;
	if (!tree->failed)
		root = class_tree_add(tree, upper.halves, upper.count);
	free(upper.halves);
	free(lower);
	return root;
}

// Into memory of the lcores: huge pages, when there are any.
static struct class_table *keep(const struct class_tree *tree)
{
	const size_t octets = tree->count * sizeof(tree->lines[0]);
	struct class_table *table = rte_malloc("class_table", sizeof(*table) + octets, LINE_OCTETS);

	if (table == NULL)
		return NULL;
	memcpy(table->lines, tree->lines, octets);
	table->count = tree->count;
	return table;
}

enum err class_table_build(const struct snapshot *snapshot, struct class_table **out)
{
	struct class_tree tree = {0};
	struct class_table *table;
	struct ranges ranges;
	uint32_t roots[2] = {0};

	assert(snapshot->class_count < VALUE_LOWER);
	for (unsigned v4 = 0; v4 < 2; v4++) {
		tree.failed = !gather(&ranges, snapshot, v4) || tree.failed;
		if (!tree.failed)
			roots[v4] = v4 ? add_v4(&tree, &ranges) : add_v6(&tree, &ranges);
		free(ranges.all);
	}
	table = tree.failed ? NULL : keep(&tree);
	class_tree_free(&tree);
	if (table == NULL)
		return ERR_NO_MEMORY;
	table->v6 = roots[0];
	table->v4 = roots[1];
	*out = table;
	return ERR_OK;
}

void class_table_free(struct class_table *table)
{
	rte_free(table);
}

size_t class_table_octets(const struct class_table *table)
{
	return sizeof(*table) + table->count * sizeof(table->lines[0]);
}
