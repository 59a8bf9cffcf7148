#include "tcp/tcp_flight.h"

#include "base/seq.h"
#include "tcp/tcp_rack.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_stack.h"

static uint32_t length(const struct tcp_span *span)
{
	return span->end - span->seq;
}

static uint32_t segments(const struct tcp_span *span)
{
	return span->flags / TCP_SENT_ONE;
}

static void note_first(struct tcp_conn *conn)
{
	struct tcp_span span = {.seq = conn->snd_una,
		.end = conn->snd_max,
		.sent_us = conn->sent_us,
		.flags = TCP_SENT_ONE};

	if (conn->snd_una == conn->snd_max)
		return;
	if (!tcp_conn_has(conn, TCP_F_TIMING))
		span.flags |= TCP_SENT_AGAIN;
	// The first block has room.
	tcp_spans_add(conn->stack, conn->flight, &span, TCP_BLOCK_NOTES);
}

bool tcp_flight_open(struct tcp_conn *conn)
{
	if (conn->flight != 0)
		return true;
	conn->flight = tcp_spans_open(conn->stack, TCP_BLOCK_NOTES);
	if (conn->flight == 0)
		return false;

	struct tcp_flight *f = tcp_flight_of(conn);

	f->recover = f->used_to = conn->snd_una - 1;
	f->most_out = conn->snd_max - conn->snd_una;
	f->most_end = conn->snd_max;
	f->rtt_end = f->lost_from = conn->snd_una;
	f->rack.fack = conn->snd_una;
	f->rack.reorder_mult = 1;
	note_first(conn);
	return true;
}

void tcp_flight_close(struct tcp_conn *conn)
{
	if (conn->flight == 0)
		return;
	tcp_spans_close(conn->stack, conn->flight);
	conn->flight = 0;
}

void tcp_flight_close_if_done(struct tcp_conn *conn)
{
	if (conn->snd_una == conn->snd_max && conn->send_octets == 0)
		tcp_flight_close(conn);
}

uint32_t tcp_flight_pipe(const struct tcp_conn *conn)
{
	uint32_t out = conn->snd_max - conn->snd_una;

	if (conn->flight == 0)
		return out;

	const struct tcp_flight *f = tcp_flight_of(conn);
	uint32_t gone = f->sacked + f->lost + f->dup_octets;

	return out > gone ? out - gone : 0;
}

uint64_t tcp_flight_rto_left_us(const struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_spans_at at = tcp_spans_first(conn->stack, conn->flight);
	uint64_t rto_us = tcp_rto_us(conn), age_us;

	if (at.block == 0)
		return rto_us;
	age_us = (uint32_t)now_us - tcp_spans_get(conn->stack, at)->sent_us;
	return age_us < rto_us ? rto_us - age_us : 0;
}

// No note can be had: the last one stands for this segment as well, with the later time.
static void share_last(struct tcp_conn *conn, const struct tcp_span *span)
{
	struct tcp_flight *f = tcp_flight_of(conn);
	struct tcp_span *last =
		tcp_spans_get(conn->stack, tcp_spans_last(conn->stack, conn->flight));

	if (last->flags & TCP_SENT_SACKED) {
		f->sacked -= length(last);
		f->sacked_segments -= segments(last);
	}
	if (last->flags & TCP_SENT_LOST)
		f->lost -= length(last);
	last->flags &= ~(uint32_t)(TCP_SENT_SACKED | TCP_SENT_LOST);
	last->flags += TCP_SENT_ONE;
	last->end = span->end;
	last->sent_us = span->sent_us;
}

void tcp_flight_on_sent(struct tcp_conn *conn, uint32_t seq, uint32_t end, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_span span = {
		.seq = seq, .end = end, .sent_us = (uint32_t)now_us, .flags = TCP_SENT_ONE};

	if (tcp_spans_count(stack, conn->flight) < LIMIT_TCP_FLIGHT &&
		tcp_spans_add(stack, conn->flight, &span, TCP_BLOCK_NOTES))
		return;
	share_last(conn, &span);
}

static struct tcp_spans_at note_at(const struct tcp_conn *conn, uint32_t seq)
{
	return tcp_spans_find(conn->stack, conn->flight, seq);
}

// A note is cut in two where a SACK or a smaller segment ends. Without a block it stays whole, and is judged as a whole.
void tcp_flight_split(struct tcp_conn *conn, uint32_t at)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_spans_at place = note_at(conn, at);
	struct tcp_span *span, rest;

	if (place.block == 0 || tcp_spans_count(stack, conn->flight) >= LIMIT_TCP_FLIGHT)
		return;
	span = tcp_spans_get(stack, place);
	if (span->seq == at || seq_le(span->end, at) || (span->flags & TCP_SENT_SACKED))
		return;
	rest = *span;
	rest.seq = at;
	rest.flags = (span->flags & (TCP_SENT_ONE - 1U)) | TCP_SENT_ONE;
	span->end = at;
	if (tcp_spans_add(stack, conn->flight, &rest, TCP_BLOCK_NOTES))
		return;
	tcp_spans_get(stack, place)->end = rest.end;
}

void tcp_flight_on_sent_again(struct tcp_conn *conn, uint32_t seq, uint32_t end, uint64_t now_us)
{
	struct tcp_flight *f = tcp_flight_of(conn);

	tcp_flight_split(conn, end);

	struct tcp_span *span = tcp_spans_get(conn->stack, note_at(conn, seq));

	if (span->flags & TCP_SENT_LOST)
		f->lost -= length(span);
	span->flags &= ~(uint32_t)TCP_SENT_LOST;
	span->flags |= TCP_SENT_AGAIN;
	span->sent_us = (uint32_t)now_us;
}

bool tcp_flight_next_lost(struct tcp_conn *conn, struct tcp_span *out)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_flight *f = tcp_flight_of(conn);
	struct tcp_spans_at at, behind;
	struct tcp_span *span;

	if (f->lost == 0)
		return false;
	at = note_at(conn, f->lost_from);
	if (at.block == 0)
		at = tcp_spans_first(stack, conn->flight);
	while (!(tcp_spans_get(stack, at)->flags & TCP_SENT_LOST))
		at = tcp_spans_next(stack, at);
	span = tcp_spans_get(stack, at);
	f->lost_from = span->seq;
	for (behind = tcp_spans_next(stack, at); behind.block != 0;
		behind = tcp_spans_next(stack, at)) {
		const struct tcp_span *next = tcp_spans_get(stack, behind);

		if (!(next->flags & TCP_SENT_LOST) || next->end - span->seq > conn->snd_mss)
			break;
		span->end = next->end;
		span->flags |= next->flags & TCP_SENT_AGAIN;
		tcp_spans_remove(stack, conn->flight, behind);
	}
	*out = *span;
	return true;
}

void tcp_flight_mark_lost(struct tcp_conn *conn, struct tcp_span *span)
{
	struct tcp_flight *f = tcp_flight_of(conn);

	if (span->flags & (TCP_SENT_LOST | TCP_SENT_SACKED))
		return;
	span->flags |= TCP_SENT_LOST;
	f->lost += length(span);
	if (seq_lt(span->seq, f->lost_from) || f->lost == length(span))
		f->lost_from = span->seq;
}

void tcp_flight_mark_lost_before(struct tcp_conn *conn, uint32_t sent_us)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_flight *f = tcp_flight_of(conn);
	struct tcp_spans_at at = tcp_spans_first(stack, conn->flight);
	bool reneged = at.block != 0 && (tcp_spans_get(stack, at)->flags & TCP_SENT_SACKED);

	f->dup_octets = 0;
	f->dup_acks = 0;
	for (; at.block != 0; at = tcp_spans_next(stack, at)) {
		struct tcp_span *span = tcp_spans_get(stack, at);

		if (reneged)
			span->flags &= ~(uint32_t)TCP_SENT_SACKED;
		if (span->seq == conn->snd_una || seq_lt(span->sent_us, sent_us))
			tcp_flight_mark_lost(conn, span);
	}
	if (reneged)
		f->sacked = f->sacked_segments = 0;
}

void tcp_flight_mark_none_lost(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	for (struct tcp_spans_at at = tcp_spans_first(stack, conn->flight); at.block != 0;
		at = tcp_spans_next(stack, at))
		tcp_spans_get(stack, at)->flags &= ~(uint32_t)TCP_SENT_LOST;
	tcp_flight_of(conn)->lost = 0;
}

// ---- What an ACK says

// The whole of span is delivered; it has not been before.
static void deliver(struct tcp_conn *conn, const struct tcp_span *span, const struct segment *s,
	struct tcp_delivery *d, uint64_t now_us)
{
	d->octets += length(span);
	tcp_rack_on_delivered(conn, span, s, now_us);
}

// The numbers up to ack are acknowledged.
static void take_acked(
	struct tcp_conn *conn, const struct segment *s, struct tcp_delivery *d, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_flight *f = tcp_flight_of(conn);
	struct tcp_spans_at at;

	while ((at = tcp_spans_first(stack, conn->flight)).block != 0) {
		struct tcp_span *span = tcp_spans_get(stack, at), part;

		if (seq_le(s->ack, span->seq))
			return;
		part = *span;
		if (seq_lt(s->ack, part.end))
			part.end = s->ack;
		if (part.flags & TCP_SENT_LOST)
			f->lost -= length(&part);
		if (part.flags & TCP_SENT_SACKED)
			f->sacked -= length(&part);
		else
			deliver(conn, &part, s, d, now_us);
		if (!d->has_rtt && !(part.flags & (TCP_SENT_SACKED | TCP_SENT_AGAIN))) {
			d->has_rtt = true;
			d->rtt_us = (uint32_t)now_us - part.sent_us;
		}
		d->was_again |= (part.flags & TCP_SENT_AGAIN) != 0;
		if (part.end != span->end) {
			span->seq = s->ack;
			return;
		}
		if (part.flags & TCP_SENT_SACKED)
			f->sacked_segments -= segments(&part);
		tcp_spans_remove(stack, conn->flight, at);
	}
}

// Runs of SACKed notes become one, so that what is walked is holes.
static void join_sacked(struct tcp_conn *conn, uint32_t left, uint32_t right)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_spans_at at = note_at(conn, left - 1), behind;

	if (at.block == 0)
		at = tcp_spans_first(stack, conn->flight);
	while (at.block != 0 && seq_lt(tcp_spans_get(stack, at)->seq, right)) {
		struct tcp_span *span = tcp_spans_get(stack, at);

		behind = tcp_spans_next(stack, at);
		if (behind.block == 0)
			return;

		struct tcp_span next = *tcp_spans_get(stack, behind);

		if (!(span->flags & next.flags & TCP_SENT_SACKED)) {
			at = behind;
			continue;
		}
		span->end = next.end;
		span->flags += next.flags & ~(TCP_SENT_ONE - 1U);
		span->flags |= next.flags & TCP_SENT_AGAIN;
		tcp_spans_remove(stack, conn->flight, behind);
	}
}

static void mark_sacked(struct tcp_conn *conn, struct tcp_span *span, const struct segment *s,
	struct tcp_delivery *d, uint64_t now_us)
{
	struct tcp_flight *f = tcp_flight_of(conn);

	deliver(conn, span, s, d, now_us);
	if (span->flags & TCP_SENT_LOST)
		f->lost -= length(span);
	span->flags &= ~(uint32_t)TCP_SENT_LOST;
	span->flags |= TCP_SENT_SACKED;
	f->sacked += length(span);
	f->sacked_segments += segments(span);
}

static void take_sack(struct tcp_conn *conn, struct segment_sack block, const struct segment *s,
	struct tcp_delivery *d, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_spans_at at;

	tcp_flight_split(conn, block.left);
	tcp_flight_split(conn, block.right);
	at = note_at(conn, block.left);
	if (at.block == 0)
		at = tcp_spans_first(stack, conn->flight);
	for (; at.block != 0; at = tcp_spans_next(stack, at)) {
		struct tcp_span *span = tcp_spans_get(stack, at);

		if (seq_lt(block.right, span->end))
			break;
		if (seq_lt(span->seq, block.left) || (span->flags & TCP_SENT_SACKED))
			continue;
		mark_sacked(conn, span, s, d, now_us);
	}
	join_sacked(conn, block.left, block.right);
}

// RFC 2883 5: the first block lies below the number, or inside the second.
static bool is_duplicate_report(const struct segment *s)
{
	const struct segment_sack *b = s->options.sacks;

	if (seq_le(b[0].right, s->ack))
		return true;
	return s->options.sack_count > 1 && seq_le(b[1].left, b[0].left) &&
	       seq_le(b[0].right, b[1].right);
}

void tcp_flight_on_ack(
	struct tcp_conn *conn, const struct segment *s, struct tcp_delivery *d, uint64_t now_us)
{
	take_acked(conn, s, d, now_us);
	if (!tcp_conn_has(conn, TCP_F_SACK))
		return;
	for (uint8_t i = 0; i < s->options.sack_count; i++) {
		struct segment_sack block = s->options.sacks[i];

		// A block that is empty, or about what was never sent, says nothing (CVE-2019-11477 and its kin).
		if (seq_le(block.right, block.left) || seq_lt(conn->snd_max, block.right))
			continue;
		if (i == 0 && is_duplicate_report(s)) {
			d->again_octets = block.right - block.left;
			continue;
		}
		// Of an ACK that was overtaken the blocks may be news.
		if (seq_lt(block.left, s->ack) || seq_lt(block.left, conn->snd_una))
			continue;
		d->has_sacks = true;
		take_sack(conn, block, s, d, now_us);
	}
}
