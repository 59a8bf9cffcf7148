#include "deliver/segment_set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	FILL_MAX = 1024, // a number that jumps further is a new spool, or a damaged one
};

static size_t lower_bound(const struct segment_set *set, uint64_t number)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (set->at[mid].number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct segment *segment_set_find(const struct segment_set *set, uint64_t number)
{
	size_t i = lower_bound(set, number);

	return i < set->count && set->at[i].number == number ? &set->at[i] : NULL;
}

static struct segment *insert(struct segment_set *set, uint64_t number)
{
	size_t i = lower_bound(set, number);

	if (set->count == set->room) {
		set->room = set->room == 0 ? 16 : set->room * 2;
		set->at = reallocarray(set->at, set->room, sizeof(*set->at));
		assert(set->at != NULL);
	}
	memmove(set->at + i + 1, set->at + i, (set->count - i) * sizeof(*set->at));
	set->at[i] = (struct segment){.number = number};
	set->count++;
	return &set->at[i];
}

struct segment *segment_set_get(struct segment_set *set, uint64_t number)
{
	struct segment *s = segment_set_find(set, number);
	uint64_t newest = set->count > 0 ? set->at[set->count - 1].number : number;

	if (s != NULL)
		return s;
	// Those between were written while we looked elsewhere and hold nothing for us, but they have to be offered as well.
	for (uint64_t n = newest + 1; number > newest && number - newest <= FILL_MAX && n < number;
		n++)
		insert(set, n);
	return insert(set, number);
}

void segment_set_ref(struct segment_set *set, uint64_t number)
{
	segment_set_get(set, number)->refs++;
}

void segment_set_unref(struct segment_set *set, uint64_t number)
{
	struct segment *s = segment_set_find(set, number);

	assert(s != NULL && s->refs > 0);
	s->refs--;
}

void segment_set_add_id(struct segment_set *set, uint64_t number, uint64_t id)
{
	struct segment *s = segment_set_get(set, number);

	if (s->id_count == s->id_room) {
		s->id_room = s->id_room == 0 ? 16 : s->id_room * 2;
		s->ids = reallocarray(s->ids, s->id_room, sizeof(*s->ids));
		assert(s->ids != NULL);
	}
	s->ids[s->id_count++] = id;
}

bool segment_set_offer(struct segment_set *set, uint64_t seen, int64_t now_ms, uint64_t *number)
{
	for (size_t i = 0; i < set->count && set->at[i].number < seen; i++) {
		struct segment *s = &set->at[i];

		if (s->refs > 0 || s->is_pinned)
			continue;
		if (s->offered_ms != 0 && now_ms - s->offered_ms < SEGMENT_SET_AGAIN_MS)
			continue;
		s->offered_ms = now_ms;
		*number = s->number;
		return true;
	}
	return false;
}

void segment_set_remove(struct segment_set *set, uint64_t number)
{
	struct segment *s = segment_set_find(set, number);
	size_t i;

	if (s == NULL)
		return;
	i = (size_t)(s - set->at);
	free(s->ids);
	set->count--;
	memmove(s, s + 1, (set->count - i) * sizeof(*set->at));
}

void segment_set_free(struct segment_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		free(set->at[i].ids);
	free(set->at);
	*set = (struct segment_set){0};
}
