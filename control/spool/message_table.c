#include "spool/message_table.h"

#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"

enum {
	BUCKETS = LIMIT_SPOOL_OPEN / 4,
	SLAB = 256,        // entries that are allocated together, when they are first needed
	EXTENTS_KEPT = 32, // room that a free entry keeps for the next message
};

struct message_table {
	uint32_t extents;
	uint32_t touched; // entries that were ever used
	struct open_message *free_list;
	struct open_message *buckets[BUCKETS];
	struct open_message *slabs[LIMIT_SPOOL_OPEN / SLAB];
};

static_assert((BUCKETS & (BUCKETS - 1)) == 0, "taken as a mask");
static_assert(LIMIT_SPOOL_OPEN % SLAB == 0, "no part of a slab");

struct message_table *message_table_new(void)
{
	return calloc(1, sizeof(struct message_table));
}

static struct open_message *entry(const struct message_table *table, uint32_t i)
{
	return &table->slabs[i / SLAB][i % SLAB];
}

void message_table_free(struct message_table *table)
{
	for (uint32_t i = 0; i < table->touched; i++)
		free(entry(table, i)->extents);
	for (uint32_t i = 0; i < LIMIT_SPOOL_OPEN / SLAB; i++)
		free(table->slabs[i]);
	free(table);
}

// Ids are our own: worker in the middle, counter below. Fibonacci hashing spreads both; no stranger chooses them.
static struct open_message **bucket_of(struct message_table *table, uint64_t id)
{
	return &table->buckets[(id * 0x9e3779b97f4a7c15) >> 40 & (BUCKETS - 1)];
}

struct open_message *message_table_find(struct message_table *table, uint64_t id)
{
	struct open_message *message = *bucket_of(table, id);

	while (message != NULL && message->id != id)
		message = message->next;
	return message;
}

static struct open_message *take_free(struct message_table *table)
{
	struct open_message *message = table->free_list;
	struct open_message **slab = &table->slabs[table->touched / SLAB];

	if (message != NULL) {
		table->free_list = message->next;
		return message;
	}
	if (table->touched == LIMIT_SPOOL_OPEN)
		return NULL;
	if (*slab == NULL)
		*slab = calloc(SLAB, sizeof(**slab));
	return *slab != NULL ? entry(table, table->touched++) : NULL;
}

struct open_message *message_table_add(struct message_table *table, uint64_t id)
{
	struct open_message **bucket = bucket_of(table, id);
	struct open_message *message = take_free(table);

	if (message == NULL)
		return NULL;
	message->id = id;
	message->body_octets = 0;
	message->extent_count = 0;
	message->failed = ERR_OK;
	message->next = *bucket;
	*bucket = message;
	return message;
}

static enum err make_room(struct open_message *message)
{
	uint32_t room = message->extent_room == 0 ? 4 : message->extent_room * 2;
	struct spool_extent *more = realloc(message->extents, room * sizeof(*more));

	if (more == NULL)
		return ERR_NO_MEMORY;
	message->extents = more;
	message->extent_room = room;
	return ERR_OK;
}

enum err message_table_extend(struct message_table *table, struct open_message *message,
	const struct spool_extent *extent)
{
	if (message->extent_count == LIMIT_SPOOL_EXTENTS ||
		table->extents == LIMIT_SPOOL_EXTENTS_OPEN)
		return ERR_NO_MEMORY;
	if (message->extent_count == message->extent_room)
		TRY(make_room(message));
	message->extents[message->extent_count++] = *extent;
	message->body_octets += extent->octets;
	table->extents++;
	return ERR_OK;
}

void message_table_remove(struct message_table *table, struct open_message *message)
{
	struct open_message **at = bucket_of(table, message->id);

	while (*at != message)
		at = &(*at)->next;
	*at = message->next;
	table->extents -= message->extent_count;
	if (message->extent_room > EXTENTS_KEPT) {
		free(message->extents);
		message->extents = NULL;
		message->extent_room = 0;
	}
	message->extent_count = 0;
	message->next = table->free_list;
	table->free_list = message;
}

// Extents are in the order of writing, so segments ascend.
static bool has_chunk(const struct open_message *message, uint64_t segment)
{
	for (uint32_t i = message->extent_count; i > 0; i--) {
		if (message->extents[i - 1].segment <= segment)
			return message->extents[i - 1].segment == segment;
	}
	return false;
}

bool message_table_uses(const struct message_table *table, uint64_t segment)
{
	for (uint32_t i = 0; i < table->touched; i++) {
		if (has_chunk(entry(table, i), segment))
			return true;
	}
	return false;
}
