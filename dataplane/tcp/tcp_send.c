#include "tcp/tcp_send.h"

#include <assert.h>

#include "base/seq.h"
#include "tcp/tcp_flight.h"
#include "tcp/tcp_stack.h"

size_t tcp_send_space(const struct tcp_conn *conn)
{
	uint32_t buffer = conn->stack->config.send_buffer;

	if (!tcp_conn_has_app(conn) || tcp_conn_has(conn, TCP_F_CLOSE))
		return 0;
	return buffer - conn->send_octets;
}

uint32_t tcp_send_queued(const struct tcp_conn *conn)
{
	return conn->send_octets;
}

// Blocks that len more octets need besides what the last one has room for.
static size_t blocks_needed(const struct tcp_conn *conn, size_t len)
{
	size_t room = 0;

	if (conn->send.last != 0)
		room = (size_t)(TCP_BLOCK_OCTETS - tcp_block_at(conn->stack, conn->send.last)->end);
	return len <= room ? 0 : (len - room + TCP_BLOCK_OCTETS - 1) / TCP_BLOCK_OCTETS;
}

bool tcp_send(struct tcp_conn *conn, struct slice data, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;

	(void)now_us;
	if (data.len > tcp_send_space(conn))
		return false;
	if (data.len == 0)
		return true;
	if (blocks_needed(conn, data.len) > stack->blocks.free_count) {
		stack->counters.no_buffer++;
		return false;
	}

	uint32_t stored = tcp_block_append(
		stack, &conn->send, tcp_conn_send_end(conn), data, TCP_BLOCK_REPLY);

	assert(stored == data.len);
	conn->send_octets += stored;
	tcp_conn_touch(conn);
	return true;
}

// The block that holds seq. New data follows what was sent last, so the search starts there when it can.
static uint32_t block_of(const struct tcp_conn *conn, uint32_t seq)
{
	const struct tcp_stack *stack = conn->stack;
	uint32_t ref = conn->send.first, cursor = 0;

	if (conn->flight != 0)
		cursor = tcp_flight_of(conn)->cursor;
	if (cursor != 0 && seq_le(tcp_block_at(stack, cursor)->seq, seq))
		ref = cursor;
	for (;;) {
		const struct tcp_block *b = tcp_block_at(stack, ref);

		if (seq_lt(seq, b->seq + b->end))
			return ref;
		ref = b->next;
	}
}

uint32_t tcp_send_gather(struct tcp_conn *conn, uint32_t seq, uint32_t len, struct segment *s)
{
	uint32_t left = len, ref = len > 0 ? block_of(conn, seq) : 0;

	while (left > 0 && s->part_count < SEGMENT_PARTS) {
		const struct tcp_block *b = tcp_block_at(conn->stack, ref);
		uint32_t from = seq - b->seq;
		uint32_t n = b->end - from;

		if (n > left)
			n = left;
		s->parts[s->part_count++] = (struct slice){b->octets + from, n};
		if (conn->flight != 0)
			tcp_flight_of(conn)->cursor = ref;
		seq += n;
		left -= n;
		ref = b->next;
	}
	s->payload_octets = len - left;
	return len - left;
}

void tcp_send_acked(struct tcp_conn *conn, uint32_t octets)
{
	struct tcp_stack *stack = conn->stack;

	assert(octets <= conn->send_octets);
	conn->send_octets -= octets;
	while (octets > 0) {
		struct tcp_block *b = tcp_block_at(stack, conn->send.first);
		uint32_t n = (uint32_t)(b->end - b->begin);

		if (n > octets) {
			b->begin = (uint16_t)(b->begin + octets);
			return;
		}
		octets -= n;
		if (conn->flight != 0 && tcp_flight_of(conn)->cursor == conn->send.first)
			tcp_flight_of(conn)->cursor = 0;
		conn->send.first = tcp_block_give(stack, conn->send.first);
	}
	if (conn->send.first == 0)
		conn->send.last = 0;
}

void tcp_send_discard(struct tcp_conn *conn)
{
	tcp_block_give_chain(conn->stack, conn->send.first);
	conn->send = (struct tcp_chain){0};
	conn->send_octets = 0;
	tcp_flight_close(conn);
}
