#include "tcp/tcp_handshake.h"

#include "base/seq.h"
#include "tcp/tcp_ack.h"
#include "tcp/tcp_congestion.h"
#include "tcp/tcp_cookie.h"
#include "tcp/tcp_ecn.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_recv.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_time_wait.h"
#include "tcp/tcp_timer.h"
#include "tcp/tcp_window.h"

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

// The options of the peer's SYN against what we do.
static struct tcp_offer offer_of(const struct tcp_stack *stack, const struct segment *s)
{
	const struct segment_options *o = &s->options;
	bool v4 = ip_addr_is_v4(&s->dst);
	uint32_t mss = o->has_mss ? o->mss : v4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6;
	struct tcp_offer offer = {0};

	if (mss < LIMIT_TCP_MSS_MIN)
		mss = LIMIT_TCP_MSS_MIN;
	offer.mss = (uint16_t)smaller(mss, tcp_stack_mss(stack, &s->dst));
	if (o->has_scale) {
		offer.flags |= TCP_F_SCALE;
		offer.scale = o->scale < SCALE_MAX ? o->scale : SCALE_MAX;
	}
	if (o->has_timestamp)
		offer.flags |= TCP_F_TIMESTAMPS;
	if (o->sack_permitted)
		offer.flags |= TCP_F_SACK;
	if (tcp_ecn_is_asked(s) && stack->config.ecn != TCP_ECN_NEVER)
		offer.flags |= TCP_F_ECN;
	return offer;
}

static void take_offer(struct tcp_conn *conn, const struct tcp_offer *offer)
{
	bool timestamps = (offer->flags & TCP_F_TIMESTAMPS) != 0;

	conn->flags &= ~(uint32_t)(TCP_F_SCALE | TCP_F_TIMESTAMPS | TCP_F_SACK | TCP_F_ECN);
	conn->flags |= offer->flags;
	conn->snd_scale = offer->scale;
	conn->rcv_scale = offer->flags & TCP_F_SCALE ? conn->stack->receive_scale : 0;
	conn->snd_mss = (uint16_t)(offer->mss - (timestamps ? TIMESTAMP_OCTETS : 0));
	conn->rcv_mss = DEFAULT_MSS_V4;
}

// The peer's numbers begin with those of s; next is the one behind its SYN.
static void take_peer(
	struct tcp_conn *conn, const struct segment *s, uint32_t next, uint64_t now_us)
{
	if (tcp_conn_has(conn, TCP_F_TIMESTAMPS)) {
		conn->ts_recent = s->options.tsval;
		conn->ts_recent_hour = (uint16_t)(now_us >> 32);
	}
	conn->rcv_nxt = next;
	conn->rcv_acked = next;
	conn->rcv_adv = next;
}

static void take_syn(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	struct tcp_offer offer = offer_of(conn->stack, s);

	// What our SYN did not ask for, or not every time, nobody can have agreed to.
	if (tcp_conn_has(conn, TCP_F_ACTIVE) && !tcp_conn_has(conn, TCP_F_ECN))
		offer.flags &= ~(uint32_t)TCP_F_ECN;
	take_offer(conn, &offer);
	take_peer(conn, s, s->seq + 1, now_us);
}

// old_snd_max: of the connection that had the tuple before, or NULL. RFC 1122 4.2.2.13: beyond any number it used, even
// if it was faster than the clock of RFC 6528.
static void take_isn(struct tcp_conn *conn, const uint32_t *old_snd_max, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;
	const struct tcp_key_pair *keys = tcp_key_wire(&stack->keys, now_us);
	struct tcp_tuple_wire wire = tcp_tuple_wire(&keys->now, &conn->tuple, now_us);

	if (old_snd_max != NULL && seq_le(wire.isn, *old_snd_max))
		wire.isn = *old_snd_max + 1;
	conn->ts_offset = wire.timestamp_offset;
	conn->snd_una = wire.isn;
	conn->snd_max = wire.isn + 1;
	conn->flags |= TCP_F_SEND_SYN;
	tcp_conn_touch(conn);
}

// RFC 4987 3.4, where cookies cannot help: the oldest handshake that waits goes without a word. A flood then costs slow clients
// their handshake; if the newest were refused instead, one second of it would keep everybody out for a minute.
static bool push_out_oldest(struct tcp_stack *stack, uint64_t now_us)
{
	if (stack->half_open.first == 0)
		return false;
	stack->counters.pushed_out++;
	tcp_conn_end(tcp_stack_slot(stack, stack->half_open.first - 1), TCP_CLOSED_TIMEOUT, now_us);
	tcp_conn_reap(stack);
	return true;
}

static bool share_is_full(const struct tcp_stack *stack)
{
	uint32_t share = stack->config.conns / LIMIT_TCP_EMBRYONIC_SHARE;

	return stack->half_open.count >= share + (share == 0);
}

// A slot for a peer that has shown that it is there, or that the TIME-WAIT of its own tuple has left.
static bool has_room(struct tcp_stack *stack, uint64_t now_us)
{
	return tcp_conn_has_free(stack) || tcp_time_wait_recycle(stack, now_us) ||
	       push_out_oldest(stack, now_us);
}

// The oldest TIME-WAIT gives way to a SYN, as long as few handshakes wait: a busy server has its slots full of them, and a cookie is the
// weaker handshake. Another handshake never does: the source of a SYN may be invented.
static bool wants_cookie(const struct tcp_stack *stack)
{
	return stack->cookies_always || share_is_full(stack) ||
	       (!tcp_conn_has_free(stack) && stack->time_wait.first == 0);
}

// Could a cookie that comes back find a slot?
static bool has_prospects(const struct tcp_stack *stack)
{
	return tcp_conn_has_free(stack) || stack->time_wait.first != 0 ||
	       stack->half_open.first != 0;
}

static enum drop full(struct tcp_stack *stack)
{
	stack->counters.table_full++;
	return DROP_CONN_TABLE_FULL;
}

static enum tcp_welcome ask(struct tcp_stack *stack, const struct segment *s, uint64_t now_us)
{
	const struct tcp_app *app = stack->config.app;
	enum tcp_welcome welcome = TCP_WELCOME;

	if (app->accept != NULL)
		welcome = app->accept(stack->config.user, s, now_us);
	if (welcome == TCP_REFUSE)
		tcp_output_refuse(stack, s);
	return welcome;
}

static enum drop answer_by_cookie(struct tcp_stack *stack, const struct segment *s, uint64_t now_us)
{
	struct tcp_offer offer = offer_of(stack, s);
	struct tcp_cookie cookie;

	// What could not come back must not be agreed on.
	if ((offer.flags & TCP_F_TIMESTAMPS) == 0)
		offer.flags = 0;
	cookie = tcp_cookie_make(&stack->keys, s, &offer, now_us);
	stack->counters.cookies_sent++;
	stack->cookies_until_us = now_us + 2000000ULL * LIMIT_TCP_COOKIE_KEY_S;
	tcp_output_cookie(stack, s, &offer, &cookie);
	return DROP_NONE;
}

static struct tcp_conn *take_slot(struct tcp_stack *stack, const struct segment *s)
{
	struct tcp_tuple tuple = tcp_tuple_of_input(s);
	struct tcp_conn *conn = tcp_conn_take(stack, &tuple, s->nic_port);

	tcp_conn_enter(conn, TCP_ST_SYN_RECEIVED);
	return conn;
}

static void open_passive(struct tcp_stack *stack, const struct segment *s,
	const uint32_t *old_snd_max, uint64_t now_us)
{
	struct tcp_conn *conn = take_slot(stack, s);

	take_syn(conn, s, now_us);
	take_isn(conn, old_snd_max, now_us);
}

// RFC 9293 3.10.7.2, third. Octets and FIN that ride on the SYN are not taken; the peer sends them again.
static enum drop on_syn(struct tcp_stack *stack, const struct segment *s, uint64_t now_us)
{
	stack->counters.syns_in++;
	if (!has_prospects(stack))
		return full(stack);
	if (ask(stack, s, now_us) != TCP_WELCOME)
		return DROP_CONN_REFUSED;
	if (wants_cookie(stack))
		return answer_by_cookie(stack, s, now_us);
	if (!tcp_conn_has_free(stack))
		(void)tcp_time_wait_recycle(stack, now_us);
	open_passive(stack, s, NULL, now_us);
	return DROP_NONE;
}

// The connection whose cookie came back, as its SYN would have left it.
static struct tcp_conn *open_by_cookie(struct tcp_stack *stack, const struct segment *s,
	const struct tcp_offer *offer, const struct tcp_cookie *cookie, uint64_t now_us)
{
	struct tcp_conn *conn = take_slot(stack, s);

	take_offer(conn, offer);
	take_peer(conn, s, s->seq, now_us);
	conn->rcv_adv += tcp_window_of_syn(stack);
	conn->ts_offset = cookie->ts_offset;
	conn->snd_una = cookie->isn;
	conn->snd_max = cookie->isn + 1;
	conn->flags |= TCP_F_COOKIE;
	stack->counters.cookies_taken++;
	return conn;
}

// An ACK for no connection (RFC 9293 3.10.7.2, second).
static enum drop on_ack(
	struct tcp_stack *stack, const struct segment *s, uint64_t now_us, struct tcp_conn **made)
{
	struct tcp_offer offer;
	struct tcp_cookie cookie;

	if (now_us >= stack->cookies_until_us || (s->flags & SEGMENT_SYN) ||
		!tcp_cookie_read(&stack->keys, s, now_us, &offer, &cookie)) {
		stack->counters.cookies_bad += now_us < stack->cookies_until_us;
		tcp_output_refuse(stack, s);
		return DROP_TCP_NO_CONN;
	}
	if (ask(stack, s, now_us) != TCP_WELCOME)
		return DROP_CONN_REFUSED;
	if (!has_room(stack, now_us)) {
		tcp_output_refuse(stack, s);
		return full(stack);
	}
	*made = open_by_cookie(stack, s, &offer, &cookie, now_us);
	return DROP_NONE;
}

enum drop tcp_handshake_no_conn(struct tcp_stack *stack, const struct segment *s, bool listen,
	uint64_t now_us, struct tcp_conn **made)
{
	// RFC 9293 3.10.7.1: a RST is never answered.
	if (s->flags & SEGMENT_RST)
		return listen ? DROP_TCP_NO_CONN : DROP_TCP_PORT;
	// LAND: the answer would come back to us.
	if (s->dst_port == s->src_port && ip_addr_eq(&s->dst, &s->src))
		return DROP_TCP_BAD;
	if (!listen) {
		tcp_output_refuse(stack, s);
		return DROP_TCP_PORT;
	}
	if (s->flags & SEGMENT_ACK)
		return on_ack(stack, s, now_us, made);
	if ((s->flags & (SEGMENT_SYN | SEGMENT_FIN)) != SEGMENT_SYN)
		return DROP_TCP_BAD;
	return on_syn(stack, s, now_us);
}

enum drop tcp_handshake_reopen(
	struct tcp_stack *stack, const struct segment *s, uint32_t old_snd_max, uint64_t now_us)
{
	stack->counters.syns_in++;
	if (ask(stack, s, now_us) != TCP_WELCOME)
		return DROP_CONN_REFUSED;
	// No cookie is sure to lie beyond the old numbers, and the tuple's own slot has just come free.
	if (share_is_full(stack))
		push_out_oldest(stack, now_us);
	open_passive(stack, s, &old_snd_max, now_us);
	return DROP_NONE;
}

void tcp_handshake_begin(struct tcp_conn *conn, uint64_t now_us)
{
	tcp_conn_enter(conn, TCP_ST_SYN_SENT);
	conn->flags |= TCP_F_ACTIVE | TCP_F_SCALE | TCP_F_TIMESTAMPS | TCP_F_SACK;
	if (conn->stack->config.ecn == TCP_ECN_ASKED)
		conn->flags |= TCP_F_ECN;
	conn->rcv_scale = conn->stack->receive_scale;
	take_isn(conn, NULL, now_us);
}

// RFC 9293 3.10.7.4, fifth, SYN-RECEIVED, and 3.10.7.3, fourth: the application hears of it.
static void establish(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;

	// The echo of a cookie is up to 64 ms off.
	if (!tcp_conn_has(conn, TCP_F_COOKIE))
		tcp_rto_on_syn_acked(conn, s, now_us);
	conn->flags &= ~(uint32_t)TCP_F_SEND_SYN;
	conn->snd_una = s->ack;
	tcp_conn_enter(conn, TCP_ST_ESTABLISHED);
	tcp_timer_on_heard(conn, now_us);
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
	take_syn(conn, s, now_us);
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
