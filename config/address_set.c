#include "config/address_set.h"

#include <assert.h>
#include <stdlib.h>

static_assert(sizeof(struct address_range) == ADDRESS_SET_RANGE_OCTETS, "callers reserve by this");

unsigned address_set_ranges_of(const struct ip_addr *addr, uint8_t len, struct address_range out[2])
{
	const address_key first = address_key_of(addr), last = address_key_last(first, len);

	if (!address_key_straddles(first, len)) {
		out[0] = (struct address_range){first, last};
		return 1;
	}
	// The block is neither at the start nor at the end of any prefix around it: its neighbours exist.
	out[0] = (struct address_range){first, ADDRESS_KEY_V4_FIRST - 1};
	out[1] = (struct address_range){ADDRESS_KEY_V4_LAST + 1, last};
	return 2;
}

static int compare(const void *left, const void *right)
{
	const struct address_range *a = left, *b = right;

	return a->first < b->first ? -1 : a->first > b->first;
}

void address_set_write(struct address_set_writer *writer, struct address_range range)
{
	struct address_range *last = writer->count == 0 ? NULL : &writer->ranges[writer->count - 1];

	if (last != NULL && (last->last == ADDRESS_KEY_MAX || range.first <= last->last + 1)) {
		if (range.last > last->last)
			last->last = range.last;
		return;
	}
	writer->ranges[writer->count++] = range;
}

struct address_set_writer address_set_writer_for(struct arena *arena, uint32_t ranges)
{
	return (struct address_set_writer){
		.ranges = arena_take_array(arena, ranges, sizeof(struct address_range))};
}

struct address_set address_set_written(const struct address_set_writer *writer)
{
	return (struct address_set){writer->ranges, writer->count};
}

struct address_set address_set_of_prefixes(
	struct arena *arena, const struct config_prefix *prefixes, uint32_t count)
{
	struct address_set_writer raw = address_set_writer_for(arena, 2 * count),
				  merged = address_set_writer_for(arena, 2 * count);

	for (uint32_t i = 0; i < count; i++)
		raw.count += address_set_ranges_of(
			&prefixes[i].addr, prefixes[i].len, raw.ranges + raw.count);
	qsort(raw.ranges, raw.count, sizeof(raw.ranges[0]), compare);
	for (uint32_t i = 0; i < raw.count; i++)
		address_set_write(&merged, raw.ranges[i]);
	return address_set_written(&merged);
}

struct address_set address_set_all(struct arena *arena)
{
	struct address_set_writer writer = address_set_writer_for(arena, 1);

	address_set_write(&writer, (struct address_range){0, ADDRESS_KEY_MAX});
	return address_set_written(&writer);
}

struct address_set address_set_of_list(
	struct arena *arena, const struct config_list *list, struct address_set unwritten)
{
	if (list->mode == CONFIG_LIST_NONE)
		return unwritten;
	const struct address_set listed =
		address_set_of_prefixes(arena, list->prefixes, list->prefix_count);

	if (list->mode == CONFIG_LIST_ONLY)
		return listed;
	return address_set_subtract(arena, address_set_all(arena), listed);
}

struct address_set address_set_union(
	struct arena *arena, struct address_set a, struct address_set b)
{
	struct address_set_writer writer = address_set_writer_for(arena, a.count + b.count);
	uint32_t i = 0, j = 0;

	while (i < a.count || j < b.count) {
		const bool from_a =
			j == b.count || (i < a.count && a.ranges[i].first <= b.ranges[j].first);

		address_set_write(&writer, from_a ? a.ranges[i] : b.ranges[j]);
		i += from_a;
		j += !from_a;
	}
	return address_set_written(&writer);
}

struct address_set address_set_intersect(
	struct arena *arena, struct address_set a, struct address_set b)
{
	struct address_set_writer writer = address_set_writer_for(arena, a.count + b.count);
	uint32_t i = 0, j = 0;

	while (i < a.count && j < b.count) {
		const struct address_range x = a.ranges[i], y = b.ranges[j];
		const struct address_range both = {
			x.first > y.first ? x.first : y.first, x.last < y.last ? x.last : y.last};

		if (both.first <= both.last)
			address_set_write(&writer, both);
		if (x.last < y.last)
			i++;
		else
			j++;
	}
	return address_set_written(&writer);
}

static struct address_set complement(struct arena *arena, struct address_set set)
{
	struct address_set_writer writer = address_set_writer_for(arena, set.count + 1);
	address_key next = 0;

	for (uint32_t i = 0; i < set.count; i++) {
		if (set.ranges[i].first > next)
			address_set_write(
				&writer, (struct address_range){next, set.ranges[i].first - 1});
		if (set.ranges[i].last == ADDRESS_KEY_MAX)
			return address_set_written(&writer);
		next = set.ranges[i].last + 1;
	}
	address_set_write(&writer, (struct address_range){next, ADDRESS_KEY_MAX});
	return address_set_written(&writer);
}

struct address_set address_set_subtract(
	struct arena *arena, struct address_set a, struct address_set b)
{
	return address_set_intersect(arena, a, complement(arena, b));
}

// Index of the first range that does not end before key; count: none.
static uint32_t range_at(struct address_set set, address_key key)
{
	uint32_t low = 0, high = set.count;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;

		if (set.ranges[middle].last < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool address_set_has(struct address_set set, address_key key)
{
	const uint32_t at = range_at(set, key);

	return at < set.count && set.ranges[at].first <= key;
}

bool address_set_first_in(
	struct address_set set, struct address_range range, struct address_range *out)
{
	const uint32_t at = range_at(set, range.first);

	if (at == set.count || set.ranges[at].first > range.last)
		return false;
	*out = set.ranges[at];
	if (out->first < range.first)
		out->first = range.first;
	if (out->last > range.last)
		out->last = range.last;
	return true;
}

// The part of a range that is v4. False: nothing.
static bool clip_v4(struct address_range *range)
{
	if (range->last < ADDRESS_KEY_V4_FIRST || range->first > ADDRESS_KEY_V4_LAST)
		return false;
	if (range->first < ADDRESS_KEY_V4_FIRST)
		range->first = ADDRESS_KEY_V4_FIRST;
	if (range->last > ADDRESS_KEY_V4_LAST)
		range->last = ADDRESS_KEY_V4_LAST;
	return true;
}

uint64_t address_set_count_v4(struct address_set set)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < set.count; i++) {
		struct address_range range = set.ranges[i];

		if (clip_v4(&range))
			count += (uint64_t)(range.last - range.first) + 1;
	}
	return count;
}

// All addresses are one more than the type holds, but the block of v4 is never among those counted here.
address_key address_set_count_v6(struct address_set set)
{
	address_key count = 0;

	for (uint32_t i = 0; i < set.count; i++)
		count += set.ranges[i].last - set.ranges[i].first + 1;
	return count - address_set_count_v4(set);
}

struct receiver {
	address_set_prefix_fn *fn;
	void *user;
	bool v6; // blocks of v4 inside a range are passed over
};

// Fewest aligned blocks of one range, longest steps first.
static bool each_block(struct address_range range, const struct receiver *receiver)
{
	for (;;) {
		unsigned len = ADDRESS_KEY_BITS;

		while (len > 0 && (range.first & address_key_host_mask(len - 1)) == 0 &&
			address_key_last(range.first, len - 1) <= range.last)
			len--;
		const struct ip_addr addr = address_key_addr(range.first);
		const address_key last = address_key_last(range.first, len);

		const bool skip =
			receiver->v6 && address_key_is_v4(range.first) && len >= ADDRESS_KEY_V4_LEN;

		if (!skip && !receiver->fn(receiver->user, &addr, (uint8_t)len))
			return false;
		if (last >= range.last)
			return true;
		range.first = last + 1;
	}
}

// Ranges of v6: the block of v4 counts as whatever lies on both its sides.
static bool each_v6(struct address_set set, const struct receiver *receiver)
{
	struct address_range open = {0, 0};
	bool is_open = false;

	for (uint32_t i = 0; i < set.count; i++) {
		struct address_range range = set.ranges[i];

		if (range.first >= ADDRESS_KEY_V4_FIRST && range.last <= ADDRESS_KEY_V4_LAST)
			continue;
		if (range.first >= ADDRESS_KEY_V4_FIRST && range.first <= ADDRESS_KEY_V4_LAST + 1)
			range.first = ADDRESS_KEY_V4_LAST + 1;
		if (range.last <= ADDRESS_KEY_V4_LAST && range.last >= ADDRESS_KEY_V4_FIRST)
			range.last = ADDRESS_KEY_V4_FIRST - 1;
		if (is_open && open.last == ADDRESS_KEY_V4_FIRST - 1 &&
			range.first == ADDRESS_KEY_V4_LAST + 1) {
			open.last = range.last;
			continue;
		}
		if (is_open && !each_block(open, receiver))
			return false;
		open = range;
		is_open = true;
	}
	return !is_open || each_block(open, receiver);
}

void address_set_each_prefix(struct address_set set, address_set_prefix_fn *fn, void *user)
{
	const struct receiver v4 = {fn, user, false}, v6 = {fn, user, true};

	for (uint32_t i = 0; i < set.count; i++) {
		struct address_range range = set.ranges[i];

		if (clip_v4(&range) && !each_block(range, &v4))
			return;
	}
	(void)each_v6(set, &v6);
}
