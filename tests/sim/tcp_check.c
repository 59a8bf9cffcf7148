#include "sim/tcp_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/seq.h"
#include "tcp/tcp_conn.h"
#include "tcp/tcp_flight.h"
#include "tcp/tcp_stack.h"

#define MUST(conn, what)                                                                           \
	do {                                                                                       \
		if (!(what))                                                                       \
			fail(conn, #what, __LINE__);                                               \
	} while (0)

static _Noreturn void fail(const struct tcp_conn *conn, const char *what, int line)
{
	fprintf(stderr, "tcp_check:%d: not true: %s\n", line, what);
	if (conn != NULL)
		fprintf(stderr,
			"  slot %u %s flags %x una %u flight %u max %u queued %u rcv_nxt %u adv %u "
			"unread %u\n",
			conn->index, tcp_conn_state_name(conn->state), conn->flags, conn->snd_una,
			conn->flight, conn->snd_max, conn->send_octets, conn->rcv_nxt,
			conn->rcv_adv, conn->rcv_unread);
	abort();
}

struct sum {
	uint32_t blocks, octets;
};

static struct sum walk(const struct tcp_conn *conn, struct tcp_chain chain)
{
	struct sum sum = {0};
	uint32_t last = 0;

	for (uint32_t ref = chain.first; ref != 0; ref = tcp_block_at(conn->stack, ref)->next) {
		const struct tcp_block *b = tcp_block_at(conn->stack, ref);

		last = ref;

		MUST(conn, b->begin < b->end && b->end <= TCP_BLOCK_OCTETS);
		sum.blocks++;
		sum.octets += (uint32_t)(b->end - b->begin);
	}
	MUST(conn, last == chain.last);
	return sum;
}

static uint32_t check_ranges(const struct tcp_conn *conn)
{
	uint32_t blocks = 0, ranges = 0, before = conn->rcv_nxt;

	if (conn->early == 0)
		return 0;
	for (struct tcp_spans_at at = tcp_spans_first(conn->stack, conn->early); at.block != 0;
		at = tcp_spans_next(conn->stack, at)) {
		const struct tcp_span *range = tcp_spans_get(conn->stack, at);
		struct sum sum = walk(conn, range->chain);

		MUST(conn, seq_lt(before, range->seq));
		MUST(conn, sum.octets == range->end - range->seq && sum.octets > 0);
		MUST(conn, seq_le(range->end, conn->rcv_adv));
		before = range->end;
		blocks += sum.blocks;
		ranges++;
	}
	MUST(conn, ranges > 0 && ranges <= LIMIT_TCP_RANGES);
	MUST(conn, ranges == tcp_spans_count(conn->stack, conn->early));
	return blocks + tcp_spans_blocks(conn->stack, conn->early);
}

// The notes tell of every octet in flight, once, and the sums are theirs.
static uint32_t check_flight(const struct tcp_conn *conn)
{
	const struct tcp_flight *f;
	uint32_t sacked = 0, lost = 0, segments = 0, at_seq = conn->snd_una;

	if (conn->flight == 0)
		return 0;
	f = tcp_flight_of(conn);
	for (struct tcp_spans_at at = tcp_spans_first(conn->stack, conn->flight); at.block != 0;
		at = tcp_spans_next(conn->stack, at)) {
		const struct tcp_span *span = tcp_spans_get(conn->stack, at);
		uint32_t octets = span->end - span->seq;

		MUST(conn, span->seq == at_seq && octets > 0);
		MUST(conn,
			(span->flags & TCP_SENT_SACKED) == 0 || (span->flags & TCP_SENT_LOST) == 0);
		MUST(conn, (span->flags & TCP_SENT_LOST) == 0 || seq_le(f->lost_from, span->seq));
		sacked += span->flags & TCP_SENT_SACKED ? octets : 0;
		lost += span->flags & TCP_SENT_LOST ? octets : 0;
		segments += span->flags & TCP_SENT_SACKED ? span->flags / TCP_SENT_ONE : 0;
		at_seq = span->end;
	}
	if (tcp_conn_sends(conn))
		MUST(conn, at_seq == conn->snd_max);
	MUST(conn, sacked == f->sacked && lost == f->lost && segments == f->sacked_segments);
	MUST(conn, tcp_spans_count(conn->stack, conn->flight) <= LIMIT_TCP_FLIGHT);
	return tcp_spans_blocks(conn->stack, conn->flight);
}

static void check_timer(const struct tcp_conn *conn)
{
	bool out = conn->snd_una != conn->snd_max;

	if (tcp_conn_sends(conn) && out)
		MUST(conn, conn->due_us[TCP_DUE_PEER] != 0);
	if (conn->state == TCP_ST_TIME_WAIT ||
		(conn->state == TCP_ST_FIN_WAIT_2 && tcp_conn_has(conn, TCP_F_DISCARD)))
		MUST(conn, conn->due_us[TCP_DUE_PEER] != 0);
	if (tcp_conn_has(conn, TCP_F_ACK_OWED))
		MUST(conn, conn->timer.next != NULL);
	MUST(conn, (conn->timer.next != NULL) == (conn->timer.due_us != 0));
	for (int i = 0; i < TCP_DUE_COUNT; i++) {
		if (conn->due_us[i] == 0)
			continue;
		MUST(conn, conn->timer.next != NULL && conn->timer.due_us <= conn->due_us[i]);
	}
}

static uint32_t check_conn(struct tcp_stack *stack, const struct tcp_conn *conn)
{
	struct sum send = walk(conn, conn->send), unread = walk(conn, conn->rcv);

	MUST(conn, tcp_table_find(stack, &conn->tuple) == conn);
	MUST(conn, send.octets == conn->send_octets && unread.octets == conn->rcv_unread);
	MUST(conn, conn->send_octets <= stack->config.send_buffer);
	MUST(conn, seq_le(conn->snd_una, conn->snd_max));
	if (tcp_conn_sends(conn))
		MUST(conn, seq_le(conn->snd_max,
				   tcp_conn_send_end(conn) + tcp_conn_has(conn, TCP_F_CLOSE)));
	if (conn->state > TCP_ST_SYN_SENT)
		MUST(conn, seq_le(conn->rcv_nxt, conn->rcv_adv));
	if (tcp_conn_has(conn, TCP_F_APP_DONE))
		MUST(conn, send.blocks + unread.blocks + conn->early + conn->flight == 0);
	check_timer(conn);
	return send.blocks + unread.blocks + check_ranges(conn) + check_flight(conn);
}

void tcp_check(struct tcp_stack *stack)
{
	uint32_t blocks = 0, in_use = 0, embryonic = 0, waiting = 0, entries = 0;

	for (uint32_t i = 0; i < stack->unused; i++) {
		const struct tcp_conn *conn = tcp_stack_slot(stack, i);

		if (conn->state == TCP_ST_CLOSED) {
			MUST(conn, conn->timer.next == NULL && conn->send.first == 0);
			MUST(conn, conn->rcv.first == 0 && conn->early == 0 && conn->flight == 0);
			continue;
		}
		blocks += check_conn(stack, conn);
		in_use++;
		waiting += conn->state == TCP_ST_TIME_WAIT;
		embryonic +=
			conn->state == TCP_ST_SYN_RECEIVED && !tcp_conn_has(conn, TCP_F_ACTIVE);
	}
	for (uint32_t i = 0; i <= stack->table.mask; i++)
		entries += stack->table.entries[i].slot != 0;
	MUST(NULL, in_use == stack->in_use && entries == in_use);
	MUST(NULL, embryonic == stack->half_open.count && waiting == stack->time_wait.count);
	MUST(NULL, blocks + stack->blocks.free_count == stack->blocks.count);
	MUST(NULL, stack->in_data == NULL);
}
