#include "tcp/tcp_time_wait.h"

#include "base/seq.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_timer.h"

// Those that wait are in order of arrival. The links lie where the slow start threshold was.
static void link_last(struct tcp_conn *conn)
{
	tcp_stack_link(conn->stack, &conn->stack->time_wait, conn);
}

void tcp_time_wait_unlink(struct tcp_conn *conn)
{
	tcp_stack_unlink(conn->stack, &conn->stack->time_wait, conn);
}

void tcp_time_wait_enter(struct tcp_conn *conn, uint64_t now_us)
{
	tcp_timer_stop_all(conn);
	tcp_conn_enter(conn, TCP_ST_TIME_WAIT);
	link_last(conn);
	tcp_timer_on_linger(conn, now_us);
	tcp_conn_retire(conn, TCP_CLOSED_ORDERLY, now_us);
}

// RFC 6191 2: a new SYN is held against the last timestamp of the old connection, those of its last ACKs too.
static void take_timestamp(struct tcp_conn *conn, const struct segment_options *o)
{
	if (tcp_conn_has(conn, TCP_F_TIMESTAMPS) && o->has_timestamp &&
		seq_lt(conn->ts_recent, o->tsval))
		conn->ts_recent = o->tsval;
}

enum drop tcp_time_wait_segment(struct tcp_conn *conn, const struct segment *s, uint64_t now_us)
{
	// RFC 1337: a stray RST must not end the wait.
	if (s->flags & SEGMENT_RST)
		return DROP_TCP_SEQ;
	if (segment_len(s) == 0 && s->seq == conn->rcv_nxt) {
		take_timestamp(conn, &s->options);
		return DROP_NONE;
	}
	// The FIN again: our ACK was lost, and the wait begins again.
	if ((s->flags & SEGMENT_FIN) && s->seq + segment_len(s) == conn->rcv_nxt) {
		tcp_time_wait_unlink(conn);
		link_last(conn);
		tcp_timer_on_linger(conn, now_us);
		tcp_output_challenge(conn, now_us);
		return DROP_NONE;
	}
	tcp_output_challenge(conn, now_us);
	return DROP_TCP_SEQ;
}

bool tcp_time_wait_yields_to(const struct tcp_conn *conn, const struct segment *s)
{
	if ((s->flags & (SEGMENT_SYN | SEGMENT_ACK | SEGMENT_RST | SEGMENT_FIN)) != SEGMENT_SYN)
		return false;
	if (tcp_conn_has(conn, TCP_F_TIMESTAMPS) && s->options.has_timestamp &&
		s->options.tsval != conn->ts_recent)
		return seq_lt(conn->ts_recent, s->options.tsval);
	return seq_lt(conn->rcv_nxt, s->seq);
}

bool tcp_time_wait_recycle(struct tcp_stack *stack, uint64_t now_us)
{
	if (stack->time_wait.first == 0)
		return false;
	tcp_conn_end(tcp_stack_slot(stack, stack->time_wait.first - 1), TCP_CLOSED_ORDERLY, now_us);
	tcp_conn_reap(stack);
	return true;
}
