#include "tcp/tcp_handshake.h"

#include "base/seq.h"
#include "tcp/tcp_ack.h"
#include "tcp/tcp_congestion.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_recv.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_time_wait.h"
#include "tcp/tcp_timer.h"

enum {
	DEFAULT_MSS_V4 = 536, // RFC 9293 3.7.1 (MUST-15): a peer that names none
	DEFAULT_MSS_V6 = 1220,
	TIMESTAMP_OCTETS = 12,
	SCALE_MAX = 14, // RFC 7323 2.3
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

// The peer's SYN: its options stand against what we offer.
static void take_options(struct tcp_conn *conn, const struct segment *s)
{
	const struct segment_options *o = &s->options;
	const struct tcp_stack_config *config = &conn->stack->config;
	bool v4 = ip_addr_is_v4(&conn->tuple.local);
	uint32_t mss = o->has_mss ? o->mss : v4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6;
	uint32_t ours = v4 ? config->mss : config->mss - 20U;

	if (mss < LIMIT_TCP_MSS_MIN)
		mss = LIMIT_TCP_MSS_MIN;
	mss = smaller(mss, ours);
	conn->flags &= ~(uint32_t)(TCP_F_SCALE | TCP_F_TIMESTAMPS | TCP_F_SACK);
	conn->rcv_scale = 0;
	if (o->has_scale) {
		conn->flags |= TCP_F_SCALE;
		conn->snd_scale = o->scale < SCALE_MAX ? o->scale : SCALE_MAX;
		conn->rcv_scale = conn->stack->receive_scale;
	}
	if (o->sack_permitted)
		conn->flags |= TCP_F_SACK;
	if (o->has_timestamp) {
		conn->flags |= TCP_F_TIMESTAMPS;
		conn->ts_recent = o->tsval;
		mss -= TIMESTAMP_OCTETS;
	}
	conn->snd_mss = (uint16_t)mss;
	conn->rcv_mss = DEFAULT_MSS_V4;
	conn->rcv_nxt = s->seq + 1;
	conn->rcv_acked = conn->rcv_nxt;
	conn->rcv_adv = conn->rcv_nxt;
}

// old_snd_max: of the connection that had the tuple before, or NULL. RFC 1122 4.2.2.13: beyond any number it used, even
// if it was faster than the clock of RFC 6528.
static void take_isn(struct tcp_conn *conn, const uint32_t *old_snd_max, uint64_t now_us)
{
	struct tcp_tuple_wire wire =
		tcp_tuple_wire(&conn->stack->config.secret, &conn->tuple, now_us);

	if (old_snd_max != NULL && seq_le(wire.isn, *old_snd_max))
		wire.isn = *old_snd_max + 1;
	conn->ts_offset = wire.timestamp_offset;
	conn->snd_una = wire.isn;
	conn->snd_nxt = conn->snd_max = wire.isn + 1;
	conn->flags |= TCP_F_SEND_SYN;
	tcp_conn_touch(conn);
}

// RFC 4987 3.4: the oldest handshake that waits goes without a word. A flood of SYNs then costs slow clients their handshake; if
// the newest were refused instead, one second of it would keep everybody out for a minute.
static bool push_out_oldest(struct tcp_stack *stack, uint64_t now_us)
{
	if (stack->half_open.first == 0)
		return false;
	stack->counters.pushed_out++;
	tcp_conn_end(tcp_stack_slot(stack, stack->half_open.first - 1), TCP_CLOSED_TIMEOUT, now_us);
	tcp_conn_reap(stack);
	return true;
}

static bool has_room(struct tcp_stack *stack, uint64_t now_us)
{
	uint32_t share = stack->config.conns / LIMIT_TCP_EMBRYONIC_SHARE;

	if (stack->embryonic >= share + (share == 0))
		return push_out_oldest(stack, now_us);
	return tcp_conn_has_free(stack) || tcp_time_wait_recycle(stack, now_us) ||
	       push_out_oldest(stack, now_us);
}

// RFC 9293 3.10.7.2, third. Octets and FIN that ride on the SYN are not taken; the peer sends them again.
static enum drop open_passive(struct tcp_stack *stack, const struct segment *s,
	const uint32_t *old_snd_max, uint64_t now_us)
{
	const struct tcp_stack_config *config = &stack->config;
	struct tcp_tuple tuple = tcp_tuple_of_input(s);

	stack->counters.syns_in++;
	if (!has_room(stack, now_us)) {
		stack->counters.table_full++;
		return DROP_CONN_TABLE_FULL;
	}
	if (config->app->accept != NULL && !config->app->accept(config->user, s, now_us)) {
		tcp_output_refuse(stack, s);
		return DROP_CONN_REFUSED;
	}

	struct tcp_conn *conn = tcp_conn_take(stack, &tuple, s->nic_port);

	tcp_conn_enter(conn, TCP_ST_SYN_RECEIVED);
	take_options(conn, s);
	conn->ts_recent_hour = (uint16_t)(now_us >> 32);
	take_isn(conn, old_snd_max, now_us);
	return DROP_NONE;
}

enum drop tcp_handshake_no_conn(
	struct tcp_stack *stack, const struct segment *s, bool listen, uint64_t now_us)
{
	struct tcp_tuple tuple = tcp_tuple_of_input(s);

	// RFC 9293 3.10.7.1: a RST is never answered.
	if (s->flags & SEGMENT_RST)
		return listen ? DROP_TCP_NO_CONN : DROP_TCP_PORT;
	// LAND: the answer would come back to us.
	if (tuple.local_port == tuple.peer_port && ip_addr_eq(&tuple.local, &tuple.peer))
		return DROP_TCP_BAD;
	if (!listen || (s->flags & SEGMENT_ACK)) {
		tcp_output_refuse(stack, s);
		return listen ? DROP_TCP_NO_CONN : DROP_TCP_PORT;
	}
	if ((s->flags & (SEGMENT_SYN | SEGMENT_FIN)) != SEGMENT_SYN)
		return DROP_TCP_BAD;
	return open_passive(stack, s, NULL, now_us);
}

enum drop tcp_handshake_reopen(
	struct tcp_stack *stack, const struct segment *s, uint32_t old_snd_max, uint64_t now_us)
{
	return open_passive(stack, s, &old_snd_max, now_us);
}

void tcp_handshake_begin(struct tcp_conn *conn, uint64_t now_us)
{
	tcp_conn_enter(conn, TCP_ST_SYN_SENT);
	conn->flags |= TCP_F_ACTIVE | TCP_F_SCALE | TCP_F_TIMESTAMPS | TCP_F_SACK;
	conn->rcv_scale = conn->stack->receive_scale;
	take_isn(conn, NULL, now_us);
}

// RFC 9293 3.10.7.4, fifth, SYN-RECEIVED, and 3.10.7.3, fourth: the application hears of it.
static void establish(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;

	tcp_rto_on_ack(conn, s, now_us);
	conn->flags &= ~(uint32_t)TCP_F_SEND_SYN;
	conn->snd_una = s->ack;
	tcp_conn_enter(conn, TCP_ST_ESTABLISHED);
	tcp_timer_on_ack_advanced(conn, now_us);
	tcp_ack_take_window(conn, s);
	tcp_congestion_on_established(conn);
	conn->retries = conn->backoff = 0;
	conn->flags |= TCP_F_OPENED;
	stack->counters.opened++;
	tcp_conn_touch(conn);
	stack->config.app->opened(stack->config.user, conn, now_us);
}

// RFC 9293 3.10.7.3, fourth: octets and FIN on the SYN-ACK go on at the sixth step.
static enum drop take_rest(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	struct segment rest = *s;

	if (conn->state == TCP_ST_CLOSED)
		return DROP_NONE;
	rest.flags &= (uint8_t)~SEGMENT_SYN;
	rest.seq++;
	return tcp_recv_segment(conn, &rest, now_us);
}

enum drop tcp_handshake_syn_sent(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	bool ack = (s->flags & SEGMENT_ACK) != 0;

	// First: an ACK of anything but our SYN comes from an old connection.
	if (ack && s->ack != conn->snd_max) {
		if (!(s->flags & SEGMENT_RST))
			tcp_output_refuse(conn->stack, s);
		return DROP_TCP_ACK;
	}
	// Second: RST counts only with that ACK (RFC 5961 3.2 keeps this).
	if (s->flags & SEGMENT_RST) {
		if (!ack)
			return DROP_TCP_SEQ;
		conn->stack->counters.resets_in++;
		tcp_conn_end(conn, TCP_CLOSED_RESET, now_us);
		return DROP_NONE;
	}
	// Fourth.
	if (!(s->flags & SEGMENT_SYN))
		return DROP_TCP_BAD;
	take_options(conn, s);
	conn->ts_recent_hour = (uint16_t)(now_us >> 32);
	if (ack) {
		conn->flags |= TCP_F_ACK_NOW;
		// Our SYN offered a window before there was a number to count it from.
		conn->rcv_adv =
			conn->rcv_nxt + smaller(conn->stack->config.receive_window, UINT16_MAX);
		establish(conn, s, now_us);
		return take_rest(conn, s, now_us);
	}
	// Simultaneous open: the same SYN again, as SYN-ACK.
	tcp_conn_enter(conn, TCP_ST_SYN_RECEIVED);
	conn->flags |= TCP_F_SEND_SYN;
	tcp_rto_on_retransmit(conn);
	tcp_conn_touch(conn);
	return DROP_NONE;
}

enum drop tcp_handshake_syn_received(
	struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	if (s->ack != conn->snd_max) {
		tcp_output_refuse(conn->stack, s);
		return DROP_TCP_ACK;
	}
	establish(conn, s, now_us);
	return DROP_NONE;
}
