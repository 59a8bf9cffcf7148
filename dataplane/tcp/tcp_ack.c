#include "tcp/tcp_ack.h"

#include "base/seq.h"
#include "tcp/tcp_congestion.h"
#include "tcp/tcp_ecn.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_pmtu.h"
#include "tcp/tcp_recovery.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_send.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_time_wait.h"
#include "tcp/tcp_timer.h"

void tcp_ack_take_window(struct tcp_conn *conn, const struct segment *s)
{
	// RFC 7323 2.2: the window of a SYN is not scaled.
	uint8_t scale = s->flags & SEGMENT_SYN ? 0 : conn->snd_scale;
	uint32_t window = (uint32_t)s->window << scale;

	if (window > 0)
		conn->probes = 0;
	// Only a window that grows can be the largest; the others leave the fourth line alone.
	if (window > conn->snd_wnd && window > conn->snd_wnd_max)
		conn->snd_wnd_max = window;
	conn->snd_wnd = window;
	conn->snd_wl1 = s->seq;
}

static void update_window(struct tcp_conn *conn, const struct segment *s)
{
	// No ACK that is not older than snd_una is older than SND.WL2.
	if (seq_lt(s->seq, conn->snd_wl1) || seq_lt(s->ack, conn->snd_una))
		return;
	tcp_ack_take_window(conn, s);
	// An answered probe: the peer lives.
	if (conn->snd_wnd == 0)
		conn->retries = 0;
}

// RFC 5681 2.
static bool is_duplicate(const struct tcp_conn *conn, const struct segment *s)
{
	return s->ack == conn->snd_una && conn->snd_una != conn->snd_max && segment_len(s) == 0 &&
	       (uint32_t)s->window << conn->snd_scale == conn->snd_wnd;
}

// Returns whether octets of the queue were acknowledged.
static bool advance(struct tcp_conn *conn, uint32_t acked)
{
	uint32_t octets = acked < conn->send_octets ? acked : conn->send_octets;

	tcp_send_acked(conn, octets);
	conn->snd_una += acked;
	conn->retries = 0;
	if (conn->snd_una == conn->snd_max)
		conn->flags &= ~(uint32_t)TCP_F_SMALL_OUT;
	return octets > 0;
}

// Everything that the numbers, SACKs and repetitions of s say of what is in flight. Returns as advance().
static bool take_delivery(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	struct tcp_delivery d = {.flight = conn->snd_max - conn->snd_una,
		.acked = seq_lt(conn->snd_una, s->ack) ? s->ack - conn->snd_una : 0,
		.is_duplicate = is_duplicate(conn, s)};
	bool octets = false;

	if (d.acked == 0 && !d.is_duplicate && s->options.sack_count == 0)
		return false;
	if (conn->flight != 0)
		tcp_flight_on_ack(conn, s, &d, now_us);
	if (d.acked > 0) {
		tcp_rto_on_ack(conn, s, &d, now_us);
		octets = advance(conn, d.acked);
		if (conn->has_pmtu)
			tcp_pmtu_on_acked(conn, now_us);
	}
	if (conn->flight != 0)
		tcp_recovery_on_ack(conn, s, &d, now_us);
	else if (d.acked > 0 && tcp_ecn_is_echo(conn, s))
		tcp_recovery_on_echo(conn, d.flight);
	else
		tcp_congestion_grow(conn, &d, now_us);
	tcp_flight_close_if_done(conn);
	if (d.acked > 0)
		tcp_timer_on_ack_advanced(conn, now_us);
	else
		tcp_timer_on_sacked(conn, now_us);
	tcp_conn_touch(conn);
	return octets;
}

// Our FIN is acknowledged.
static void on_fin_acked(struct tcp_conn *conn, uint64_t now_us)
{
	if (conn->state == TCP_ST_CLOSING) {
		tcp_time_wait_enter(conn, now_us);
	} else if (conn->state == TCP_ST_LAST_ACK) {
		tcp_conn_end(conn, TCP_CLOSED_ORDERLY, now_us);
	} else {
		tcp_conn_enter(conn, TCP_ST_FIN_WAIT_2);
		// A half-closed connection lives as long as the application wants it.
		if (tcp_conn_has(conn, TCP_F_DISCARD))
			tcp_timer_on_linger(conn, now_us);
	}
}

static bool is_too_old(const struct tcp_conn *conn, uint32_t ack)
{
	return seq_lt(ack, conn->snd_una) && seq_lt(ack, conn->snd_una - conn->snd_wnd_max);
}

enum drop tcp_ack_segment(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;

	// RFC 5961 5.2: a blind guess hits this range once in thousands.
	if (seq_lt(conn->snd_max, s->ack) || is_too_old(conn, s->ack)) {
		tcp_output_challenge(conn, now_us);
		return DROP_TCP_ACK;
	}
	if (!tcp_conn_sends(conn))
		return DROP_NONE;

	bool octets = false;
	// With FIN queued snd_max passes the queue only when FIN was sent.
	bool fin_acked = seq_lt(conn->snd_una, s->ack) && tcp_conn_has(conn, TCP_F_CLOSE) &&
			 s->ack == tcp_conn_send_end(conn) + 1;
	uint32_t window = conn->snd_wnd;

	// Older than what is known: its window is no news, but its SACKs may be.
	if (seq_le(conn->snd_una, s->ack) || conn->flight != 0)
		octets = take_delivery(conn, s, now_us);
	update_window(conn, s);
	if (conn->snd_wnd > window)
		tcp_conn_touch(conn);
	if (fin_acked)
		on_fin_acked(conn, now_us);
	else if (octets && !tcp_conn_has(conn, TCP_F_DISCARD))
		stack->config.app->acked(stack->config.user, conn, now_us);
	return DROP_NONE;
}
