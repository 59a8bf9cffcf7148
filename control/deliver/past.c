#include "deliver/past.h"

#include <assert.h>
#include <stdlib.h>

void past_add(struct past *past, const struct spool_outcome_entry *entry)
{
	if (past->count == past->room) {
		past->room = past->room == 0 ? 256 : past->room * 2;
		past->at = reallocarray(past->at, past->room, sizeof(*past->at));
		assert(past->at != NULL);
	}
	past->at[past->count++] =
		(struct past_entry){entry->id, {entry->outcome.rcpt, entry->outcome.kind}};
}

static int by_id(const void *a, const void *b)
{
	const struct past_entry *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->past.rcpt > y->past.rcpt) - (x->past.rcpt < y->past.rcpt);
}

void past_sort(struct past *past)
{
	if (past->count > 0)
		qsort(past->at, past->count, sizeof(*past->at), by_id);
}

const struct past_entry *past_find(const struct past *past, uint64_t id, size_t *count)
{
	size_t low = 0, high = past->count, end;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (past->at[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	end = low;
	while (end < past->count && past->at[end].id == id)
		end++;
	*count = end - low;
	return past->at + low;
}

void past_free(struct past *past)
{
	free(past->at);
	*past = (struct past){0};
}
