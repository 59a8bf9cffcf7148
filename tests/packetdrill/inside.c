#include "inside.h"

#include <linux/tcp.h>
#include <string.h>

#include "base/seq.h"
#include "tcp/tcp_conn.h"
#include "tcp/tcp_flight.h"
#include "tcp/tcp_rto.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_table.h"
#include "tcp/tcp_tuple.h"

struct tcp_conn *inside_conn(struct tcp_stack *stack, const struct segment *in)
{
	struct tcp_tuple tuple = tcp_tuple_of_input(in);

	return tcp_table_find(stack, &tuple);
}

uint32_t inside_queued(const struct tcp_conn *conn)
{
	return conn->send_octets;
}

uint32_t inside_unsent(const struct tcp_conn *conn)
{
	uint32_t end = tcp_conn_send_end(conn);

	return seq_lt(conn->snd_max, end) ? end - conn->snd_max : 0;
}

bool inside_fin_is_out(const struct tcp_conn *conn)
{
	return conn->state == TCP_ST_FIN_WAIT_1 || conn->state == TCP_ST_CLOSING ||
	       conn->state == TCP_ST_LAST_ACK;
}

uint32_t inside_mss(const struct tcp_conn *conn)
{
	return conn->snd_mss;
}

uint32_t inside_rcv_mss(const struct tcp_conn *conn)
{
	return conn->rcv_mss;
}

uint32_t inside_offered(const struct tcp_conn *conn)
{
	return conn->rcv_adv - conn->rcv_nxt;
}

static bool is_half_open(const struct tcp_conn *conn)
{
	return conn->state == TCP_ST_SYN_RECEIVED && !tcp_conn_has(conn, TCP_F_ACTIVE);
}

void inside_forget_handshakes(struct tcp_stack *stack, uint16_t local_port, uint64_t now_us)
{
	for (uint32_t i = 0; i < stack->unused; i++) {
		struct tcp_conn *conn = tcp_stack_slot(stack, i);

		if (is_half_open(conn) && conn->tuple.local_port == local_port)
			tcp_conn_end(conn, TCP_CLOSED_TIMEOUT, now_us);
	}
}

// RFC 9293's states by Linux's numbers.
static uint8_t state_number(const struct tcp_conn *conn)
{
	static const uint8_t numbers[TCP_ST_COUNT] = {
		[TCP_ST_CLOSED] = 7,
		[TCP_ST_SYN_SENT] = 2,
		[TCP_ST_SYN_RECEIVED] = 3,
		[TCP_ST_ESTABLISHED] = 1,
		[TCP_ST_FIN_WAIT_1] = 4,
		[TCP_ST_FIN_WAIT_2] = 5,
		[TCP_ST_CLOSE_WAIT] = 8,
		[TCP_ST_CLOSING] = 11,
		[TCP_ST_LAST_ACK] = 9,
		[TCP_ST_TIME_WAIT] = 6,
	};

	return numbers[conn->state];
}

static uint32_t segments(const struct tcp_conn *conn, uint32_t octets)
{
	uint32_t mss = conn->snd_mss != 0 ? conn->snd_mss : 1;

	return (octets + mss - 1) / mss;
}

// Of a connection that has notes on what is in flight.
static void info_flight(const struct tcp_conn *conn, struct tcp_info *info)
{
	static const uint8_t states[] = {[TCP_REPAIR_NONE] = TCP_CA_Open,
		[TCP_REPAIR_ECN] = TCP_CA_CWR,
		[TCP_REPAIR_FAST] = TCP_CA_Recovery,
		[TCP_REPAIR_TIMEOUT] = TCP_CA_Loss};
	const struct tcp_flight *f = tcp_flight_of(conn);

	info->tcpi_ca_state = states[f->repair];
	if (f->repair == TCP_REPAIR_NONE && (f->sacked > 0 || f->dup_acks > 0))
		info->tcpi_ca_state = TCP_CA_Disorder;
	info->tcpi_sacked = f->sacked_segments;
	info->tcpi_reordering = 3;
	for (struct tcp_spans_at at = tcp_spans_first(conn->stack, conn->flight); at.block != 0;
		at = tcp_spans_next(conn->stack, at)) {
		const struct tcp_span *span = tcp_spans_get(conn->stack, at);
		uint32_t count = segments(conn, span->end - span->seq);
		bool again = (span->flags & (TCP_SENT_AGAIN | TCP_SENT_SACKED)) == TCP_SENT_AGAIN;

		info->tcpi_retrans += again ? count : 0;
		// As Linux does: what was lost stays so until the copy has arrived.
		if (span->flags & TCP_SENT_LOST || (again && f->repair != TCP_REPAIR_NONE))
			info->tcpi_lost += count;
	}
}

void inside_info(const struct tcp_conn *conn, struct tcp_info *info)
{
	memset(info, 0, sizeof(*info));
	info->tcpi_state = state_number(conn);
	info->tcpi_options |= tcp_conn_has(conn, TCP_F_TIMESTAMPS) ? TCPI_OPT_TIMESTAMPS : 0;
	if (tcp_conn_has(conn, TCP_F_SCALE)) {
		info->tcpi_options |= TCPI_OPT_WSCALE;
		info->tcpi_snd_wscale = conn->snd_scale & 15U;
		info->tcpi_rcv_wscale = conn->rcv_scale & 15U;
	}
	info->tcpi_options |= tcp_conn_has(conn, TCP_F_SACK) ? TCPI_OPT_SACK : 0;
	info->tcpi_options |= tcp_conn_has(conn, TCP_F_ECN) ? TCPI_OPT_ECN : 0;
	if (conn->flight != 0)
		info_flight(conn, info);
	info->tcpi_retransmits = conn->retries;
	info->tcpi_probes = conn->probes;
	info->tcpi_backoff = conn->backoff;
	info->tcpi_rto = (uint32_t)tcp_rto_us(conn);
	info->tcpi_snd_mss = conn->snd_mss;
	info->tcpi_rcv_mss = conn->rcv_mss;
	info->tcpi_unacked = segments(conn, conn->snd_max - conn->snd_una);
	info->tcpi_rtt = conn->srtt_us;
	info->tcpi_rttvar = conn->rttvar_us;
	info->tcpi_snd_cwnd = segments(conn, conn->cwnd);
	info->tcpi_snd_ssthresh =
		conn->ssthresh > INT32_MAX ? INT32_MAX : segments(conn, conn->ssthresh);
	info->tcpi_notsent_bytes = inside_unsent(conn);
	info->tcpi_snd_wnd = conn->snd_wnd;
	info->tcpi_advmss = conn->stack->config.mss;
}
