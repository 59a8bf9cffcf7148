#include "tcp/tcp_rto.h"

#include "base/limits.h"
#include "base/seq.h"

enum {
	INITIAL_US = 1000000,  // RFC 6298 2.1
	SYN_LOST_US = 3000000, // RFC 6298 5.7
};

void tcp_rto_on_first_sent(struct tcp_conn *conn, uint64_t now_us)
{
	conn->flags |= TCP_F_TIMING;
	conn->sent_us = (uint32_t)now_us;
}

void tcp_rto_on_retransmit(struct tcp_conn *conn)
{
	conn->flags &= ~(uint32_t)TCP_F_TIMING;
}

// RFC 6298 2.2 and 2.3. A valid sample ends the back-off (Karn).
static void sample(struct tcp_conn *conn, uint32_t rtt_us)
{
	conn->backoff = 0;
	if (rtt_us > LIMIT_TCP_RTO_MAX_US)
		rtt_us = LIMIT_TCP_RTO_MAX_US;
	if (conn->srtt_us == 0) {
		conn->srtt_us = rtt_us + (rtt_us == 0);
		conn->rttvar_us = rtt_us / 2;
		return;
	}

	uint32_t off = rtt_us > conn->srtt_us ? rtt_us - conn->srtt_us : conn->srtt_us - rtt_us;

	conn->rttvar_us += off / 4;
	conn->rttvar_us -= (conn->rttvar_us - off / 4) / 4;
	conn->srtt_us += rtt_us / 8;
	conn->srtt_us -= (conn->srtt_us - rtt_us / 8) / 8;
	conn->srtt_us += conn->srtt_us == 0;
}

// RFC 7323 4.1: after a retransmission only the echo tells which copy was acknowledged.
static void sample_echo(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	if (!tcp_conn_has(conn, TCP_F_TIMESTAMPS) || s->options.tsecr == 0)
		return;

	uint32_t rtt_ms = tcp_rto_timestamp(conn, now_us) - s->options.tsecr;

	if (rtt_ms <= LIMIT_TCP_RTO_MAX_US / 1000)
		sample(conn, rtt_ms * 1000);
}

void tcp_rto_on_syn_acked(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	if (tcp_conn_has(conn, TCP_F_TIMING))
		sample(conn, (uint32_t)now_us - conn->sent_us);
	else
		sample_echo(conn, s, now_us);
	conn->flags &= ~(uint32_t)TCP_F_TIMING;
}

// One sample a round trip, or the spread would be that of the last few segments.
void tcp_rto_on_ack(struct tcp_conn *conn, const struct segment *s, const struct tcp_delivery *d,
	uint64_t now_us)
{
	struct tcp_flight *f;

	if (conn->flight == 0) {
		tcp_rto_on_syn_acked(conn, s, now_us);
		return;
	}
	f = tcp_flight_of(conn);
	if (seq_lt(s->ack, f->rtt_end))
		return;
	if (d->was_again)
		sample_echo(conn, s, now_us);
	else if (d->has_rtt)
		sample(conn, d->rtt_us);
	f->rtt_end = conn->snd_max;
}

static uint64_t backed_off(uint64_t rto_us, uint8_t exponent)
{
	rto_us <<= exponent < 16 ? exponent : 16;
	return rto_us < LIMIT_TCP_RTO_MAX_US ? rto_us : LIMIT_TCP_RTO_MAX_US;
}

static uint64_t base_us(const struct tcp_conn *conn)
{
	if (conn->srtt_us == 0) {
		bool late = tcp_conn_has(conn, TCP_F_SYN_LOST) && !tcp_conn_is_opening(conn);

		return late ? SYN_LOST_US : INITIAL_US;
	}

	uint64_t spread_us = 4 * (uint64_t)conn->rttvar_us;

	// The least the spread may be, not the sum: a peer that delays its ACK does so on top of the round trip.
	if (spread_us < LIMIT_TCP_RTO_MIN_US)
		spread_us = LIMIT_TCP_RTO_MIN_US;
	// 1 stands for 0, too: see sample().
	return spread_us + (conn->srtt_us > 1 ? conn->srtt_us : 0);
}

uint64_t tcp_rto_us(const struct tcp_conn *conn)
{
	return backed_off(base_us(conn), conn->backoff);
}

uint64_t tcp_rto_probe_us(const struct tcp_conn *conn)
{
	return backed_off(base_us(conn), conn->probes);
}

uint32_t tcp_rto_timestamp(const struct tcp_conn *conn, uint64_t now_us)
{
	return tcp_tuple_clock(now_us, conn->ts_offset);
}
