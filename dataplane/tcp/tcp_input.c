#include "base/limits.h"
#include "base/seq.h"
#include "tcp/tcp_ack.h"
#include "tcp/tcp_ecn.h"
#include "tcp/tcp_handshake.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_recv.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_time_wait.h"
#include "tcp/tcp_timer.h"
#include "tcp/tcp_window.h"

#include <assert.h>

enum {
	PAWS_HOURS =
		483, // 24 days in units of 2^32 us: after that ts_recent tells nothing (RFC 7323 5.5)
};

// RFC 7323 5.3 R1: older than what was seen last. RST is exempt.
static bool fails_paws(const struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	uint16_t age_hours = (uint16_t)((now_us >> 32) - conn->ts_recent_hour);

	if (!tcp_conn_has(conn, TCP_F_TIMESTAMPS) || (s->flags & SEGMENT_RST))
		return false;
	// RFC 7323 3.2: once agreed on, a segment without one is no segment of this connection.
	if (!s->options.has_timestamp)
		return true;
	return seq_lt(s->options.tsval, conn->ts_recent) && age_hours < PAWS_HOURS;
}

// RFC 7323 4.3 (2) and 5.3 R3.
static void take_timestamp(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	if (!tcp_conn_has(conn, TCP_F_TIMESTAMPS) || !s->options.has_timestamp ||
		!seq_le(s->seq, conn->rcv_acked))
		return;
	conn->ts_recent = s->options.tsval;
	conn->ts_recent_hour = (uint16_t)(now_us >> 32);
}

// A segment that is not acceptable is answered by ACK (RFC 9293 3.10.7.4, first): octets that are here already at once (RFC
// 2883 4.1), others at the next flush, once for all of them; an empty segment at most a few times a second, or two
// ends out of step would answer each other for ever (ACK storm). Before the handshake's end the flush sends nothing
// but SYN-ACKs.
static void answer_unacceptable(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	if (s->flags & SEGMENT_RST)
		return;
	if (segment_len(s) == 0 || tcp_conn_is_opening(conn)) {
		tcp_output_challenge(conn, now_us);
		return;
	}
	if (s->payload_octets > 0 && seq_lt(s->seq, conn->rcv_nxt)) {
		uint32_t end = s->seq + s->payload_octets;

		if (seq_lt(conn->rcv_nxt, end))
			end = conn->rcv_nxt;
		tcp_output_again(conn, (struct segment_sack){s->seq, end}, now_us);
		return;
	}
	conn->flags |= TCP_F_ACK_NOW;
	tcp_conn_touch(conn);
}

// Second: RST (RFC 5961 3.2). Only the exact number ends a connection.
static enum drop on_reset(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	if (s->seq != conn->rcv_nxt) {
		tcp_output_challenge(conn, now_us);
		return DROP_TCP_SEQ;
	}
	conn->stack->counters.resets_in++;
	tcp_conn_end(conn, TCP_CLOSED_RESET, now_us);
	return DROP_NONE;
}

// Fourth: SYN (RFC 5961 4.2), before the sequence check, since it is answered alike on both sides of it.
static enum drop on_syn(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	bool again = conn->state == TCP_ST_SYN_RECEIVED && !(s->flags & SEGMENT_ACK) &&
		     s->seq + 1 == conn->rcv_nxt;

	if (!again) {
		tcp_output_challenge(conn, now_us);
		return DROP_TCP_SEQ;
	}
	tcp_ecn_on_syn_again(conn, s);
	// Our SYN-ACK was lost, or is late.
	conn->flags |= TCP_F_SEND_SYN | TCP_F_SYN_LOST;
	tcp_rto_on_retransmit(conn);
	tcp_conn_touch(conn);
	return DROP_NONE;
}

// RFC 9293 3.10.7.4; the numbers are its steps. Third (security) and sixth (URG) do nothing: urgent data is
// data (RFC 6093).
static enum drop synchronized(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	if ((s->flags & (SEGMENT_SYN | SEGMENT_RST)) == SEGMENT_SYN)
		return on_syn(conn, s, now_us);
	// First.
	if (fails_paws(conn, s, now_us)) {
		// A bare ACK that was overtaken is no sign of anything, and what has none at all is to be dropped
		// without a word (RFC 7323 3.2).
		if (segment_len(s) > 0 && s->options.has_timestamp)
			answer_unacceptable(conn, s, now_us);
		return DROP_TCP_PAWS;
	}
	if (!tcp_window_holds(conn, s)) {
		answer_unacceptable(conn, s, now_us);
		return DROP_TCP_SEQ;
	}
	if (s->flags & SEGMENT_RST)
		return on_reset(conn, s, now_us);
	// Fifth.
	if (!(s->flags & SEGMENT_ACK))
		return DROP_TCP_BAD;

	enum drop drop = conn->state == TCP_ST_SYN_RECEIVED
				 ? tcp_handshake_syn_received(conn, s, now_us)
				 : tcp_ack_segment(conn, s, now_us);

	if (drop != DROP_NONE || conn->state == TCP_ST_CLOSED)
		return drop;
	// Not before the ACK was found good: a blind guess that plants a timestamp of the far future would make PAWS
	// drop all that the peer sends.
	take_timestamp(conn, s, now_us);
	tcp_timer_on_heard(conn, now_us);
	tcp_ecn_on_data(conn, s);
	// Seventh and eighth.
	return tcp_recv_segment(conn, s, now_us);
}

// Simultaneous open: the SYN-ACK that answers our SYN-ACK carries the SYN we have, and its ACK is the one we wait for.
static enum drop crossed_syn_ack(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	struct segment bare = *s;

	tcp_ecn_on_syn_again(conn, s);
	bare.flags &= (uint8_t)~SEGMENT_SYN;
	bare.seq++;
	bare.window = (uint16_t)(s->window >> conn->snd_scale);
	return synchronized(conn, &bare, now_us);
}

static bool is_crossed_syn_ack(const struct tcp_conn *conn, const struct segment *s)
{
	return conn->state == TCP_ST_SYN_RECEIVED && tcp_conn_has(conn, TCP_F_ACTIVE) &&
	       (s->flags & (SEGMENT_SYN | SEGMENT_ACK | SEGMENT_RST)) ==
		       (SEGMENT_SYN | SEGMENT_ACK) &&
	       s->seq + 1 == conn->rcv_nxt;
}

static enum drop time_wait(
	struct tcp_conn *conn, const struct segment *s, bool listen, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;
	uint32_t old_snd_max = conn->snd_max;

	if (!listen || !tcp_time_wait_yields_to(conn, s))
		return tcp_time_wait_segment(conn, s, now_us);
	tcp_conn_end(conn, TCP_CLOSED_ORDERLY, now_us);
	tcp_conn_reap(stack);
	return tcp_handshake_reopen(stack, s, old_snd_max, now_us);
}

enum drop tcp_input(struct tcp_stack *stack, const struct segment *s, bool listen, uint64_t now_us)
{
	struct tcp_tuple tuple = tcp_tuple_of_input(s);

	assert(s->part_count <= 1);
	stack->counters.segments_in++;
	tcp_conn_reap(stack);

	struct tcp_conn *conn = tcp_table_find(stack, &tuple);

	if (conn == NULL) {
		enum drop drop = tcp_handshake_no_conn(stack, s, listen, now_us, &conn);

		if (conn == NULL)
			return drop;
	}
	if (conn->state == TCP_ST_SYN_SENT)
		return tcp_handshake_syn_sent(conn, s, now_us);
	if (conn->state == TCP_ST_TIME_WAIT)
		return time_wait(conn, s, listen, now_us);
	if (is_crossed_syn_ack(conn, s))
		return crossed_syn_ack(conn, s, now_us);
	return synchronized(conn, s, now_us);
}
