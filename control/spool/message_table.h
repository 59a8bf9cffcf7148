// message_table.h - the messages that are begun and not committed: where their chunks are.
//
// Thread:  the owner of the spool writer.
// Memory:  bounded: LIMIT_SPOOL_OPEN messages, LIMIT_SPOOL_EXTENTS each, LIMIT_SPOOL_EXTENTS_OPEN together.
// Blocks:  never. Cost: O(1), message_table_uses() O(chunks of open messages).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/spool_record.h"

struct message_table;

struct open_message {
	struct open_message *next; // in its hash chain, or in the free list
	uint64_t id;
	uint64_t body_octets;
	struct spool_extent *extents;
	uint32_t extent_count, extent_room;
	enum err failed; // a chunk is missing: why
};

struct message_table *message_table_new(void);
void message_table_free(struct message_table *table);

// NULL: unknown.
struct open_message *message_table_find(struct message_table *table, uint64_t id);

// NULL: the table is full.
struct open_message *message_table_add(struct message_table *table, uint64_t id);

// Append an extent. ERR_NO_MEMORY: at a bound.
MUST_CHECK enum err message_table_extend(struct message_table *table, struct open_message *message,
	const struct spool_extent *extent);

void message_table_remove(struct message_table *table, struct open_message *message);

// An open message has a chunk in this segment. Only such segments are kept: a client that sends an octet an hour
// must not hold all that came after it.
bool message_table_uses(const struct message_table *table, uint64_t segment);
