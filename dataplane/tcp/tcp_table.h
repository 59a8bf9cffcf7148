// tcp_table.h - 4-tuple to connection: open addressing, linear probing, fixed size, never more than half full.
//
// Thread:  the lcore that owns the stack.
// Memory:  16 to 32 octets a slot of the stack, given at init.
// Blocks:  never. Cost: one cache line of the table and one of the connection when found.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tcp/tcp_tuple.h"

struct tcp_conn;
struct tcp_stack;

struct tcp_table_entry {
	uint32_t hash;
	uint32_t slot; // index + 1; 0: empty
};

struct tcp_table {
	struct tcp_table_entry *entries;
	uint32_t mask;
};

size_t tcp_table_octets(uint32_t conns);
void tcp_table_init(struct tcp_table *table, void *memory, uint32_t conns);

// NULL: no such connection.
struct tcp_conn *tcp_table_find(const struct tcp_stack *stack, const struct tcp_tuple *tuple);

// conn's tuple must not be in the table. Sets conn->hash.
void tcp_table_add(struct tcp_stack *stack, struct tcp_conn *conn);

// conn must be in the table.
void tcp_table_remove(struct tcp_stack *stack, const struct tcp_conn *conn);
