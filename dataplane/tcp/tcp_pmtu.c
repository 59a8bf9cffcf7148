#include "tcp/tcp_pmtu.h"

#include "base/limits.h"
#include "base/seq.h"
#include "tcp/tcp_congestion.h"
#include "tcp/tcp_flight.h"
#include "tcp/tcp_stack.h"

enum {
	TCP_OCTETS = 20,
	TIMESTAMP_OCTETS = 12,
	BLIND_LOSSES = 2,   // time-outs in a row before a silent path is taken for narrow
	BLIND_MTU = 1280,   // what every IPv6 link takes, and nearly every tunnel
	BLIND_MTU_V4 = 576, // and after that
};

// Octets of a full packet besides its payload.
static uint32_t headers_of(const struct tcp_conn *conn)
{
	uint32_t timestamp = tcp_conn_has(conn, TCP_F_TIMESTAMPS) ? TIMESTAMP_OCTETS : 0;

	return ip_octets(&conn->tuple.local) + TCP_OCTETS + timestamp;
}

static uint32_t least_mtu(const struct tcp_conn *conn)
{
	return ip_addr_is_v4(&conn->tuple.local) ? LIMIT_TCP_MTU_MIN_V4 : LIMIT_TCP_MTU_MIN_V6;
}

static struct tcp_pmtu *place_of(const struct tcp_conn *conn)
{
	return &conn->stack->pmtu[conn->index % LIMIT_TCP_PMTU];
}

// NULL: this connection has none.
static struct tcp_pmtu *find(const struct tcp_conn *conn)
{
	struct tcp_pmtu *p = place_of(conn);

	if (!conn->has_pmtu || p->index != conn->index || p->generation != conn->generation)
		return NULL;
	return p;
}

static struct tcp_pmtu *find_or_take(struct tcp_conn *conn)
{
	struct tcp_pmtu *p = find(conn);

	if (p != NULL)
		return p;
	p = place_of(conn);
	*p = (struct tcp_pmtu){.index = conn->index, .generation = conn->generation};
	conn->has_pmtu = true;
	return p;
}

static void forget(struct tcp_conn *conn, struct tcp_pmtu *p)
{
	*p = (struct tcp_pmtu){.index = UINT32_MAX};
	conn->has_pmtu = false;
}

// A router of before RFC 1191 names no size: the next smaller one of its table (7.1).
static uint32_t plateau_below(uint32_t octets)
{
	static const uint16_t plateaus[] = {8166, 4352, 2002, 1492, 1006};

	for (size_t i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++) {
		if (plateaus[i] < octets)
			return plateaus[i];
	}
	return LIMIT_TCP_MTU_MIN_V4;
}

enum drop tcp_pmtu_claim(struct tcp_conn *conn, const struct icmp_error *e)
{
	uint32_t mtu = e->mtu;
	struct tcp_pmtu *p;

	if (mtu == 0 && ip_addr_is_v4(&conn->tuple.local))
		mtu = plateau_below(e->quoted_octets);
	// A packet that fits is no reason to complain, and a full one of ours fits already (RFC 8201 4).
	if (mtu < least_mtu(conn) || e->quoted_octets <= mtu ||
		mtu >= conn->snd_mss + headers_of(conn))
		return DROP_ICMP_MTU;
	p = find_or_take(conn);
	p->claim = (uint16_t)mtu;
	p->claim_seq = e->seq;
	return DROP_NONE;
}

static void cut(struct tcp_conn *conn, struct tcp_pmtu *p, uint32_t mtu, uint64_t now_us)
{
	if (p->mss == 0)
		p->mss = conn->snd_mss;
	p->claim = 0;
	p->cut_us = now_us;
	conn->snd_mss = (uint16_t)(mtu - headers_of(conn));
	conn->stack->counters.pmtu_cuts++;
	// RFC 5681 3.1: one segment after a time-out, and that is smaller now.
	if (conn->flight != 0 && tcp_flight_of(conn)->repair == TCP_REPAIR_TIMEOUT)
		tcp_congestion_collapse(conn);
}

// What to try where full segments vanish in silence; 0: nothing smaller.
static uint32_t blind_mtu(const struct tcp_conn *conn)
{
	uint32_t now = conn->snd_mss + headers_of(conn);

	if (now > BLIND_MTU)
		return BLIND_MTU;
	return ip_addr_is_v4(&conn->tuple.local) && now > BLIND_MTU_V4 ? BLIND_MTU_V4 : 0;
}

// Whether what is lost may have been too large, where mtu is not: small segments that are lost as well tell of no size.
static bool is_larger(const struct tcp_conn *conn, uint32_t mtu)
{
	return conn->snd_max - conn->snd_una > mtu - headers_of(conn);
}

// Whether the segment that a claim quotes is found lost. One that is alone in flight is what the loss is about.
static bool is_proven(const struct tcp_conn *conn, const struct tcp_pmtu *p)
{
	struct tcp_spans_at at;

	if (p == NULL || p->claim == 0)
		return false;
	if (conn->flight == 0)
		return true;
	at = tcp_spans_find(conn->stack, conn->flight, p->claim_seq);
	return at.block != 0 && (tcp_spans_get(conn->stack, at)->flags & TCP_SENT_LOST) != 0;
}

void tcp_pmtu_on_lost(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_pmtu *p = find(conn);
	uint32_t mtu;

	if (is_proven(conn, p)) {
		cut(conn, p, p->claim, now_us);
		return;
	}
	mtu = conn->retries < BLIND_LOSSES ? 0 : blind_mtu(conn);
	if (mtu != 0 && is_larger(conn, mtu))
		cut(conn, find_or_take(conn), mtu, now_us);
}

void tcp_pmtu_on_acked(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_pmtu *p = find(conn);

	if (p == NULL)
		return;
	if (p->claim != 0 && seq_lt(p->claim_seq, conn->snd_una))
		p->claim = 0; // it arrived
	if (p->mss != 0 && now_us - p->cut_us >= LIMIT_TCP_PMTU_RAISE_US) {
		conn->snd_mss = p->mss;
		p->mss = 0;
	}
	if (p->claim == 0 && p->mss == 0)
		forget(conn, p);
}
