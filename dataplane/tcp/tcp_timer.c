#include "tcp/tcp_timer.h"

#include <stddef.h>

#include "base/limits.h"
#include "tcp/tcp_ecn.h"
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

// What TCP_DUE_PEER stands for: TCP_F_DUE_PROBE, TCP_F_DUE_REORDER, or 0 for the RTO.
static void wait_for(struct tcp_conn *conn, uint32_t what, uint64_t due_us)
{
	conn->flags &= ~(uint32_t)(TCP_F_DUE_PROBE | TCP_F_DUE_REORDER);
	conn->flags |= what;
	set(conn, TCP_DUE_PEER, due_us);
}

static void wait_for_rto(struct tcp_conn *conn, uint64_t now_us)
{
	wait_for(conn, 0, now_us + tcp_rto_us(conn));
}

static uint32_t reorder_wait_us(const struct tcp_conn *conn)
{
	return conn->flight != 0 ? tcp_flight_of(conn)->rack.wait_us : 0;
}

// The first of three: the end of the reordering window, a probe, the RTO (RFC 8985 8).
static void wait_for_first(struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t probe_us = tcp_rack_probe_us(conn);

	if (reorder_wait_us(conn) > 0)
		wait_for(conn, TCP_F_DUE_REORDER, now_us + reorder_wait_us(conn));
	else if (probe_us != 0 && probe_us < tcp_rto_us(conn))
		wait_for(conn, TCP_F_DUE_PROBE, now_us + probe_us);
	else
		wait_for_rto(conn, now_us);
}

void tcp_timer_on_syn_sent(struct tcp_conn *conn, uint64_t now_us)
{
	if (conn->due_us[TCP_DUE_PEER] == 0)
		set(conn, TCP_DUE_PEER, now_us + tcp_rto_us(conn));
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
		set(conn, TCP_DUE_PEER, 0);
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
	if (conn->due_us[TCP_DUE_PEER] == 0 || due_us < conn->due_us[TCP_DUE_PEER])
		set(conn, TCP_DUE_PEER, due_us);
}

static void delay_ack(struct tcp_conn *conn, uint64_t due_us)
{
	conn->ack_due_us = (uint32_t)due_us + ((uint32_t)due_us == 0);
	look_by(conn, due_us);
}

// Until the delayed ACK; 0: it is due. It is never farther away than the delay, so low bits tell.
static uint32_t ack_left_us(const struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t left_us = conn->ack_due_us - (uint32_t)now_us;

	return left_us <= LIMIT_TCP_DELAYED_ACK_US + 1 ? left_us : 0;
}

// RFC 5681 4.2: at least every second full segment, and never later than the delay. An answer that is under way carries
// the ACK of what it answers, however many segments that took.
void tcp_timer_on_data_received(struct tcp_conn *conn, uint64_t now_us)
{
	bool is_much = conn->rcv_nxt - conn->rcv_acked >= 2U * conn->rcv_mss;

	if ((is_much || tcp_conn_has(conn, TCP_F_ACK_EACH)) && !tcp_conn_has(conn, TCP_F_ACK_REPLY))
		conn->flags |= TCP_F_ACK_NOW;
	else if (conn->ack_due_us == 0)
		delay_ack(conn, now_us + LIMIT_TCP_DELAYED_ACK_US);
	tcp_conn_touch(conn);
}

void tcp_timer_on_ack_sent(struct tcp_conn *conn)
{
	conn->ack_due_us = 0;
}

void tcp_timer_on_linger(struct tcp_conn *conn, uint64_t now_us)
{
	bool time_wait = conn->state == TCP_ST_TIME_WAIT;

	set(conn, TCP_DUE_PEER,
		now_us + (time_wait ? LIMIT_TCP_TIME_WAIT_US : LIMIT_TCP_FIN_WAIT_2_US));
}

void tcp_timer_on_app_deadline(struct tcp_conn *conn, uint64_t due_us)
{
	set(conn, TCP_DUE_APP, due_us);
}

void tcp_timer_stop_all(struct tcp_conn *conn)
{
	for (size_t i = 0; i < TCP_DUE_COUNT; i++)
		conn->due_us[i] = 0;
	conn->ack_due_us = 0;
	timer_wheel_cancel(&conn->stack->wheel, &conn->timer);
}

static void handshake_due(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t limit = tcp_conn_has(conn, TCP_F_ACTIVE) ? LIMIT_TCP_SYN_RETRIES
							  : LIMIT_TCP_SYN_ACK_RETRIES;

	if (conn->retries >= limit) {
		tcp_conn_end(conn, TCP_CLOSED_TIMEOUT, now_us);
		return;
	}
	conn->retries++;
	conn->backoff++;
	tcp_rto_on_retransmit(conn);
	conn->flags |= TCP_F_SEND_SYN | TCP_F_SYN_LOST;
	tcp_ecn_on_syn_lost(conn);
	set(conn, TCP_DUE_PEER, now_us + tcp_rto_us(conn));
	tcp_conn_touch(conn);
}

// Has the peer had all the chances it gets? A peer whose window is shut is alive as long as it answers
// (RFC 9293 3.8.6.1), but not for ever: it holds our memory (sockstress, RFC 6429).
static bool gives_up(const struct tcp_conn *conn)
{
	bool orphan = tcp_conn_has(conn, TCP_F_DISCARD);
	uint32_t retries = orphan ? LIMIT_TCP_CLOSED_RETRIES : LIMIT_TCP_RETRIES;
	uint32_t probes = orphan ? LIMIT_TCP_CLOSED_RETRIES : LIMIT_TCP_PROBES;

	return conn->retries >= retries || conn->probes >= probes;
}

static void probe_due(struct tcp_conn *conn, uint64_t now_us)
{
	conn->retries++;
	conn->probes++;
	if (!tcp_output_probe(conn, now_us))
		set(conn, TCP_DUE_PEER, now_us + tcp_rto_probe_us(conn));
}

// RFC 6298 5.4 to 5.6.
static void retransmit_due(struct tcp_conn *conn, uint64_t now_us)
{
	conn->stack->counters.timeouts++;
	conn->retries++;
	if (conn->backoff < UINT8_MAX)
		conn->backoff++;
	if (conn->snd_wnd == 0)
		conn->probes++;
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
	if (conn->state == TCP_ST_FIN_WAIT_2 || gives_up(conn)) {
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
	uint64_t first_us = conn->ack_due_us != 0 ? now_us + ack_left_us(conn, now_us) : 0;

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

	if (conn->ack_due_us != 0 && ack_left_us(conn, now_us) == 0) {
		conn->ack_due_us = 0;
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
