#include "tcp/tcp_ecn.h"

#include "tcp/tcp_stack.h"

bool tcp_ecn_is_asked(const struct segment *s)
{
	uint8_t want = s->flags & SEGMENT_ACK ? SEGMENT_ECE : (uint8_t)(SEGMENT_ECE | SEGMENT_CWR);

	// No SYN of RFC 3168 is marked as able: somebody on the way writes into that field, and marks would tell nothing. Accurate ECN
	// may mark its SYN.
	if (s->ecn != SEGMENT_ECN_NONE && (s->flags & SEGMENT_ACK) == 0 && !s->accurate_ecn)
		return false;
	return (s->flags & (SEGMENT_ECE | SEGMENT_CWR)) == want;
}

static void give_up(struct tcp_conn *conn)
{
	conn->flags &= ~(uint32_t)(TCP_F_ECN | TCP_F_ECE_OWED | TCP_F_CWR_OWED);
}

void tcp_ecn_on_syn_lost(struct tcp_conn *conn)
{
	if (conn->state == TCP_ST_SYN_SENT)
		give_up(conn);
}

void tcp_ecn_on_syn_again(struct tcp_conn *conn, const struct segment *s)
{
	if (!tcp_ecn_is_asked(s))
		give_up(conn);
}

// The sender of CWR, and of what was marked, may have a window of one segment: it is not to wait for the delayed ACK.
static void acknowledge_now(struct tcp_conn *conn)
{
	conn->flags |= TCP_F_ACK_NOW;
	tcp_conn_touch(conn);
}

void tcp_ecn_on_data(struct tcp_conn *conn, const struct segment *s)
{
	if (!tcp_conn_has(conn, TCP_F_ECN) || s->payload_octets == 0)
		return;
	if (s->flags & SEGMENT_CWR) {
		conn->flags &= ~(uint32_t)TCP_F_ECE_OWED;
		acknowledge_now(conn);
	}
	if (s->ecn != SEGMENT_ECN_CE)
		return;
	conn->stack->counters.ecn_marked++;
	if (!tcp_conn_has(conn, TCP_F_ECE_OWED))
		acknowledge_now(conn);
	conn->flags |= TCP_F_ECE_OWED;
}

bool tcp_ecn_is_echo(const struct tcp_conn *conn, const struct segment *s)
{
	return (s->flags & (SEGMENT_ECE | SEGMENT_SYN)) == SEGMENT_ECE &&
	       tcp_conn_has(conn, TCP_F_ECN) && !tcp_conn_has(conn, TCP_F_CWR_OWED);
}

void tcp_ecn_mark(const struct tcp_conn *conn, struct segment *s)
{
	if (tcp_conn_has(conn, TCP_F_ECE_OWED) && (s->flags & SEGMENT_SYN) == 0)
		s->flags |= SEGMENT_ECE;
}

void tcp_ecn_mark_data(struct tcp_conn *conn, struct segment *s)
{
	if (!tcp_conn_has(conn, TCP_F_ECN))
		return;
	s->ecn = SEGMENT_ECN_ECT0;
	if (tcp_conn_has(conn, TCP_F_CWR_OWED))
		s->flags |= SEGMENT_CWR;
	conn->flags &= ~(uint32_t)TCP_F_CWR_OWED;
}
