// address_set.h - exact sets of addresses of both families: what a list means, and arithmetic on it.
//
// Sorted ranges that neither overlap nor touch. Results are new sets in the arena; arguments stay. Proofs over a configuration
// (open-relay guard, guarantees, who-can-relay, diff) are made of these.
//
// Thread:  any; no globals.
// Memory:  the arena; a result of an operation on sets of n and m ranges takes at most n + m + 1 of them.
// Blocks:  never. Cost: linear, but for address_set_of_prefixes(), which sorts.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/address_key.h"
#include "config/arena.h"
#include "config/config.h"

struct address_range {
	address_key first, last; // both in the set
};

struct address_set {
	const struct address_range *ranges;
	uint32_t count;
};

enum {
	ADDRESS_SET_RANGE_OCTETS = 32,
};

// A v6 prefix around the block of v4 is two ranges, since it says nothing of v4. Returns how many.
unsigned address_set_ranges_of(
	const struct ip_addr *addr, uint8_t len, struct address_range out[2]);

// Takes twice 2 * count ranges of the arena.
struct address_set address_set_of_prefixes(
	struct arena *arena, const struct config_prefix *prefixes, uint32_t count);

struct address_set address_set_all(struct arena *arena);

// A set being made of ranges: each next one does not begin before the one before it.
struct address_set_writer {
	struct address_range *ranges;
	uint32_t count;
};

// For at most so many ranges.
struct address_set_writer address_set_writer_for(struct arena *arena, uint32_t ranges);
void address_set_write(struct address_set_writer *writer, struct address_range range);
struct address_set address_set_written(const struct address_set_writer *writer);

// Who a list means: the prefixes (only), all others (all_except), or unwritten when nothing was written.
struct address_set address_set_of_list(
	struct arena *arena, const struct config_list *list, struct address_set unwritten);

// For tests.
struct address_set address_set_union(
	struct arena *arena, struct address_set a, struct address_set b);
struct address_set address_set_intersect(
	struct arena *arena, struct address_set a, struct address_set b);
struct address_set address_set_subtract(
	struct arena *arena, struct address_set a, struct address_set b);

// For tests.
bool address_set_has(struct address_set set, address_key key);

// The first run of addresses that are both in the set and in the range. False: none.
bool address_set_first_in(
	struct address_set set, struct address_range range, struct address_range *out);

// How many addresses of each family.
uint64_t address_set_count_v4(struct address_set set);
address_key address_set_count_v6(struct address_set set);

// The fewest prefixes that make the set, v4 first, each family in order. A v6 prefix around the block of v4 is given as in
// a list: it says nothing of v4. Returns false from fn to stop.
typedef bool address_set_prefix_fn(void *user, const struct ip_addr *addr, uint8_t len);
void address_set_each_prefix(struct address_set set, address_set_prefix_fn *fn, void *user);
