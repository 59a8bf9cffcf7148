#include "policy/class_table.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_fib.h>
#include <rte_malloc.h>
#include <rte_random.h>

enum {
	V4_MAPPED_LEN = 96,
	V4_BITS = 32,
	GROUP_LEN = 24,         // DIR24_8 spends a group on each /24 that holds a longer prefix
	FIB_GROUPS_MOST = 8192, // 8 MiB of groups; more: single addresses go to the hash
	GROUPS_SPARE = 16,      // the fib keeps some for itself
};

// class + 1, so that zeroed memory is free slots.
struct single {
	uint32_t addr, class_plus_1;
};

struct class_table {
	struct rte_fib *fib;
	const struct snapshot *snapshot; // v6 asks its trie
	struct single *singles;          // open addressing; NULL: all are in the fib
	uint64_t multiplier; // odd and random: lists may come from feeds that strangers write
	unsigned shift;
	uint32_t mask;
};

// What the trie holds for v4, counted before anything is reserved.
struct census {
	uint32_t routes, singles, class_default;
	uint32_t groups, groups_without_singles;
	uint32_t last_group, last_group_without_singles;
};

static bool in_v4(const struct ip_addr *addr, uint8_t len)
{
	return len >= V4_MAPPED_LEN && ip_addr_is_v4(addr);
}

// Nodes come in order of address, so each /24 is entered once.
static void count_group(uint32_t group, uint32_t *last, uint32_t *count)
{
	if (*count > 0 && *last == group)
		return;
	*last = group;
	(*count)++;
}

static bool count(void *user, const struct ip_addr *addr, uint8_t len, uint32_t class)
{
	struct census *census = user;

	if (!in_v4(addr, len))
		return true;
	const unsigned depth = (unsigned)len - V4_MAPPED_LEN;
	const uint32_t group = ip_addr_v4(addr) >> (V4_BITS - GROUP_LEN);

	if (depth == 0)
		census->class_default = class;
	census->routes++;
	if (depth > GROUP_LEN)
		count_group(group, &census->last_group, &census->groups);
	if (depth > GROUP_LEN && depth < V4_BITS)
		count_group(group, &census->last_group_without_singles,
			&census->groups_without_singles);
	census->singles += depth == V4_BITS;
	return true;
}

static uint32_t slot_of(const struct class_table *table, uint32_t addr)
{
	return (uint32_t)((addr * table->multiplier) >> table->shift);
}

static void add_single(struct class_table *table, uint32_t addr, uint32_t class)
{
	uint32_t at = slot_of(table, addr);

	while (table->singles[at].class_plus_1 != 0)
		at = (at + 1) & table->mask;
	table->singles[at] = (struct single){addr, class + 1};
}

struct filling {
	struct class_table *table;
	bool failed;
};

static bool fill(void *user, const struct ip_addr *addr, uint8_t len, uint32_t class)
{
	struct filling *filling = user;
	struct class_table *table = filling->table;

	if (!in_v4(addr, len) || len == V4_MAPPED_LEN)
		return true;
	const uint8_t depth = (uint8_t)(len - V4_MAPPED_LEN);

	if (depth == V4_BITS && table->singles != NULL)
		add_single(table, ip_addr_v4(addr), class);
	else
		filling->failed = rte_fib_add(table->fib, ip_addr_v4(addr), depth, class) != 0;
	return !filling->failed;
}

// The narrowest entries that hold every class and every group: the table has 16 million of them, so the width is what a start pays
// in page faults and a lookup in cache misses. One bit of an entry says which of the two it is.
static enum rte_fib_dir24_8_nh_sz entry_width(const struct class_table *table, uint32_t groups)
{
	const uint32_t most =
		groups > table->snapshot->class_count ? groups : table->snapshot->class_count;

	if (most < 1u << 7)
		return RTE_FIB_DIR24_8_1B;
	return most < 1u << 15 ? RTE_FIB_DIR24_8_2B : RTE_FIB_DIR24_8_4B;
}

static enum err create_fib(struct class_table *table, const struct census *census)
{
	static atomic_uint
		serial; // rte_fib finds tables by name, and two live at once during a reload
	const bool hashed = table->singles != NULL;
	const uint32_t routes = census->routes - (hashed ? census->singles : 0);
	const uint32_t groups = hashed ? census->groups_without_singles : census->groups;
	struct rte_fib_conf conf = {
		.type = RTE_FIB_DIR24_8,
		.default_nh = census->class_default,
		.max_routes = (int)routes + 1,
		.dir24_8 = {.nh_sz = entry_width(table, groups + GROUPS_SPARE),
			.num_tbl8 = groups + GROUPS_SPARE},
	};
	char name[32];

	(void)snprintf(name, sizeof(name), "class_%u", atomic_fetch_add(&serial, 1));
	table->fib = rte_fib_create(name, SOCKET_ID_ANY, &conf);
	return table->fib == NULL ? ERR_NO_MEMORY : ERR_OK;
}

// At most half full.
static enum err create_singles(struct class_table *table, uint32_t singles)
{
	unsigned bits = 1;

	while ((UINT64_C(1) << bits) < 2 * (uint64_t)singles)
		bits++;
	table->shift = 64 - bits;
	table->mask = (uint32_t)((UINT64_C(1) << bits) - 1);
	table->multiplier = rte_rand() | 1;
	table->singles = rte_zmalloc("class_singles", (size_t)sizeof(struct single) << bits, 64);
	return table->singles == NULL ? ERR_NO_MEMORY : ERR_OK;
}

static enum err build(struct class_table *table)
{
	struct census census = {0};
	struct filling filling = {.table = table};

	snapshot_each_prefix(table->snapshot, count, &census);
	if (census.groups > FIB_GROUPS_MOST && census.singles > 0)
		TRY(create_singles(table, census.singles));
	TRY(create_fib(table, &census));
	snapshot_each_prefix(table->snapshot, fill, &filling);
	return filling.failed ? ERR_NO_MEMORY : ERR_OK;
}

enum err class_table_build(const struct snapshot *snapshot, struct class_table **out)
{
	struct class_table *table = calloc(1, sizeof(*table));

	if (table == NULL)
		return ERR_NO_MEMORY;
	table->snapshot = snapshot;
	const enum err e = build(table);

	if (e != ERR_OK) {
		class_table_free(table);
		return e;
	}
	*out = table;
	return ERR_OK;
}

void class_table_free(struct class_table *table)
{
	if (table == NULL)
		return;
	rte_fib_free(table->fib);
	rte_free(table->singles);
	free(table);
}

// 0: not there.
static uint32_t find_single(const struct class_table *table, uint32_t addr)
{
	for (uint32_t at = slot_of(table, addr);; at = (at + 1) & table->mask) {
		const struct single single = table->singles[at];

		if (single.class_plus_1 == 0 || single.addr == addr)
			return single.class_plus_1;
	}
}

uint32_t class_table_lookup(const struct class_table *table, const struct ip_addr *client)
{
	if (!ip_addr_is_v4(client))
		return snapshot_class_of(table->snapshot, client);
	uint32_t addr = ip_addr_v4(client);
	uint64_t class;

	// The hash is asked first but its miss is not waited for: both memory accesses are on their way at once.
	const uint32_t single = table->singles == NULL ? 0 : find_single(table, addr);
	const int failed = rte_fib_lookup_bulk(table->fib, &addr, &class, 1);

	assert(failed == 0);
	return single != 0 ? single - 1 : (uint32_t) class;
}
