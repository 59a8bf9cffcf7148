#include "tcp/tcp_recv.h"

#include <assert.h>
#include <string.h>

#include "base/seq.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_reassembly.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_time_wait.h"
#include "tcp/tcp_timer.h"
#include "tcp/tcp_window.h"

static bool wants_data(const struct tcp_conn *conn)
{
	return tcp_conn_has_app(conn) && !tcp_conn_has(conn, TCP_F_DISCARD);
}

void tcp_recv_discard(struct tcp_conn *conn)
{
	if (conn->stack->in_data == conn)
		return;
	tcp_block_give_chain(conn->stack, conn->rcv.first);
	conn->rcv = (struct tcp_chain){0};
	conn->rcv_unread = 0;
	tcp_reassembly_discard(conn);
}

// The application may close or abort conn in there while it still reads in: blocks go back afterwards.
static size_t show(struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;

	assert(stack->in_data == NULL);
	stack->in_data = conn;
	size_t used = stack->config.app->data(stack->config.user, conn, in, now_us);

	stack->in_data = NULL;
	assert(used <= in.len || used == TCP_DATA_HELD);
	if (!wants_data(conn))
		tcp_recv_discard(conn);
	return used;
}

// Contiguous octets from the front of the queue: all, or TCP_DATA_VIEW of them.
static struct slice view(const struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;
	const struct tcp_block *b = tcp_block_at(stack, conn->rcv.first);
	struct slice part = tcp_block_view(b);
	size_t len = 0;

	if (part.len == conn->rcv_unread)
		return part;
	for (;;) {
		if (part.len > TCP_DATA_VIEW - len)
			part.len = TCP_DATA_VIEW - len;
		memcpy(stack->scratch + len, part.at, part.len);
		len += part.len;
		if (b->next == 0 || len == TCP_DATA_VIEW)
			return (struct slice){stack->scratch, len};
		b = tcp_block_at(stack, b->next);
		part = tcp_block_view(b);
	}
}

static void consume(struct tcp_conn *conn, size_t octets)
{
	conn->rcv_unread -= (uint32_t)octets;
	while (octets > 0) {
		struct tcp_block *b = tcp_block_at(conn->stack, conn->rcv.first);
		size_t n = (size_t)(b->end - b->begin);

		if (n > octets) {
			b->begin = (uint16_t)(b->begin + octets);
			return;
		}
		octets -= n;
		conn->rcv.first = tcp_block_give(conn->stack, conn->rcv.first);
	}
	if (conn->rcv.first == 0)
		conn->rcv.last = 0;
}

// FIN is news only when nothing that came before it is unread.
static void report_fin(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;

	if (!tcp_conn_has(conn, TCP_F_FIN_TAKEN) || tcp_conn_has(conn, TCP_F_FIN_REPORTED))
		return;
	if (conn->rcv_unread > 0 || !wants_data(conn))
		return;
	conn->flags |= TCP_F_FIN_REPORTED;
	stack->config.app->peer_closed(stack->config.user, conn, now_us);
}

void tcp_recv_deliver(struct tcp_conn *conn, uint64_t now_us)
{
	while (conn->rcv_unread > 0 && wants_data(conn)) {
		struct slice in = view(conn);
		size_t used = show(conn, in, now_us);

		if (!wants_data(conn) || used == TCP_DATA_HELD)
			break;
		consume(conn, used);
		if (used < in.len)
			break;
	}
	if (!wants_data(conn))
		return;
	tcp_output_on_consumed(conn);
	report_fin(conn, now_us);
}

// Octets from rcv_nxt on, straight from the packet while nothing is queued before them. Returns how many were
// taken, or TCP_DATA_HELD; *fresh: some lie unread that the application has not been shown.
static size_t take_in_order(struct tcp_conn *conn, struct slice in, bool *fresh, uint64_t now_us)
{
	size_t used = 0;

	if (wants_data(conn) && conn->rcv_unread == 0)
		used = show(conn, in, now_us);
	else
		*fresh = true;
	if (conn->state == TCP_ST_CLOSED)
		return used;
	// tcp_close(): what still arrives is acknowledged and discarded, unless the peer is to know that it is lost.
	if (!wants_data(conn)) {
		if (used < in.len && conn->stack->config.reset_late_data &&
			tcp_conn_has_app(conn)) {
			tcp_output_reset(conn, now_us);
			tcp_conn_end(conn, TCP_CLOSED_ABORTED, now_us);
			return in.len;
		}
		conn->rcv_nxt += (uint32_t)in.len;
		return in.len;
	}
	if (used == in.len || used == TCP_DATA_HELD) {
		conn->rcv_nxt += used == in.len ? (uint32_t)used : 0;
		return used;
	}

	uint32_t stored = tcp_block_append(conn->stack, &conn->rcv, 0,
		(struct slice){in.at + used, in.len - used}, TCP_BLOCK_UNREAD);

	conn->rcv_unread += stored;
	conn->rcv_nxt += (uint32_t)used + stored;
	return used + stored;
}

// RFC 5681 4.2: data behind a hole is answered at once, each segment by its own duplicate ACK, which is what a peer without
// SACK counts. With SACK one ACK tells it all.
static void owe_dup_ack(struct tcp_conn *conn)
{
	if (tcp_conn_has(conn, TCP_F_SACK))
		conn->dup_acks_owed = 1;
	else if (conn->dup_acks_owed < UINT8_MAX)
		conn->dup_acks_owed++;
	tcp_conn_touch(conn);
}

static enum drop take_early(struct tcp_conn *conn, uint32_t seq, struct slice in,
	struct segment_sack *again, uint64_t now_us)
{
	bool sack = tcp_conn_has(conn, TCP_F_SACK);

	// An ACK names few ranges: each that a burst touches gets its own, and stands in the next ones as well (RFC 2018 4).
	if (sack && conn->dup_acks_owed > 0 && !tcp_reassembly_is_newest(conn, seq))
		tcp_output_owed(conn, now_us);
	owe_dup_ack(conn);
	if (!wants_data(conn))
		return DROP_CONN_NO_BUFFER;
	return tcp_reassembly_add(conn, seq, in, again) ? DROP_NONE : DROP_CONN_NO_BUFFER;
}

static void on_advanced(struct tcp_conn *conn, bool filled_hole, uint64_t now_us)
{
	// The duplicates were owed for a number that is past; repeated for the new one they would
	// look like a loss.
	conn->dup_acks_owed = 0;
	if (filled_hole)
		conn->flags |= TCP_F_ACK_NOW;
	tcp_timer_on_data_received(conn, now_us);
	// A window of less than two segments is used up before the rule of two is met.
	if (tcp_window_is_nearly_shut(conn))
		tcp_output_on_consumed(conn);
}

// How many of in are here already; the first such run is noted.
static size_t pass_old(
	const struct tcp_conn *conn, uint32_t seq, size_t n, struct segment_sack *again)
{
	if (n > conn->rcv_nxt - seq)
		n = conn->rcv_nxt - seq;
	if (again->left == again->right)
		*again = (struct segment_sack){seq, seq + (uint32_t)n};
	return n;
}

// Octets that are next, up to where others are already. Returns how many were looked at.
static size_t take_next(
	struct tcp_conn *conn, struct slice in, bool *fresh, enum drop *drop, uint64_t now_us)
{
	size_t n = in.len, taken;

	if (n > tcp_reassembly_gap(conn))
		n = tcp_reassembly_gap(conn);
	taken = take_in_order(conn, (struct slice){in.at, n}, fresh, now_us);
	if (taken == TCP_DATA_HELD)
		*drop = DROP_CONN_HELD;
	else if (taken < n)
		*drop = DROP_CONN_NO_BUFFER;
	else if (tcp_reassembly_take(conn))
		*fresh = true;
	return n;
}

// The octets of a segment, already cut to the window. Of those that are here already the first copy stays, and *again
// is the first run of them.
static enum drop take_text(struct tcp_conn *conn, uint32_t seq, struct slice in,
	struct segment_sack *again, uint64_t now_us)
{
	uint32_t before = conn->rcv_nxt;
	bool fresh = false, had_hole = conn->early != 0;
	enum drop drop = DROP_NONE;

	while (in.len > 0 && drop == DROP_NONE && conn->state != TCP_ST_CLOSED) {
		size_t n;

		if (seq_lt(conn->rcv_nxt, seq)) {
			drop = take_early(conn, seq, in, again, now_us);
			break;
		}
		n = seq_lt(seq, conn->rcv_nxt) ? pass_old(conn, seq, in.len, again)
					       : take_next(conn, in, &fresh, &drop, now_us);
		seq += (uint32_t)n;
		in = (struct slice){in.at + n, in.len - n};
	}
	if (conn->state == TCP_ST_CLOSED)
		return DROP_NONE;
	if (conn->rcv_nxt != before)
		on_advanced(conn, had_hole, now_us);
	if (fresh)
		tcp_recv_deliver(conn, now_us);
	return drop;
}

// Cut the octets to [.., right edge) and remember FIN. A FIN in front of octets that are here already
// contradicts them, and what came first stays.
static struct slice cut(struct tcp_conn *conn, const struct segment *s)
{
	struct slice in = s->part_count > 0 ? s->parts[0] : (struct slice){0};
	uint32_t end = s->seq + (uint32_t)in.len;

	if (seq_lt(conn->rcv_adv, end)) {
		uint32_t over = end - conn->rcv_adv;

		in.len = in.len > over ? in.len - over : 0;
	} else if ((s->flags & SEGMENT_FIN) != 0 && !tcp_conn_has(conn, TCP_F_FIN_SEEN) &&
		   seq_le(tcp_reassembly_end(conn), end)) {
		conn->flags |= TCP_F_FIN_SEEN;
		conn->rcv_fin = end;
	}
	end = s->seq + (uint32_t)in.len;
	if (tcp_conn_has(conn, TCP_F_FIN_SEEN) && seq_lt(conn->rcv_fin, end)) {
		uint32_t over = end - conn->rcv_fin;

		in.len = in.len > over ? in.len - over : 0;
	}
	return in;
}

// RFC 9293 3.10.7.4, eighth.
static void take_fin(struct tcp_conn *conn, uint64_t now_us)
{
	conn->rcv_nxt++;
	if (seq_lt(conn->rcv_adv, conn->rcv_nxt))
		conn->rcv_adv = conn->rcv_nxt;
	conn->flags |= TCP_F_FIN_TAKEN | TCP_F_ACK_NOW;
	conn->dup_acks_owed = 0;
	tcp_conn_touch(conn);
	if (conn->state == TCP_ST_FIN_WAIT_2) {
		report_fin(conn, now_us);
		if (conn->state != TCP_ST_CLOSED)
			tcp_time_wait_enter(conn, now_us);
		return;
	}
	tcp_conn_enter(
		conn, conn->state == TCP_ST_ESTABLISHED ? TCP_ST_CLOSE_WAIT : TCP_ST_CLOSING);
	report_fin(conn, now_us);
}

enum drop tcp_recv_segment(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	if (segment_len(s) == 0)
		return DROP_NONE;
	// Octets behind the peer's FIN: there can be none.
	if (!tcp_conn_receives(conn))
		return DROP_TCP_SEQ;
	if (s->payload_octets > conn->rcv_mss)
		conn->rcv_mss = s->payload_octets < conn->stack->config.mss
					? (uint16_t)s->payload_octets
					: conn->stack->config.mss;

	struct slice in = cut(conn, s);
	bool is_cut = in.len < s->payload_octets;
	struct segment_sack again = {0, 0};
	enum drop drop = take_text(conn, s->seq, in, &again, now_us);

	if (conn->state == TCP_ST_CLOSED)
		return drop;
	// The sender went beyond the window, or probes a shut one: it needs to hear where the edge is.
	if (is_cut || drop == DROP_CONN_NO_BUFFER) {
		conn->flags |= TCP_F_ACK_NOW;
		tcp_conn_touch(conn);
	}
	if (tcp_conn_has(conn, TCP_F_FIN_SEEN) && conn->rcv_nxt == conn->rcv_fin)
		take_fin(conn, now_us);
	else if (in.len == 0 && (s->flags & SEGMENT_FIN) && conn->rcv_nxt != s->seq)
		owe_dup_ack(conn);
	// Last, so that it acknowledges FIN as well.
	if (again.left != again.right && tcp_conn_has(conn, TCP_F_SACK) &&
		conn->state != TCP_ST_CLOSED)
		tcp_output_again(conn, again, now_us);
	return drop;
}
