#include "tcp/tcp_timer.h"

#include <stddef.h>

#include "base/limits.h"
#include "tcp/tcp_ecn.h"
#include "tcp/tcp_flight.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_pmtu.h"
#include "tcp/tcp_rack.h"
#include "tcp/tcp_recovery.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_stack.h"

// The wheel's entry may hang earlier than the first deadline: tcp_timer_run() then finds nothing due and hangs
// it again. So an ACK that moves the retransmission costs one store here and nothing in the wheel.
static void look_by(struct tcp_conn *conn, uint64_t due_us)
{
	if (conn->timer.due_us == 0 || due_us < conn->timer.due_us)
		timer_wheel_arm(&conn->stack->wheel, &conn->timer, due_us);
}

static void set(struct tcp_conn *conn, enum tcp_due which, uint64_t due_us)
{
	conn->due_us[which] = due_us;
	if (due_us != 0)
		look_by(conn, due_us);
}

enum { DUE_WHAT = TCP_F_DUE_PROBE | TCP_F_DUE_REORDER | TCP_F_DUE_KEEP };

// What TCP_DUE_PEER stands for: one of DUE_WHAT, or 0 for the RTO, a window probe or the wait at the end.
static void wait_for(struct tcp_conn *conn, uint32_t what, uint64_t due_us)
{
	// Unanswered keep-alives are no unanswered octets.
	if (tcp_conn_has(conn, TCP_F_DUE_KEEP) && what != TCP_F_DUE_KEEP)
		conn->retries = 0;
	conn->flags &= ~(uint32_t)DUE_WHAT;
	conn->flags |= what;
	set(conn, TCP_DUE_PEER, due_us);
}

static uint32_t ms_of(uint64_t us)
{
	return (uint32_t)(us / 1000);
}

// When what is in flight left, or the first of it that is not acknowledged.
static uint32_t out_since_ms(const struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t sent_us = conn->sent_us;

	if (conn->retries > 0)
		return conn->stuck_ms;
	// The note of what a tail probe repeated tells when that was.
	if (conn->flight != 0 && !tcp_flight_of(conn)->rack.probing)
		sent_us = tcp_spans_get(conn->stack, tcp_spans_first(conn->stack, conn->flight))
				  ->sent_us;
	return ms_of(now_us) - ((uint32_t)now_us - sent_us) / 1000;
}

static bool is_over(const struct tcp_conn *conn, uint32_t since_ms, uint64_t now_us)
{
	return ms_of(now_us) - since_ms >= conn->user_timeout_ms;
}

// due_us, or the end of the user time-out if that comes first.
static uint64_t in_user_time(
	const struct tcp_conn *conn, uint32_t since_ms, uint64_t due_us, uint64_t now_us)
{
	uint32_t gone_ms = ms_of(now_us) - since_ms;
	uint64_t left_us;

	if (!conn->has_user_timeout)
		return due_us;
	left_us = gone_ms < conn->user_timeout_ms
			  ? (uint64_t)(conn->user_timeout_ms - gone_ms) * 1000
			  : 1000;
	return now_us + left_us < due_us ? now_us + left_us : due_us;
}

// What moved on has its full time again.
static void wait_for_rto(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t since_ms = conn->retries > 0 ? conn->stuck_ms : ms_of(now_us);

	wait_for(conn, 0, in_user_time(conn, since_ms, now_us + tcp_rto_us(conn), now_us));
}

// ---- Keep-alives

// In the unit of heard; a day fits.
static uint32_t heard_units(uint32_t s)
{
	return (uint32_t)(s * 1000000ULL >> TCP_HEARD_SHIFT);
}

static uint32_t quiet_units(const struct tcp_conn *conn, uint64_t now_us)
{
	return (uint32_t)(now_us >> TCP_HEARD_SHIFT) - conn->heard;
}

// Nothing is in flight.
static void wait_for_silence(struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t heard = (now_us >> TCP_HEARD_SHIFT) - quiet_units(conn, now_us);

	if (conn->keep_idle_s == 0)
		wait_for(conn, 0, 0);
	else
		wait_for(conn, TCP_F_DUE_KEEP,
			(heard << TCP_HEARD_SHIFT) + conn->keep_idle_s * 1000000ULL);
}

static bool is_silent_for_good(const struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t quiet_us = (uint64_t)quiet_units(conn, now_us) << TCP_HEARD_SHIFT;

	if (conn->retries == 0)
		return false;
	if (conn->has_user_timeout)
		return quiet_us >= conn->user_timeout_ms * 1000ULL;
	return conn->retries >= conn->keep_probes;
}

// The deadline is no sooner than the time of silence that was set, and heard moves without it.
static void keepalive_due(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t quiet = quiet_units(conn, now_us);

	if (quiet < heard_units(conn->keep_interval_s))
		conn->retries = 0;
	if (quiet < heard_units(conn->keep_idle_s)) {
		conn->retries = 0;
		wait_for_silence(conn, now_us);
		return;
	}
	if (is_silent_for_good(conn, now_us)) {
		tcp_output_reset(conn, now_us);
		tcp_conn_end(conn, TCP_CLOSED_TIMEOUT, now_us);
		return;
	}
	if (conn->retries < UINT8_MAX)
		conn->retries++;
	tcp_output_keepalive(conn, now_us);
	wait_for(conn, TCP_F_DUE_KEEP, now_us + conn->keep_interval_s * 1000000ULL);
}

void tcp_timer_on_keepalive_set(struct tcp_conn *conn, uint64_t now_us)
{
	bool waits = conn->due_us[TCP_DUE_PEER] == 0 || tcp_conn_has(conn, TCP_F_DUE_KEEP);

	if (waits && conn->state >= TCP_ST_ESTABLISHED && conn->snd_una == conn->snd_max)
		wait_for_silence(conn, now_us);
}

void tcp_timer_on_user_timeout_set(struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t due_us = conn->due_us[TCP_DUE_PEER];

	if (due_us == 0 || conn->snd_una == conn->snd_max || conn->state == TCP_ST_TIME_WAIT)
		return;
	set(conn, TCP_DUE_PEER, in_user_time(conn, out_since_ms(conn, now_us), due_us, now_us));
}

void tcp_timer_on_heard(struct tcp_conn *conn, uint64_t now_us)
{
	if (!tcp_conn_has(conn, TCP_F_ACK_OWED))
		conn->heard = (uint32_t)(now_us >> TCP_HEARD_SHIFT);
}

// ----

static uint32_t reorder_wait_us(const struct tcp_conn *conn)
{
	return conn->flight != 0 ? tcp_flight_of(conn)->rack.wait_us : 0;
}

// The first of three: the end of the reordering window, a probe, the RTO (RFC 8985 8).
static void wait_for_first(struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t probe_us = tcp_rack_probe_us(conn), rto_us = tcp_rto_us(conn);

	if (reorder_wait_us(conn) > 0)
		wait_for(conn, TCP_F_DUE_REORDER, now_us + reorder_wait_us(conn));
	// RFC 8985 7.2: where the RTO comes first, it is a probe that leaves then.
	else if (probe_us != 0)
		wait_for(conn, TCP_F_DUE_PROBE, now_us + (probe_us < rto_us ? probe_us : rto_us));
	else
		wait_for_rto(conn, now_us);
}

void tcp_timer_on_syn_sent(struct tcp_conn *conn, uint64_t now_us)
{
	if (conn->due_us[TCP_DUE_PEER] == 0)
		wait_for_rto(conn, now_us);
}

void tcp_timer_on_sent(struct tcp_conn *conn, bool first, uint64_t now_us)
{
	uint64_t probe_us;
	bool probes = tcp_conn_has(conn, TCP_F_DUE_PROBE);

	if (first) {
		wait_for_first(conn, now_us);
		return;
	}
	if (conn->flight == 0 || tcp_conn_has(conn, TCP_F_DUE_REORDER))
		return;
	// RFC 8985 7.2: the probe moves with what was sent last, but not beyond the RTO of what was sent first.
	probe_us = tcp_rack_probe_us(conn);
	if (probe_us == 0)
		return;
	if (probes && probe_us > tcp_flight_rto_left_us(conn, now_us))
		probe_us = tcp_flight_rto_left_us(conn, now_us);
	if (probes || now_us + probe_us < conn->due_us[TCP_DUE_PEER])
		wait_for(conn, TCP_F_DUE_PROBE, now_us + probe_us);
}

void tcp_timer_on_ack_advanced(struct tcp_conn *conn, uint64_t now_us)
{
	if (conn->snd_una != conn->snd_max)
		wait_for_first(conn, now_us);
	else
		wait_for_silence(conn, now_us);
}

void tcp_timer_on_sacked(struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t due_us = now_us + reorder_wait_us(conn);
	bool waits_for_rto = (conn->flags & (TCP_F_DUE_PROBE | TCP_F_DUE_REORDER)) == 0;

	if (conn->flight == 0 || conn->snd_una == conn->snd_max)
		return;
	if (due_us > now_us && (!waits_for_rto || due_us < conn->due_us[TCP_DUE_PEER]))
		wait_for(conn, TCP_F_DUE_REORDER, due_us);
	// What it waited for is no more.
	else if (due_us == now_us && !waits_for_rto && tcp_rack_probe_us(conn) == 0)
		wait_for_rto(conn, now_us);
}

void tcp_timer_on_blocked(struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t due_us = now_us + tcp_rto_probe_us(conn);

	// A window that opened a little, too little for a segment, starts the back-off anew: the probe that is due may be a minute away.
	if (conn->due_us[TCP_DUE_PEER] == 0 || tcp_conn_has(conn, TCP_F_DUE_KEEP) ||
		due_us < conn->due_us[TCP_DUE_PEER])
		wait_for(conn, 0, due_us);
}

static void delay_ack(struct tcp_conn *conn, uint64_t now_us)
{
	conn->flags |= TCP_F_ACK_OWED;
	conn->heard = (uint32_t)(now_us >> TCP_HEARD_SHIFT);
	look_by(conn, now_us + LIMIT_TCP_DELAYED_ACK_US);
}

// Until the delayed ACK; 0: it is due.
static uint32_t ack_left_us(const struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t delay = LIMIT_TCP_DELAYED_ACK_US >> TCP_HEARD_SHIFT;
	uint32_t waited = quiet_units(conn, now_us);

	return waited < delay ? (delay - waited) << TCP_HEARD_SHIFT : 0;
}

// RFC 5681 4.2: at least every second full segment, and never later than the delay. An answer that is under way carries
// the ACK of what it answers, however many segments that took.
void tcp_timer_on_data_received(struct tcp_conn *conn, uint64_t now_us)
{
	bool is_much = conn->rcv_nxt - conn->rcv_acked >= 2U * conn->rcv_mss;

	if ((is_much || tcp_conn_has(conn, TCP_F_ACK_EACH)) && !tcp_conn_has(conn, TCP_F_ACK_REPLY))
		conn->flags |= TCP_F_ACK_NOW;
	else if (!tcp_conn_has(conn, TCP_F_ACK_OWED))
		delay_ack(conn, now_us);
	tcp_conn_touch(conn);
}

void tcp_timer_on_ack_sent(struct tcp_conn *conn)
{
	conn->flags &= ~(uint32_t)TCP_F_ACK_OWED;
}

void tcp_timer_on_linger(struct tcp_conn *conn, uint64_t now_us)
{
	bool time_wait = conn->state == TCP_ST_TIME_WAIT;

	wait_for(conn, 0, now_us + (time_wait ? LIMIT_TCP_TIME_WAIT_US : LIMIT_TCP_FIN_WAIT_2_US));
}

void tcp_timer_on_app_deadline(struct tcp_conn *conn, uint64_t due_us)
{
	set(conn, TCP_DUE_APP, due_us);
}

void tcp_timer_stop_all(struct tcp_conn *conn)
{
	for (size_t i = 0; i < TCP_DUE_COUNT; i++)
		conn->due_us[i] = 0;
	conn->flags &= ~(uint32_t)(TCP_F_ACK_OWED | DUE_WHAT);
	timer_wheel_cancel(&conn->stack->wheel, &conn->timer);
}

static void note_stuck(struct tcp_conn *conn, uint64_t now_us)
{
	if (conn->retries == 0)
		conn->stuck_ms = out_since_ms(conn, now_us);
}

static void handshake_due(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t limit = tcp_conn_has(conn, TCP_F_ACTIVE) ? LIMIT_TCP_SYN_RETRIES
							  : LIMIT_TCP_SYN_ACK_RETRIES;

	note_stuck(conn, now_us);
	if (conn->retries >= limit ||
		(conn->has_user_timeout && is_over(conn, conn->stuck_ms, now_us))) {
		tcp_conn_end(conn, TCP_CLOSED_TIMEOUT, now_us);
		return;
	}
	conn->retries++;
	conn->backoff++;
	tcp_rto_on_retransmit(conn);
	conn->flags |= TCP_F_SEND_SYN | TCP_F_SYN_LOST;
	tcp_ecn_on_syn_lost(conn);
	wait_for_rto(conn, now_us);
	tcp_conn_touch(conn);
}

// Has the peer had all the chances it gets? A peer whose window is shut is alive as long as it answers
// (RFC 9293 3.8.6.1), but not for ever: it holds our memory (sockstress, RFC 6429).
static bool gives_up(const struct tcp_conn *conn, uint64_t now_us)
{
	bool orphan = tcp_conn_has(conn, TCP_F_DISCARD);
	bool waits = conn->snd_una != conn->snd_max || conn->probes > 0;
	uint32_t retries = orphan ? LIMIT_TCP_CLOSED_RETRIES : LIMIT_TCP_RETRIES;
	uint32_t probes = orphan ? LIMIT_TCP_CLOSED_RETRIES : LIMIT_TCP_PROBES;

	if (conn->has_user_timeout && waits && is_over(conn, conn->stuck_ms, now_us))
		return true;
	if (conn->has_user_timeout && !orphan)
		return conn->probes >= probes;
	return conn->retries >= retries || conn->probes >= probes;
}

static void count(uint8_t *n)
{
	if (*n < UINT8_MAX)
		(*n)++;
}

static void probe_due(struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t due_us;

	count(&conn->retries);
	count(&conn->probes);
	if (tcp_output_probe(conn, now_us))
		return;
	due_us = now_us + tcp_rto_probe_us(conn);
	set(conn, TCP_DUE_PEER, in_user_time(conn, conn->stuck_ms, due_us, now_us));
}

// RFC 6298 5.4 to 5.6.
static void retransmit_due(struct tcp_conn *conn, uint64_t now_us)
{
	conn->stack->counters.timeouts++;
	count(&conn->retries);
	count(&conn->backoff);
	if (conn->snd_wnd == 0)
		count(&conn->probes);
	if (tcp_flight_open(conn))
		tcp_recovery_on_timeout(conn, now_us);
	else
		conn->flags |= TCP_F_RETRANSMIT;
	tcp_pmtu_on_lost(conn, now_us);
	wait_for_rto(conn, now_us);
	tcp_conn_touch(conn);
}

static void in_flight_due(struct tcp_conn *conn, uint64_t now_us)
{
	if (tcp_conn_has(conn, TCP_F_DUE_PROBE) && tcp_flight_open(conn)) {
		tcp_output_tail_probe(conn, now_us);
		wait_for_rto(conn, now_us);
	} else if (tcp_conn_has(conn, TCP_F_DUE_REORDER) && conn->flight != 0) {
		tcp_recovery_on_reorder_due(conn, now_us);
		wait_for_rto(conn, now_us);
		tcp_conn_touch(conn);
	} else {
		retransmit_due(conn, now_us);
	}
}

static void peer_due(struct tcp_conn *conn, uint64_t now_us)
{
	if (conn->state == TCP_ST_TIME_WAIT) {
		tcp_conn_end(conn, TCP_CLOSED_ORDERLY, now_us);
		return;
	}
	if (tcp_conn_is_opening(conn)) {
		handshake_due(conn, now_us);
		return;
	}
	if (tcp_conn_has(conn, TCP_F_DUE_KEEP)) {
		keepalive_due(conn, now_us);
		return;
	}
	if (conn->snd_una != conn->snd_max)
		note_stuck(conn, now_us);
	else if (conn->probes == 0)
		conn->stuck_ms = ms_of(now_us);
	if (conn->state == TCP_ST_FIN_WAIT_2 || gives_up(conn, now_us)) {
		tcp_output_reset(conn, now_us);
		tcp_conn_end(conn, TCP_CLOSED_TIMEOUT, now_us);
		return;
	}
	if (conn->snd_una == conn->snd_max)
		probe_due(conn, now_us);
	else
		in_flight_due(conn, now_us);
}

// Take the deadline away if it has come.
static bool take_due(struct tcp_conn *conn, enum tcp_due which, uint64_t now_us)
{
	if (conn->due_us[which] == 0 || conn->due_us[which] > now_us)
		return false;
	conn->due_us[which] = 0;
	return true;
}

static void rearm(struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t first_us =
		tcp_conn_has(conn, TCP_F_ACK_OWED) ? now_us + ack_left_us(conn, now_us) : 0;

	for (size_t i = 0; i < TCP_DUE_COUNT; i++)
		if (conn->due_us[i] != 0 && (first_us == 0 || conn->due_us[i] < first_us))
			first_us = conn->due_us[i];
	if (first_us != 0)
		timer_wheel_arm(&conn->stack->wheel, &conn->timer, first_us);
}

static void due(void *owner, struct timer *timer, uint64_t now_us)
{
	struct tcp_stack *stack = owner;
	struct tcp_conn *conn =
		(struct tcp_conn *)(void *)((uint8_t *)timer - offsetof(struct tcp_conn, timer));

	if (tcp_conn_has(conn, TCP_F_ACK_OWED) && ack_left_us(conn, now_us) == 0) {
		conn->flags &= ~(uint32_t)TCP_F_ACK_OWED;
		conn->flags |= TCP_F_ACK_NOW;
		tcp_conn_touch(conn);
	}
	if (take_due(conn, TCP_DUE_PEER, now_us))
		peer_due(conn, now_us);
	if (tcp_conn_has_app(conn) && take_due(conn, TCP_DUE_APP, now_us))
		stack->config.app->deadline(stack->config.user, conn, now_us);
	if (conn->state != TCP_ST_CLOSED)
		rearm(conn, now_us);
}

void tcp_timer_run(struct tcp_stack *stack, uint64_t now_us, uint32_t budget)
{
	timer_wheel_run(&stack->wheel, now_us, budget, due, stack);
}
