#include "tcp/tcp_congestion.h"

#include "base/seq.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_stack.h"

enum {
	INITIAL_SEGMENTS = 10,
	INITIAL_OCTETS = 14600,
	ACK_SEGMENTS =
		8, // of one ACK that count in slow start; without a limit one ACK lets a burst go
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t initial_window(const struct tcp_conn *conn)
{
	uint32_t mss = conn->snd_mss;

	return smaller(INITIAL_SEGMENTS * mss, larger(2 * mss, INITIAL_OCTETS));
}

// RFC 5681 3.1: one segment after a handshake that lost more than one SYN.
void tcp_congestion_on_established(struct tcp_conn *conn)
{
	conn->cwnd = conn->retries > 1 ? conn->snd_mss : initial_window(conn);
	conn->ssthresh = UINT32_MAX;
}

void tcp_congestion_on_restart(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t idle_us = (uint32_t)now_us - conn->sent_us;

	if (idle_us > tcp_rto_us(conn))
		conn->cwnd = smaller(conn->cwnd, initial_window(conn));
}

void tcp_congestion_on_sent(struct tcp_conn *conn, uint32_t octets)
{
	if (conn->flight != 0)
		tcp_flight_of(conn)->prr_out += octets;
}

void tcp_congestion_on_new(struct tcp_conn *conn)
{
	uint32_t out = conn->snd_max - conn->snd_una;
	struct tcp_flight *f;

	if (conn->flight == 0)
		return;
	f = tcp_flight_of(conn);
	if (out <= f->most_out && seq_lt(conn->snd_una, f->most_end))
		return;
	f->most_out = out;
	f->most_end = conn->snd_max;
}

void tcp_congestion_on_limited(struct tcp_conn *conn)
{
	if (conn->flight != 0)
		tcp_flight_of(conn)->used_to = conn->snd_max;
}

// Slow start may go on as long as half of the window is used; beyond it only a window that held something back has
// shown that there is room.
static bool is_used(const struct tcp_conn *conn, const struct tcp_delivery *d)
{
	uint32_t out = conn->flight != 0 ? tcp_flight_of(conn)->most_out : d->flight;

	if (conn->cwnd < conn->ssthresh && conn->cwnd < 2 * out)
		return true;
	return conn->flight != 0 && seq_le(conn->snd_una, tcp_flight_of(conn)->used_to);
}

void tcp_congestion_grow(struct tcp_conn *conn, const struct tcp_delivery *d, uint64_t now_us)
{
	struct tcp_cubic_now now = {conn->snd_mss, conn->srtt_us, (uint32_t)now_us};
	// What was SACKed before has made room for others then.
	uint32_t acked = conn->flight != 0 ? smaller(d->acked, d->octets) : d->acked;
	struct tcp_cubic *cubic = conn->flight != 0 ? &tcp_flight_of(conn)->cubic : NULL;

	if (acked == 0 || conn->cwnd > 2 * conn->stack->config.send_buffer)
		return;
	if (!is_used(conn, d)) {
		if (cubic != NULL)
			tcp_cubic_pause(cubic);
		return;
	}
	if (conn->cwnd < conn->ssthresh) {
		acked = smaller(acked, ACK_SEGMENTS * (uint32_t)conn->snd_mss);
		acked = smaller(acked, conn->ssthresh - conn->cwnd);
		conn->cwnd += acked;
		return;
	}
	if (cubic != NULL)
		conn->cwnd = tcp_cubic_grow(cubic, conn->cwnd, acked, &now);
}

// RFC 3168 6.1.2: of a cut the peer hears, whatever the reason was.
static void tell(struct tcp_conn *conn)
{
	if (tcp_conn_has(conn, TCP_F_ECN))
		conn->flags |= TCP_F_CWR_OWED;
}

void tcp_congestion_cut(struct tcp_conn *conn, uint32_t flight)
{
	struct tcp_flight *f = tcp_flight_of(conn);
	uint32_t in_flight = smaller(flight, conn->cwnd);

	f->undo = (struct tcp_undo){.cwnd = conn->cwnd,
		.ssthresh = conn->ssthresh,
		.is_valid = true,
		.cubic = f->cubic};
	conn->ssthresh = tcp_cubic_cut(&f->cubic, conn->cwnd, in_flight, conn->snd_mss);
	tell(conn);
}

void tcp_congestion_cut_unnoted(struct tcp_conn *conn, uint32_t flight)
{
	struct tcp_cubic forgotten = {0};

	conn->ssthresh =
		tcp_cubic_cut(&forgotten, conn->cwnd, smaller(flight, conn->cwnd), conn->snd_mss);
	conn->cwnd = smaller(conn->cwnd, conn->ssthresh);
	tell(conn);
}

void tcp_congestion_begin_repair(struct tcp_conn *conn)
{
	struct tcp_flight *f = tcp_flight_of(conn);

	f->prr_delivered = f->prr_out = 0;
	f->prr_flight = larger(conn->snd_max - conn->snd_una, 1);
}

// RFC 6937 3. When more is lost, or nothing moves, only as much leaves as has arrived.
void tcp_congestion_repair(struct tcp_conn *conn, const struct tcp_delivery *d, bool lost_more)
{
	struct tcp_flight *f = tcp_flight_of(conn);
	uint32_t pipe = tcp_flight_pipe(conn), mss = conn->snd_mss;
	uint64_t may;

	f->prr_delivered += d->octets;
	if (pipe > conn->ssthresh) {
		may = ((uint64_t)f->prr_delivered * conn->ssthresh + f->prr_flight - 1) /
		      f->prr_flight;
		may = may > f->prr_out ? may - f->prr_out : 0;
	} else {
		may = f->prr_delivered > f->prr_out ? f->prr_delivered - f->prr_out : 0;
		may = may > d->octets ? may : d->octets;
		if (d->acked > 0 && !lost_more)
			may += mss;
		if (may > conn->ssthresh - pipe)
			may = conn->ssthresh - pipe;
	}
	// The first segment leaves whatever is out.
	if (f->prr_out == 0 && may < mss)
		may = mss;
	conn->cwnd = pipe + (uint32_t)may;
}

void tcp_congestion_end_repair(struct tcp_conn *conn)
{
	if (tcp_flight_of(conn)->repair != TCP_REPAIR_TIMEOUT)
		conn->cwnd = conn->ssthresh;
}

void tcp_congestion_collapse(struct tcp_conn *conn)
{
	conn->cwnd = tcp_flight_pipe(conn) + conn->snd_mss;
}

// RFC 4015 4: what is in flight and a little, so that no burst leaves; slow start leads back to where it was.
void tcp_congestion_undo(struct tcp_conn *conn, uint32_t acked)
{
	struct tcp_flight *f = tcp_flight_of(conn);
	uint32_t room = tcp_flight_pipe(conn) + smaller(acked, initial_window(conn));

	conn->flags &= ~(uint32_t)TCP_F_CWR_OWED;
	f->undo.is_valid = false;
	f->cubic = f->undo.cubic;
	conn->ssthresh = larger(
		conn->ssthresh, f->undo.ssthresh == UINT32_MAX ? f->undo.cwnd : f->undo.ssthresh);
	conn->cwnd = larger(conn->cwnd, smaller(room, f->undo.cwnd));
}
