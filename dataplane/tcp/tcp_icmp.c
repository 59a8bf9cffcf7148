#include "base/seq.h"
#include "tcp/tcp_pmtu.h"
#include "tcp/tcp_stack.h"

// RFC 5927 4.1: the segment quoted is one that we have sent and that is not acknowledged.
static bool is_in_flight(const struct tcp_conn *conn, uint32_t seq)
{
	return seq_le(conn->snd_una, seq) && seq_lt(seq, conn->snd_max);
}

// RFC 5461: where the peer has answered, an error on the way is no reason to give up; the timers decide.
static enum drop unreachable(struct tcp_conn *conn, const struct icmp_error *e, uint64_t now_us)
{
	if (e->kind == ICMP_ERROR_HARD && conn->state == TCP_ST_SYN_SENT)
		tcp_conn_end(conn, TCP_CLOSED_UNREACHABLE, now_us);
	return DROP_NONE;
}

enum drop tcp_icmp(struct tcp_stack *stack, const struct icmp_error *e, uint64_t now_us)
{
	const struct tcp_tuple tuple = {.local = e->local,
		.peer = e->peer,
		.local_port = e->local_port,
		.peer_port = e->peer_port};
	struct tcp_conn *conn;

	tcp_conn_reap(stack);
	conn = tcp_table_find(stack, &tuple);
	if (conn == NULL)
		return DROP_ICMP_NO_CONN;
	if (!is_in_flight(conn, e->seq))
		return DROP_ICMP_SEQ;
	stack->counters.icmp_in++;
	return e->kind == ICMP_ERROR_TOO_BIG ? tcp_pmtu_claim(conn, e)
					     : unreachable(conn, e, now_us);
}
