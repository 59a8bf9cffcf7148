#include "tcp/tcp_rack.h"

#include "base/limits.h"
#include "base/seq.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_stack.h"

enum {
	DUP_THRESH = 3,
	PERSIST = 16, // repairs without a duplicate until the window is small again
};

// Was a sent after b? Times that are equal are told apart by the numbers.
static bool is_after(uint32_t a_us, uint32_t a_end, uint32_t b_us, uint32_t b_end)
{
	return seq_lt(b_us, a_us) || (a_us == b_us && seq_lt(b_end, a_end));
}

// RFC 8985 6.2 step 2: which copy of a segment that left twice was delivered?
static bool may_be_first_copy(const struct tcp_conn *conn, const struct tcp_span *span,
	const struct segment *s, uint64_t now_us)
{
	uint32_t rtt_us = (uint32_t)now_us - span->sent_us;
	uint32_t sent_ts = tcp_rto_timestamp(conn, now_us) - rtt_us / 1000;

	if (tcp_conn_has(conn, TCP_F_TIMESTAMPS) && seq_lt(s->options.tsecr, sent_ts - 1))
		return true;
	return rtt_us < tcp_flight_of(conn)->rack.min_rtt_us;
}

void tcp_rack_on_delivered(struct tcp_conn *conn, const struct tcp_span *span,
	const struct segment *s, uint64_t now_us)
{
	struct tcp_rack *r = &tcp_flight_of(conn)->rack;
	uint32_t rtt_us = (uint32_t)now_us - span->sent_us;
	bool again = (span->flags & TCP_SENT_AGAIN) != 0;

	// Step 3.
	if (seq_lt(r->fack, span->end))
		r->fack = span->end;
	else if (seq_lt(span->end, r->fack) && !again)
		conn->flags |= TCP_F_REORDERED;
	if (again && may_be_first_copy(conn, span, s, now_us))
		return;
	if (!again && (r->min_rtt_us == 0 || rtt_us < r->min_rtt_us))
		r->min_rtt_us = rtt_us + (rtt_us == 0);
	r->rtt_us = rtt_us;
	if (r->has_sent && !is_after(span->sent_us, span->end, r->sent_us, r->end))
		return;
	r->has_sent = true;
	r->sent_us = span->sent_us;
	r->end = span->end;
}

void tcp_rack_on_again(struct tcp_conn *conn)
{
	struct tcp_rack *r = &tcp_flight_of(conn)->rack;

	if (r->in_dsack_round && seq_le(r->dsack_round, conn->snd_una))
		r->in_dsack_round = false;
	if (r->in_dsack_round)
		return;
	r->in_dsack_round = true;
	r->dsack_round = conn->snd_max;
	if (r->reorder_mult < UINT8_MAX)
		r->reorder_mult++;
	r->reorder_persist = PERSIST;
}

void tcp_rack_on_repaired(struct tcp_conn *conn)
{
	struct tcp_rack *r = &tcp_flight_of(conn)->rack;

	if (r->reorder_persist > 0)
		r->reorder_persist--;
	if (r->reorder_persist == 0)
		r->reorder_mult = 1;
}

// RFC 8985 6.2 step 4.
static uint32_t reorder_us(const struct tcp_conn *conn)
{
	const struct tcp_flight *f = tcp_flight_of(conn);
	uint64_t window_us = (uint64_t)f->rack.reorder_mult * (f->rack.min_rtt_us / 4);

	if (!tcp_conn_has(conn, TCP_F_REORDERED) &&
		(tcp_flight_mends_loss(f) || f->sacked_segments >= DUP_THRESH))
		return 0;
	return window_us < conn->srtt_us ? (uint32_t)window_us : conn->srtt_us;
}

void tcp_rack_detect(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_flight *f = tcp_flight_of(conn);
	struct tcp_rack *r = &f->rack;
	uint32_t wait_us = r->rtt_us + reorder_us(conn);

	r->wait_us = 0;
	if (!r->has_sent || !tcp_conn_has(conn, TCP_F_SACK))
		return;
	for (struct tcp_spans_at at = tcp_spans_first(stack, conn->flight); at.block != 0;
		at = tcp_spans_next(stack, at)) {
		struct tcp_span *span = tcp_spans_get(stack, at);
		int32_t left_us;

		if (span->flags & (TCP_SENT_SACKED | TCP_SENT_LOST))
			continue;
		if (!is_after(r->sent_us, r->end, span->sent_us, span->end)) {
			// What follows left later still, unless some of it left again.
			if (!tcp_flight_mends_loss(f))
				return;
			continue;
		}
		left_us = (int32_t)(span->sent_us + wait_us - (uint32_t)now_us);
		if (left_us <= 0)
			tcp_flight_mark_lost(conn, span);
		else if ((uint32_t)left_us > r->wait_us)
			r->wait_us = (uint32_t)left_us;
	}
}

uint32_t tcp_rack_lost_before_us(const struct tcp_conn *conn, uint64_t now_us)
{
	const struct tcp_rack *r = &tcp_flight_of(conn)->rack;

	if (!tcp_conn_has(conn, TCP_F_SACK) || !r->has_sent)
		return (uint32_t)now_us + 1;
	return (uint32_t)now_us - r->rtt_us - reorder_us(conn);
}

uint64_t tcp_rack_probe_us(const struct tcp_conn *conn)
{
	const struct tcp_flight *f = conn->flight != 0 ? tcp_flight_of(conn) : NULL;
	uint64_t us = 2 * (uint64_t)conn->srtt_us, spread_us = 4 * (uint64_t)conn->rttvar_us;

	if (!tcp_conn_has(conn, TCP_F_SACK) || conn->srtt_us == 0 || conn->backoff > 0)
		return 0;
	if (f != NULL &&
		(tcp_flight_mends_loss(f) || f->sacked > 0 || f->lost > 0 || f->rack.probing))
		return 0;
	// A single segment may be waiting for the peer's delayed ACK.
	if (conn->snd_max - conn->snd_una <= conn->snd_mss)
		us += spread_us > LIMIT_TCP_PROBE_ACK_US ? spread_us : LIMIT_TCP_PROBE_ACK_US;
	return us + LIMIT_TCP_PROBE_MIN_US;
}
