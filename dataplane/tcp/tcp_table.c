#include "tcp/tcp_table.h"

#include <assert.h>

#include "tcp/tcp_conn.h"
#include "tcp/tcp_stack.h"

static uint32_t entries_for(uint32_t conns)
{
	uint32_t entries = 4;

	while (entries < 2 * (uint64_t)conns)
		entries *= 2;
	return entries;
}

size_t tcp_table_octets(uint32_t conns)
{
	return entries_for(conns) * sizeof(struct tcp_table_entry);
}

void tcp_table_init(struct tcp_table *table, void *memory, uint32_t conns)
{
	table->entries = memory;
	table->mask = entries_for(conns) - 1;
}

struct tcp_conn *tcp_table_find(const struct tcp_stack *stack, const struct tcp_tuple *tuple)
{
	const struct tcp_table *table = &stack->table;
	uint32_t hash = (uint32_t)tcp_tuple_hash(&stack->keys.table, tuple, 0);

	for (uint32_t i = hash & table->mask; table->entries[i].slot != 0;
		i = (i + 1) & table->mask) {
		if (table->entries[i].hash != hash)
			continue;

		struct tcp_conn *conn = tcp_stack_slot(stack, table->entries[i].slot - 1);

		if (tcp_tuple_eq(&conn->tuple, tuple))
			return conn;
	}
	return NULL;
}

void tcp_table_add(struct tcp_stack *stack, struct tcp_conn *conn)
{
	struct tcp_table *table = &stack->table;
	uint32_t hash = (uint32_t)tcp_tuple_hash(&stack->keys.table, &conn->tuple, 0);
	uint32_t i = hash & table->mask;

	conn->hash = hash;
	while (table->entries[i].slot != 0)
		i = (i + 1) & table->mask;
	table->entries[i] = (struct tcp_table_entry){hash, conn->index + 1};
}

// Close the gap at hole: an entry that would no longer be found from its own place moves into it.
static void close_gap(struct tcp_table *table, uint32_t hole)
{
	uint32_t mask = table->mask;

	for (uint32_t i = (hole + 1) & mask; table->entries[i].slot != 0; i = (i + 1) & mask) {
		uint32_t home = table->entries[i].hash & mask;

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		table->entries[hole] = table->entries[i];
		hole = i;
	}
	table->entries[hole] = (struct tcp_table_entry){0};
}

void tcp_table_remove(struct tcp_stack *stack, const struct tcp_conn *conn)
{
	struct tcp_table *table = &stack->table;
	uint32_t i = conn->hash & table->mask;

	while (table->entries[i].slot != conn->index + 1) {
		assert(table->entries[i].slot != 0);
		i = (i + 1) & table->mask;
	}
	close_gap(table, i);
}
