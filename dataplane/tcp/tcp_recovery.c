#include "tcp/tcp_recovery.h"

#include "base/seq.h"
#include "tcp/tcp_congestion.h"
#include "tcp/tcp_ecn.h"
#include "tcp/tcp_pmtu.h"
#include "tcp/tcp_rack.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_stack.h"

enum { DUP_ACKS = 3 };

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void end(struct tcp_conn *conn)
{
	struct tcp_flight *f = tcp_flight_of(conn);

	tcp_congestion_end_repair(conn);
	tcp_rack_on_repaired(conn);
	f->repair = TCP_REPAIR_NONE;
	f->dup_octets = 0;
	f->dup_acks = 0;
}

static void begin(struct tcp_conn *conn)
{
	struct tcp_flight *f = tcp_flight_of(conn);

	conn->stack->counters.fast_retransmits++;
	// RFC 3168 6.1.2: once a window, whichever sign of it came first.
	if (f->repair == TCP_REPAIR_NONE)
		tcp_congestion_cut(conn, conn->snd_max - conn->snd_una);
	tcp_congestion_begin_repair(conn);
	f->repair = TCP_REPAIR_FAST;
	f->recover = conn->snd_max;
	f->rack.probing = false;
}

static void begin_ecn(struct tcp_conn *conn, uint32_t flight)
{
	struct tcp_flight *f = tcp_flight_of(conn);

	conn->stack->counters.ecn_cuts++;
	tcp_congestion_cut(conn, flight);
	// No later ACK can tell that it was for nothing.
	f->undo.is_valid = false;
	tcp_congestion_begin_repair(conn);
	f->repair = TCP_REPAIR_ECN;
	f->recover = conn->snd_max;
}

void tcp_recovery_on_echo(struct tcp_conn *conn, uint32_t flight)
{
	conn->stack->counters.ecn_cuts++;
	tcp_congestion_cut_unnoted(conn, flight);
}

// ---- For nothing

static void take_back(struct tcp_conn *conn, uint32_t acked)
{
	struct tcp_flight *f = tcp_flight_of(conn);

	conn->stack->counters.undone++;
	tcp_flight_mark_none_lost(conn);
	tcp_congestion_undo(conn, acked);
	f->repair = TCP_REPAIR_NONE;
	f->dup_acks = 0;
	f->dup_octets = 0;
	conn->flags |= TCP_F_REORDERED;
}

// RFC 3522: the first ACK that moves on echoes a clock from before anything was sent again.
static bool echoes_first_copy(
	const struct tcp_conn *conn, const struct segment *s, const struct tcp_delivery *d)
{
	const struct tcp_undo *undo = &tcp_flight_of(conn)->undo;

	return undo->is_valid && undo->has_again && d->acked > 0 &&
	       tcp_conn_has(conn, TCP_F_TIMESTAMPS) && s->options.tsecr != 0 &&
	       seq_lt(s->options.tsecr, undo->again_ts);
}

// RFC 2883, 3708: everything that was sent again came twice.
static bool all_came_twice(struct tcp_conn *conn, const struct tcp_delivery *d)
{
	struct tcp_undo *undo = &tcp_flight_of(conn)->undo;

	if (!undo->is_valid || undo->again_octets == 0 || d->again_octets == 0)
		return false;
	undo->again_octets -= smaller(undo->again_octets, d->again_octets);
	return undo->again_octets == 0;
}

static bool was_for_nothing(
	struct tcp_conn *conn, const struct segment *s, const struct tcp_delivery *d)
{
	struct tcp_undo *undo = &tcp_flight_of(conn)->undo;
	bool first = echoes_first_copy(conn, s, d);

	if (all_came_twice(conn, d) || first)
		return true;
	// An answer to what was sent again: what was first lost was lost indeed.
	if (d->acked > 0 && undo->has_again)
		undo->has_again = false;
	return false;
}

// ---- The probe at the end (RFC 8985 7.4.2)

static void judge_probe(
	struct tcp_conn *conn, const struct segment *s, const struct tcp_delivery *d)
{
	struct tcp_flight *f = tcp_flight_of(conn);
	struct tcp_rack *r = &f->rack;

	if (!r->probing || seq_lt(s->ack, r->probe_end))
		return;
	// New data told nothing; a report of a second copy says that both have arrived.
	if (!r->probed_again || d->again_octets > 0) {
		r->probing = false;
		return;
	}
	bool stamped = tcp_conn_has(conn, TCP_F_TIMESTAMPS);

	if (stamped ? !seq_lt(s->options.tsecr, r->probe_ts) : seq_lt(r->probe_end, s->ack)) {
		// The probe has mended a loss that nobody saw; the network did.
		tcp_congestion_cut(conn, conn->snd_max - conn->snd_una);
		conn->cwnd = smaller(conn->cwnd, conn->ssthresh);
		r->probing = false;
	} else if (stamped) {
		r->probing = false;
	}
}

// ---- Without SACK: RFC 6582

static void count_duplicate(struct tcp_conn *conn, struct tcp_delivery *d)
{
	struct tcp_flight *f = tcp_flight_of(conn);
	uint32_t out = conn->snd_max - conn->snd_una;

	if (f->dup_acks < UINT8_MAX)
		f->dup_acks++;
	// Each tells that a segment has left the network, so another may enter (RFC 3042).
	f->dup_octets = smaller(
		f->dup_octets + conn->snd_mss, out > conn->snd_mss ? out - conn->snd_mss : 0);
	d->octets += conn->snd_mss;
}

static void mark_first(struct tcp_conn *conn)
{
	struct tcp_spans_at at = tcp_spans_first(conn->stack, conn->flight);

	if (at.block == 0)
		return;
	if (tcp_spans_get(conn->stack, at)->end - tcp_spans_get(conn->stack, at)->seq >
		conn->snd_mss)
		tcp_flight_split(conn, conn->snd_una + conn->snd_mss);
	tcp_flight_mark_lost(conn, tcp_spans_get(conn->stack, at));
}

static void judge_duplicates(struct tcp_conn *conn, struct tcp_delivery *d)
{
	struct tcp_flight *f = tcp_flight_of(conn);

	if (d->acked > 0) {
		uint32_t counted = smaller(f->dup_octets, d->acked);

		f->dup_octets -= counted;
		d->octets -= counted;
		f->dup_acks = 0;
		// 3.2 (5): the segment behind a partial ACK was lost too.
		if (f->repair == TCP_REPAIR_FAST && seq_lt(conn->snd_una, f->recover))
			mark_first(conn);
		return;
	}
	if (!d->is_duplicate)
		return;
	if (f->repair == TCP_REPAIR_TIMEOUT)
		return;
	count_duplicate(conn, d);
	// 3.2 (2): not for losses that an earlier repair already answers.
	if (f->dup_acks == DUP_ACKS && !tcp_flight_mends_loss(f) &&
		(f->repair == TCP_REPAIR_ECN || seq_lt(f->recover, conn->snd_una)))
		mark_first(conn);
}

// ----

static void judge_loss(struct tcp_conn *conn, struct tcp_delivery *d, uint64_t now_us)
{
	if (tcp_conn_has(conn, TCP_F_SACK))
		tcp_rack_detect(conn, now_us);
	else
		judge_duplicates(conn, d);
}

void tcp_recovery_on_ack(
	struct tcp_conn *conn, const struct segment *s, struct tcp_delivery *d, uint64_t now_us)
{
	struct tcp_flight *f = tcp_flight_of(conn);
	uint32_t lost = f->lost;
	bool was_fast = f->repair == TCP_REPAIR_FAST || f->repair == TCP_REPAIR_ECN;

	if (d->again_octets > 0)
		tcp_rack_on_again(conn);
	judge_probe(conn, s, d);
	if (was_for_nothing(conn, s, d))
		take_back(conn, d->acked);
	if (f->repair != TCP_REPAIR_NONE && seq_le(f->recover, conn->snd_una))
		end(conn);
	judge_loss(conn, d, now_us);
	if (f->lost > 0 && conn->has_pmtu)
		tcp_pmtu_on_lost(conn, now_us);
	if (!tcp_flight_mends_loss(f) && f->lost > 0)
		begin(conn);
	// Only what left after the last cut tells something new.
	else if (f->repair == TCP_REPAIR_NONE && tcp_ecn_is_echo(conn, s) &&
		 seq_lt(f->recover, s->ack))
		begin_ecn(conn, d->flight);
	if (f->repair == TCP_REPAIR_FAST || f->repair == TCP_REPAIR_ECN)
		tcp_congestion_repair(conn, d, f->lost > lost);
	else if (!was_fast)
		tcp_congestion_grow(conn, d, now_us);
}

void tcp_recovery_on_reorder_due(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_flight *f = tcp_flight_of(conn);
	// What was SACKed when the wait began.
	struct tcp_delivery before = {.octets = conn->snd_mss};

	tcp_rack_detect(conn, now_us);
	if (f->lost > 0 && conn->has_pmtu)
		tcp_pmtu_on_lost(conn, now_us);
	if (!tcp_flight_mends_loss(f) && f->lost > 0)
		begin(conn);
	if (f->repair == TCP_REPAIR_FAST)
		tcp_congestion_repair(conn, &before, true);
}

void tcp_recovery_on_timeout(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_flight *f = tcp_flight_of(conn);
	uint32_t lost_before_us = tcp_rack_lost_before_us(conn, now_us);

	// RFC 5681 3.1 (4): a window that was cut for its losses is not cut for the same again.
	if (f->repair == TCP_REPAIR_NONE || seq_le(f->recover, conn->snd_una))
		tcp_congestion_cut(conn, conn->snd_max - conn->snd_una);
	tcp_flight_mark_lost_before(conn, lost_before_us);
	tcp_congestion_collapse(conn);
	f->repair = TCP_REPAIR_TIMEOUT;
	f->recover = conn->snd_max;
	f->rack.wait_us = 0;
	f->rack.probing = false;
}

void tcp_recovery_on_sent_again(struct tcp_conn *conn, uint32_t octets, uint64_t now_us)
{
	struct tcp_undo *undo = &tcp_flight_of(conn)->undo;

	if (tcp_flight_of(conn)->repair == TCP_REPAIR_NONE)
		return;
	if (undo->again_octets == 0) {
		undo->has_again = true;
		undo->again_ts = tcp_rto_timestamp(conn, now_us);
	}
	undo->again_octets += octets;
}
