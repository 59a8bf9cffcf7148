#include "tcp/tcp_congestion.h"

#include "base/seq.h"
#include "tcp/tcp_stack.h"

enum {
	INITIAL_SEGMENTS = 10,
	INITIAL_OCTETS = 14600,
	DUP_ACKS = 3,
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

// RFC 5681 3.1: one segment after a handshake that lost more than one SYN.
void tcp_congestion_on_established(struct tcp_conn *conn)
{
	uint32_t mss = conn->snd_mss;

	conn->cwnd = smaller(INITIAL_SEGMENTS * mss, larger(2 * mss, INITIAL_OCTETS));
	if (conn->retries > 1)
		conn->cwnd = mss;
	conn->ssthresh = UINT32_MAX;
	conn->recover = conn->snd_una - 1;
}

static void grow(struct tcp_conn *conn, uint32_t acked, uint32_t flight)
{
	uint32_t mss = conn->snd_mss;

	// A window that was not used proves nothing (RFC 7661).
	if (flight < conn->cwnd / 2 || conn->cwnd > 2 * conn->stack->config.send_buffer)
		return;
	acked = smaller(acked, 2 * mss);
	if (conn->cwnd < conn->ssthresh)
		conn->cwnd += acked;
	else
		conn->cwnd += larger(1, (uint32_t)((uint64_t)mss * acked / conn->cwnd));
}

static uint32_t half_of(const struct tcp_conn *conn, uint32_t flight)
{
	return larger(flight / 2, 2U * conn->snd_mss);
}

// RFC 6582 3.2 (5): the segment behind a partial ACK was lost too.
static void partial_ack(struct tcp_conn *conn, uint32_t acked)
{
	uint32_t mss = conn->snd_mss;

	conn->flags |= TCP_F_RETRANSMIT;
	conn->cwnd = conn->cwnd > acked ? conn->cwnd - acked : 0;
	if (acked >= mss)
		conn->cwnd += mss;
	conn->cwnd = larger(conn->cwnd, mss);
}

void tcp_congestion_on_ack(struct tcp_conn *conn, uint32_t acked, uint32_t flight)
{
	conn->dup_acks = 0;
	if (!tcp_conn_has(conn, TCP_F_RECOVERY)) {
		grow(conn, acked, flight);
		return;
	}
	if (seq_lt(conn->snd_una, conn->recover)) {
		partial_ack(conn, acked);
		return;
	}
	conn->flags &= ~(uint32_t)TCP_F_RECOVERY;

	uint32_t left = larger(conn->snd_nxt - conn->snd_una, conn->snd_mss);

	conn->cwnd = smaller(conn->ssthresh, left + conn->snd_mss);
}

void tcp_congestion_on_dup_ack(struct tcp_conn *conn)
{
	uint32_t mss = conn->snd_mss;

	if (tcp_conn_has(conn, TCP_F_RECOVERY)) {
		if (conn->cwnd < 2 * conn->stack->config.send_buffer)
			conn->cwnd += mss;
		return;
	}
	if (conn->dup_acks < UINT8_MAX)
		conn->dup_acks++;
	// RFC 6582 3.2 (2): not for losses that an earlier recovery or time-out already answers.
	if (conn->dup_acks != DUP_ACKS || !seq_lt(conn->recover, conn->snd_una))
		return;
	conn->stack->counters.fast_retransmits++;
	conn->ssthresh = half_of(conn, conn->snd_max - conn->snd_una);
	conn->recover = conn->snd_max;
	conn->cwnd = conn->ssthresh + DUP_ACKS * mss;
	conn->flags |= TCP_F_RECOVERY | TCP_F_RETRANSMIT;
}

void tcp_congestion_on_timeout(struct tcp_conn *conn)
{
	// RFC 5681 3.1 (4): the same segment lost again does not halve again.
	if (conn->retries <= 1)
		conn->ssthresh = half_of(conn, conn->snd_max - conn->snd_una);
	conn->cwnd = conn->snd_mss;
	conn->recover = conn->snd_max;
	conn->dup_acks = 0;
	conn->flags &= ~(uint32_t)TCP_F_RECOVERY;
}

uint32_t tcp_congestion_window(const struct tcp_conn *conn)
{
	if (tcp_conn_has(conn, TCP_F_RECOVERY) || conn->dup_acks >= DUP_ACKS)
		return conn->cwnd;
	return conn->cwnd + conn->dup_acks * (uint32_t)conn->snd_mss;
}
