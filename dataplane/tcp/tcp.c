#include "tcp/tcp.h"

#include <assert.h>

#include "tcp/tcp_handshake.h"
#include "tcp/tcp_output.h"
#include "tcp/tcp_reassembly.h"
#include "tcp/tcp_recv.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_timer.h"

// RFC 9293 3.9.1.1 (MUST-46): no multicast, no broadcast, no address of nobody.
static bool is_one_host(const struct ip_addr *a)
{
	static const struct ip_addr unspecified;

	if (ip_addr_is_v4(a))
		return ip_addr_v4(a) >> 24 != 0 && ip_addr_v4(a) >> 28 < 0xe;
	return a->octets[0] != 0xff && !ip_addr_eq(a, &unspecified);
}

struct tcp_conn *tcp_connect(struct tcp_stack *stack, const struct segment *tuple, uint64_t now_us)
{
	struct tcp_tuple t = tcp_tuple_of_output(tuple);

	if (!is_one_host(&t.peer) || tcp_table_find(stack, &t) != NULL)
		return NULL;

	struct tcp_conn *conn = tcp_conn_take(stack, &t, tuple->nic_port);

	if (conn == NULL) {
		stack->counters.table_full++;
		return NULL;
	}
	tcp_handshake_begin(conn, now_us);
	return conn;
}

void tcp_flush(struct tcp_stack *stack, uint64_t now_us)
{
	struct tcp_conn *conn;

	while ((conn = tcp_conn_untouch(stack)) != NULL)
		if (conn->state != TCP_ST_CLOSED)
			tcp_output_conn(conn, now_us);
	tcp_conn_reap(stack);
}

void tcp_timers(struct tcp_stack *stack, uint64_t now_us, uint32_t budget)
{
	tcp_conn_reap(stack);
	tcp_timer_run(stack, now_us, budget);
}

uint64_t tcp_next_timer_us(const struct tcp_stack *stack, uint64_t now_us, uint64_t limit_us)
{
	return timer_wheel_next_us(&stack->wheel, now_us, limit_us);
}

void tcp_shutdown(struct tcp_conn *conn, uint64_t now_us)
{
	if (!tcp_conn_has_app(conn) || tcp_conn_has(conn, TCP_F_CLOSE))
		return;
	// RFC 9293 3.10.4: nothing was agreed on yet, so there is nothing to end in order.
	if (tcp_conn_is_opening(conn)) {
		tcp_abort(conn, now_us);
		return;
	}
	conn->flags |= TCP_F_CLOSE;
	tcp_conn_enter(
		conn, conn->state == TCP_ST_CLOSE_WAIT ? TCP_ST_LAST_ACK : TCP_ST_FIN_WAIT_1);
	tcp_conn_touch(conn);
}

void tcp_close(struct tcp_conn *conn, uint64_t now_us)
{
	tcp_shutdown(conn, now_us);
	if (!tcp_conn_has_app(conn) || tcp_conn_has(conn, TCP_F_DISCARD))
		return;
	conn->flags |= TCP_F_DISCARD;
	tcp_recv_discard(conn);
	tcp_output_on_consumed(conn);
	tcp_timer_on_app_deadline(conn, 0);
	if (conn->state == TCP_ST_FIN_WAIT_2)
		tcp_timer_on_linger(conn, now_us);
}

void tcp_abort(struct tcp_conn *conn, uint64_t now_us)
{
	if (!tcp_conn_has_app(conn))
		return;
	tcp_output_reset(conn, now_us);
	tcp_conn_end(conn, TCP_CLOSED_ABORTED, now_us);
}

void tcp_resume(struct tcp_conn *conn, uint64_t now_us)
{
	assert(conn->stack->in_data == NULL);
	tcp_recv_deliver(conn, now_us);
}

void tcp_set_receive_window(struct tcp_conn *conn, uint32_t octets)
{
	bool grows = octets > conn->rcv_most;

	if (!tcp_conn_has_app(conn))
		return;
	conn->rcv_most = octets;
	if (grows && conn->state >= TCP_ST_ESTABLISHED)
		tcp_output_on_consumed(conn);
}

uint32_t tcp_receive_offered(const struct tcp_conn *conn)
{
	return conn->rcv_adv - conn->rcv_nxt + conn->rcv_unread;
}

uint32_t tcp_receive_unread(const struct tcp_conn *conn)
{
	return conn->rcv_unread;
}

uint32_t tcp_round_trip_us(const struct tcp_conn *conn)
{
	return conn->srtt_us;
}

void tcp_set_ack_policy(struct tcp_conn *conn, enum tcp_ack_policy policy)
{
	conn->flags &= ~(uint32_t)(TCP_F_ACK_REPLY | TCP_F_ACK_EACH);
	if (policy == TCP_ACK_REPLY)
		conn->flags |= TCP_F_ACK_REPLY;
	if (policy == TCP_ACK_EACH)
		conn->flags |= TCP_F_ACK_EACH;
}

void tcp_set_small(struct tcp_conn *conn, enum tcp_small small)
{
	conn->flags &= ~(uint32_t)(TCP_F_NAGLE | TCP_F_CORK);
	if (small == TCP_SMALL_ALONE)
		conn->flags |= TCP_F_NAGLE;
	if (small == TCP_SMALL_NEVER)
		conn->flags |= TCP_F_CORK;
	if (conn->state >= TCP_ST_ESTABLISHED)
		tcp_conn_touch(conn);
}

uint64_t tcp_deadline_us(const struct tcp_conn *conn)
{
	return conn->due_us[TCP_DUE_APP];
}

bool tcp_prune(struct tcp_conn *conn)
{
	if (conn->early == 0)
		return false;
	tcp_reassembly_discard(conn);
	return true;
}

void tcp_set_keepalive(
	struct tcp_conn *conn, const struct tcp_keepalive *keepalive, uint64_t now_us)
{
	assert(keepalive->idle_s == 0 || (keepalive->interval_s > 0 && keepalive->probes > 0));
	if (!tcp_conn_has_app(conn))
		return;
	conn->keep_idle_s = keepalive->idle_s;
	conn->keep_interval_s = keepalive->interval_s;
	conn->keep_probes = keepalive->probes;
	tcp_timer_on_keepalive_set(conn, now_us);
}

void tcp_set_user_timeout(struct tcp_conn *conn, uint32_t ms, uint64_t now_us)
{
	if (!tcp_conn_has_app(conn))
		return;
	conn->user_timeout_ms = ms;
	conn->has_user_timeout = ms != 0;
	tcp_timer_on_user_timeout_set(conn, now_us);
}

void tcp_set_deadline(struct tcp_conn *conn, uint64_t due_us)
{
	if (tcp_conn_has_app(conn))
		tcp_timer_on_app_deadline(conn, due_us);
}
