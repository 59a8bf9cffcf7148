// past.h - outcomes of earlier runs, as the log had them, until the scan has met their messages.
//
// Thread: one. Memory: 16 octets an entry of the outcome log. Blocks: never.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "deliver/queue.h"
#include "spool/spool_reader.h"

struct past_entry {
	uint64_t id;
	struct queue_past past;
};

struct past {
	struct past_entry *at;
	size_t count, room;
};

void past_add(struct past *past, const struct spool_outcome_entry *entry);

// Once after the last past_add().
void past_sort(struct past *past);

// The entries of id: *count of them from the returned one on.
const struct past_entry *past_find(const struct past *past, uint64_t id, size_t *count);
void past_free(struct past *past);
