// tcp_stack.h - the inside of struct tcp_stack: configuration, table, slots, lists, wheel, blocks.
// Not for users of tcp.h.
//
// Thread:  the lcore that owns the stack.
// Memory:  one piece given to tcp_stack_init(): this struct, the table, the slots, the ring of touched ones, a scratch buffer, the
//          blocks.

#pragma once

#include "base/block_pool.h"
#include "base/timer_wheel.h"
#include "tcp/tcp.h"
#include "tcp/tcp_key.h"
#include "tcp/tcp_pmtu.h"
#include "tcp/tcp_table.h"

// Slots by index + 1, so that zeroed memory is an empty list.
struct tcp_stack_list {
	uint32_t first, last;
	uint32_t count; // of lists that are linked both ways
};

struct tcp_stack {
	struct tcp_stack_config config;
	struct tcp_counters counters;
	struct tcp_keys keys;
	struct tcp_table table;
	uint8_t *slots; // config.conns of slot_octets
	size_t slot_octets;
	uint8_t *scratch;               // TCP_DATA_VIEW octets, lent to app->data()
	uint32_t unused;                // first slot never used so far
	uint32_t in_use;                // slots taken, embryonic and TIME-WAIT included
	uint8_t receive_scale;          // window scale that we offer
	bool cookies_always;            // no SYN takes a slot
	uint64_t cookies_until_us;      // what was sent as a cookie may come back until then
	const struct tcp_conn *in_data; // app->data() runs for it and holds scratch
	uint32_t *dirty;                // a ring of indices: what tcp_flush() will look at
	uint32_t dirty_first, dirty_count;
	struct tcp_stack_list free, dead;
	struct tcp_stack_list time_wait, half_open; // in order of arrival, linked both ways
	struct block_pool blocks;
	struct timer_wheel wheel;
	struct tcp_pmtu pmtu[LIMIT_TCP_PMTU]; // by index of the connection
};

struct tcp_conn *tcp_stack_slot(const struct tcp_stack *stack, uint32_t index);

// Octets of payload we take in a segment: what our link takes less what v6 takes more of it than v4.
uint16_t tcp_stack_mss(const struct tcp_stack *stack, const struct ip_addr *local);

// Join and leave a list that is linked both ways.
void tcp_stack_link(struct tcp_stack *stack, struct tcp_stack_list *list, struct tcp_conn *conn);
void tcp_stack_unlink(struct tcp_stack *stack, struct tcp_stack_list *list, struct tcp_conn *conn);
