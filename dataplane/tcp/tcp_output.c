#include "tcp/tcp_output.h"

#include "base/limits.h"
#include "base/seq.h"
#include "tcp/tcp_congestion.h"
#include "tcp/tcp_ecn.h"
#include "tcp/tcp_reassembly.h"
#include "tcp/tcp_recovery.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_send.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_timer.h"
#include "tcp/tcp_window.h"

enum { OPTION_OCTETS = 40, TIMESTAMP_OCTETS = 12 };

#define SACK_OCTETS(blocks) (4U + 8U * (blocks)) // two of padding

static void emit(struct tcp_stack *stack, const struct segment *s)
{
	stack->counters.segments_out++;
	stack->config.env->emit(stack->config.user, s);
}

static struct segment addressed(const struct tcp_conn *conn, uint32_t seq, uint8_t flags)
{
	return (struct segment){.src = conn->tuple.local,
		.dst = conn->tuple.peer,
		.src_port = conn->tuple.local_port,
		.dst_port = conn->tuple.peer_port,
		.nic_port = conn->nic_port,
		.seq = seq,
		.flags = flags};
}

// RFC 7323 3.2: on every segment once agreed on, RST among them.
static void add_timestamp(const struct tcp_conn *conn, struct segment *s, uint64_t now_us)
{
	if (!tcp_conn_has(conn, TCP_F_TIMESTAMPS))
		return;
	s->options.has_timestamp = true;
	s->options.tsval = tcp_rto_timestamp(conn, now_us);
	s->options.tsecr = conn->ts_recent;
}

// Everything but SYN and RST acknowledges and shows the window; every owed ACK is paid by it.
static struct segment acking(struct tcp_conn *conn, uint32_t seq, uint8_t flags, uint64_t now_us)
{
	struct segment s = addressed(conn, seq, flags);

	s.ack = conn->rcv_nxt;
	s.window = tcp_window_offer(conn, (flags & SEGMENT_SYN) != 0);
	add_timestamp(conn, &s, now_us);
	tcp_ecn_mark(conn, &s);
	conn->rcv_acked = conn->rcv_nxt;
	conn->flags &= ~(uint32_t)TCP_F_ACK_NOW;
	tcp_timer_on_ack_sent(conn);
	return s;
}

// As many SACK blocks as room octets take besides the other options (RFC 2018 3).
static void add_sacks(const struct tcp_conn *conn, struct segment *s, uint32_t room)
{
	uint32_t most = OPTION_OCTETS - (s->options.has_timestamp ? TIMESTAMP_OCTETS : 0);

	most = room < most ? room : most;
	if (!tcp_conn_has(conn, TCP_F_SACK) || most < SACK_OCTETS(1))
		return;
	most = (most - SACK_OCTETS(0)) / (SACK_OCTETS(1) - SACK_OCTETS(0));
	tcp_reassembly_sacks(conn, &s->options, (uint8_t)most);
}

static void send_ack(struct tcp_conn *conn, uint64_t now_us)
{
	struct segment s = acking(conn, conn->snd_max, SEGMENT_ACK, now_us);

	add_sacks(conn, &s, UINT32_MAX);
	emit(conn->stack, &s);
}

void tcp_output_owed(struct tcp_conn *conn, uint64_t now_us)
{
	conn->dup_acks_owed = 0;
	send_ack(conn, now_us);
}

void tcp_output_again(struct tcp_conn *conn, struct segment_sack again, uint64_t now_us)
{
	// Without SACK, and when it has to wait for our SYN, it is an ACK like any other.
	if (!tcp_conn_has(conn, TCP_F_SACK) || conn->state < TCP_ST_ESTABLISHED) {
		conn->flags |= TCP_F_ACK_NOW;
		tcp_conn_touch(conn);
		return;
	}

	struct segment s = acking(conn, conn->snd_max, SEGMENT_ACK, now_us);

	conn->dup_acks_owed = 0;
	s.options.sacks[s.options.sack_count++] = again;
	add_sacks(conn, &s, UINT32_MAX);
	emit(conn->stack, &s);
}

// SYN offers everything; SYN-ACK what the SYN offered (RFC 7323 2.2, 3.2).
static void send_syn(struct tcp_conn *conn, uint64_t now_us)
{
	bool answer = conn->state == TCP_ST_SYN_RECEIVED;
	uint8_t flags = answer ? SEGMENT_SYN | SEGMENT_ACK : SEGMENT_SYN;
	struct segment s = acking(conn, conn->snd_una, flags, now_us);

	if (!answer)
		s.ack = 0;
	s.options.has_mss = true;
	s.options.mss = tcp_stack_mss(conn->stack, &conn->tuple.local);
	s.options.has_scale = tcp_conn_has(conn, TCP_F_SCALE);
	s.options.sack_permitted = tcp_conn_has(conn, TCP_F_SACK);
	if (tcp_conn_has(conn, TCP_F_ECN))
		s.flags |= answer ? SEGMENT_ECE : SEGMENT_ECE | SEGMENT_CWR;
	s.options.scale = conn->rcv_scale;
	if (tcp_conn_has(conn, TCP_F_SYN_LOST))
		conn->stack->counters.retransmits++;
	else
		tcp_rto_on_first_sent(conn, now_us);
	tcp_timer_on_syn_sent(conn, now_us);
	conn->flags &= ~(uint32_t)TCP_F_SEND_SYN;
	emit(conn->stack, &s);
}

struct piece {
	uint32_t seq, len;
	bool fin, push;
};

static void note_sent(struct tcp_conn *conn, const struct piece *p, uint64_t now_us)
{
	uint32_t end = p->seq + p->len + p->fin;
	bool first = conn->snd_una == conn->snd_max;

	tcp_congestion_on_sent(conn, end - p->seq);
	if (seq_lt(p->seq, conn->snd_max)) {
		conn->stack->counters.retransmits++;
		tcp_rto_on_retransmit(conn);
		if (conn->flight == 0)
			return;
		tcp_flight_on_sent_again(conn, p->seq, end, now_us);
		tcp_recovery_on_sent_again(conn, end - p->seq, now_us);
		return;
	}
	if (first)
		tcp_rto_on_first_sent(conn, now_us);
	conn->sent_us = (uint32_t)now_us;
	if (p->len > 0 && p->len < conn->snd_mss)
		conn->flags |= TCP_F_SMALL_OUT;
	if (conn->flight != 0)
		tcp_flight_on_sent(conn, p->seq, end, now_us);
	conn->snd_max = end;
	tcp_congestion_on_new(conn);
	tcp_timer_on_sent(conn, first, now_us);
}

// Octets [seq, seq + len) and FIN when it is due behind them.
static void send_piece(struct tcp_conn *conn, struct piece p, uint64_t now_us)
{
	struct segment s = acking(conn, p.seq, SEGMENT_ACK, now_us);
	uint32_t got = tcp_send_gather(conn, p.seq, p.len, &s);
	bool at_end = p.seq + got == tcp_conn_send_end(conn);

	p.fin = p.fin && got == p.len && at_end;
	p.len = got;
	if (p.fin)
		s.flags |= SEGMENT_FIN;
	if ((at_end || p.push) && got > 0)
		s.flags |= SEGMENT_PSH;
	if (got > 0 && p.seq == conn->snd_max)
		tcp_ecn_mark_data(conn, &s);
	add_sacks(conn, &s, conn->snd_mss - got);
	note_sent(conn, &p, now_us);
	emit(conn->stack, &s);
}

// The next piece of at most window octets behind seq. FIN takes a number, so it needs window too.
static struct piece piece_at(const struct tcp_conn *conn, uint32_t seq, uint32_t window)
{
	uint32_t end = tcp_conn_send_end(conn);
	struct piece p = {.seq = seq};

	// Beyond the end only FIN can stand, and it has been sent.
	if (seq_lt(end, seq))
		return p;
	p.len = end - seq;
	if (p.len > conn->snd_mss)
		p.len = conn->snd_mss;
	if (p.len > window)
		p.len = window;
	p.fin = tcp_conn_has(conn, TCP_F_CLOSE) && seq + p.len == end && p.len < window;
	return p;
}

// The new end of the queue, short of a segment, waits for more (tcp_set_small()).
static bool holds_back(const struct tcp_conn *conn, const struct piece *p)
{
	if (p->fin || seq_le(p->seq + p->len, conn->snd_max))
		return false;
	return tcp_conn_has(conn, TCP_F_CORK) ||
	       tcp_conn_has_all(conn, TCP_F_NAGLE | TCP_F_SMALL_OUT);
}

// RFC 9293 3.8.6.2.1: no piece that only the window makes small, unless it is half of what the peer ever offered.
static bool is_silly(const struct tcp_conn *conn, const struct piece *p, bool peer_limits)
{
	if (p->len >= conn->snd_mss)
		return false;
	if (p->seq + p->len == tcp_conn_send_end(conn))
		return holds_back(conn, p);
	return !peer_limits || p->len < conn->snd_wnd_max / 2 || p->len == 0;
}

// Octets that the peer's window still takes.
static uint32_t peer_room(const struct tcp_conn *conn)
{
	uint32_t flight = conn->snd_max - conn->snd_una;

	return conn->snd_wnd > flight ? conn->snd_wnd - flight : 0;
}

// And the network.
static uint32_t network_room(const struct tcp_conn *conn)
{
	uint32_t pipe = tcp_flight_pipe(conn);

	return conn->cwnd > pipe ? conn->cwnd - pipe : 0;
}

// The piece of new data at seq that may leave now, if what lies between snd_max and seq leaves too. False: none.
static bool may_send(const struct tcp_conn *conn, uint32_t seq, struct piece *p)
{
	uint32_t ahead = seq - conn->snd_max;
	uint32_t peer = peer_room(conn), network = network_room(conn);
	bool peer_limits = peer <= network;
	uint32_t room = peer_limits ? peer : network;

	*p = piece_at(conn, seq, room > ahead ? room - ahead : 0);
	// An end that nothing follows burdens no network.
	if (p->len == 0 && seq == tcp_conn_send_end(conn))
		*p = piece_at(conn, seq, peer > ahead ? peer - ahead : 0);
	return (p->len > 0 || p->fin) && !is_silly(conn, p, peer_limits);
}

// All that the windows let go. PSH ends a burst, too: a receiver that gathers segments need not wait for more of them.
static void send_new(struct tcp_conn *conn, uint64_t now_us)
{
	struct piece p, next;

	for (bool is_burst = false; may_send(conn, conn->snd_max, &p); is_burst = true) {
		// More than one segment in flight needs notes.
		if (conn->snd_una != conn->snd_max && !tcp_flight_open(conn))
			return;
		p.push = is_burst && !may_send(conn, p.seq + p.len, &next);
		send_piece(conn, p, now_us);
	}
	if (seq_lt(conn->snd_max, tcp_conn_send_end(conn)) && network_room(conn) < conn->snd_mss &&
		network_room(conn) < peer_room(conn))
		tcp_congestion_on_limited(conn);
}

// What span notes, as far as it fits into a segment.
static struct piece piece_of(const struct tcp_conn *conn, const struct tcp_span *span)
{
	uint32_t end = tcp_conn_send_end(conn);
	struct piece p = {.seq = span->seq, .len = span->end - span->seq};

	if (seq_lt(end, span->end)) {
		p.len = end - span->seq;
		p.fin = true;
	}
	if (p.len > conn->snd_mss) {
		p.len = conn->snd_mss;
		p.fin = false;
	}
	return p;
}

// One piece of what is lost. The oldest leaves whatever the peer's window says.
static bool send_again(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_span span;
	struct piece p;

	if (conn->flight == 0 || !tcp_flight_next_lost(conn, &span))
		return false;
	p = piece_of(conn, &span);
	if (p.len > network_room(conn))
		return false;
	if (p.seq != conn->snd_una && seq_lt(conn->snd_una + conn->snd_wnd, p.seq + p.len))
		return false;
	send_piece(conn, p, now_us);
	return true;
}

// The one segment in flight that has no note.
static void send_unnoted_again(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_span span = {.seq = conn->snd_una, .end = conn->snd_max};

	conn->flags &= ~(uint32_t)TCP_F_RETRANSMIT;
	if (conn->snd_una != conn->snd_max && conn->flight == 0)
		send_piece(conn, piece_of(conn, &span), now_us);
}

static void send_data(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t end = tcp_conn_send_end(conn) + tcp_conn_has(conn, TCP_F_CLOSE);

	if (conn->snd_una == conn->snd_max && conn->snd_max == end)
		return;
	if (tcp_conn_has(conn, TCP_F_RETRANSMIT))
		send_unnoted_again(conn, now_us);
	while (send_again(conn, now_us))
		;
	if (conn->snd_una == conn->snd_max && conn->snd_max != end)
		tcp_congestion_on_restart(conn, now_us);
	send_new(conn, now_us);
	if (conn->snd_una == conn->snd_max && conn->snd_max != end)
		tcp_timer_on_blocked(conn, now_us);
}

// RFC 8985 7.3: new data when the peer has room for it, else the last segment again.
void tcp_output_tail_probe(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_rack *r = &tcp_flight_of(conn)->rack;
	struct piece p = piece_at(conn, conn->snd_max, peer_room(conn));
	struct tcp_span last =
		*tcp_spans_get(conn->stack, tcp_spans_last(conn->stack, conn->flight));

	r->probed_again = (p.len == 0 && !p.fin) || is_silly(conn, &p, true);
	if (r->probed_again) {
		if (last.end - last.seq > conn->snd_mss + 1U) {
			tcp_flight_split(conn, last.end - conn->snd_mss);
			last = *tcp_spans_get(
				conn->stack, tcp_spans_last(conn->stack, conn->flight));
		}
		p = piece_of(conn, &last);
	}
	conn->stack->counters.tail_probes++;
	send_piece(conn, p, now_us);
	r->probing = true;
	r->probe_end = conn->snd_max;
	r->probe_ts = tcp_rto_timestamp(conn, now_us);
}

void tcp_output_conn(struct tcp_conn *conn, uint64_t now_us)
{
	if (tcp_conn_has(conn, TCP_F_SEND_SYN))
		send_syn(conn, now_us);
	if (conn->state < TCP_ST_ESTABLISHED)
		return;
	// Each segment that left a hole owes a duplicate ACK of its own: three of them tell the peer of the loss.
	for (; conn->dup_acks_owed > 0; conn->dup_acks_owed--)
		send_ack(conn, now_us);
	if (tcp_conn_sends(conn))
		send_data(conn, now_us);
	if (tcp_conn_has(conn, TCP_F_ACK_NOW))
		send_ack(conn, now_us);
}

void tcp_output_reset(struct tcp_conn *conn, uint64_t now_us)
{
	struct segment s = addressed(conn, conn->snd_max, SEGMENT_RST | SEGMENT_ACK);

	if (conn->state == TCP_ST_SYN_SENT)
		return;
	s.ack = conn->rcv_nxt;
	add_timestamp(conn, &s, now_us);
	conn->stack->counters.resets_out++;
	emit(conn->stack, &s);
}

void tcp_output_challenge(struct tcp_conn *conn, uint64_t now_us)
{
	uint16_t second = (uint16_t)(now_us >> 20);

	// The SYN-ACK that waits for the flush says it all, and nothing may leave before it.
	if (tcp_conn_has(conn, TCP_F_SEND_SYN))
		return;
	if (conn->challenge_second != second) {
		conn->challenge_second = second;
		conn->challenges = 0;
	}
	if (conn->challenges >= LIMIT_TCP_CHALLENGES)
		return;
	conn->challenges++;
	send_ack(conn, now_us);
}

void tcp_output_keepalive(struct tcp_conn *conn, uint64_t now_us)
{
	struct segment s = acking(conn, conn->snd_una - 1, SEGMENT_ACK, now_us);

	emit(conn->stack, &s);
}

bool tcp_output_probe(struct tcp_conn *conn, uint64_t now_us)
{
	// The window is open, only too small for a full segment: wait no longer.
	if (conn->snd_wnd > 0) {
		send_piece(conn, piece_at(conn, conn->snd_max, conn->snd_wnd), now_us);
		return true;
	}
	// An octet that was acknowledged long ago must be answered with the window of now, and moves nothing here.
	tcp_output_keepalive(conn, now_us);
	return false;
}

// From no connection, to whom s came from.
static struct segment back_to(const struct segment *s, uint8_t flags)
{
	return (struct segment){.src = s->dst,
		.dst = s->src,
		.src_port = s->dst_port,
		.dst_port = s->src_port,
		.nic_port = s->nic_port,
		.flags = flags};
}

void tcp_output_cookie(struct tcp_stack *stack, const struct segment *syn,
	const struct tcp_offer *offer, const struct tcp_cookie *cookie)
{
	struct segment s = back_to(syn, SEGMENT_SYN | SEGMENT_ACK);

	if (offer->flags & TCP_F_ECN)
		s.flags |= SEGMENT_ECE;
	s.seq = cookie->isn;
	s.ack = syn->seq + 1;
	s.window = tcp_window_of_syn(stack);
	s.options.has_mss = true;
	s.options.mss = tcp_stack_mss(stack, &syn->dst);
	s.options.sack_permitted = (offer->flags & TCP_F_SACK) != 0;
	s.options.has_scale = (offer->flags & TCP_F_SCALE) != 0;
	s.options.scale = stack->receive_scale;
	if (offer->flags & TCP_F_TIMESTAMPS) {
		s.options.has_timestamp = true;
		s.options.tsval = cookie->tsval;
		s.options.tsecr = syn->options.tsval;
	}
	emit(stack, &s);
}

void tcp_output_refuse(struct tcp_stack *stack, const struct segment *s)
{
	struct segment reset = back_to(s, SEGMENT_RST);

	if (s->flags & SEGMENT_ACK) {
		reset.seq = s->ack;
	} else {
		reset.flags |= SEGMENT_ACK;
		reset.ack = s->seq + segment_len(s);
	}
	stack->counters.resets_out++;
	emit(stack, &reset);
}

void tcp_output_on_consumed(struct tcp_conn *conn)
{
	if (!tcp_window_wants_update(conn))
		return;
	conn->flags |= TCP_F_ACK_NOW;
	tcp_conn_touch(conn);
}
