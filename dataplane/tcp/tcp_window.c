#include "tcp/tcp_window.h"

#include "base/seq.h"
#include "tcp/tcp_stack.h"

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t limit(const struct tcp_conn *conn)
{
	uint32_t window = smaller(conn->stack->config.receive_window, conn->rcv_most);

	return tcp_conn_has(conn, TCP_F_SCALE) ? window : smaller(window, UINT16_MAX);
}

// Right edge that the buffer allows now.
static uint32_t edge(const struct tcp_conn *conn)
{
	uint32_t window = limit(conn);

	return conn->rcv_nxt + (window > conn->rcv_unread ? window - conn->rcv_unread : 0);
}

// By how much the edge may move beyond what was offered; 0 when it has not moved or would have to move back.
static uint32_t gain(const struct tcp_conn *conn)
{
	uint32_t to = edge(conn);

	return seq_lt(conn->rcv_adv, to) ? to - conn->rcv_adv : 0;
}

// RFC 9293 3.8.6.2.2: not by less than a segment.
static bool is_worth(const struct tcp_conn *conn, uint32_t octets, uint32_t segments)
{
	uint32_t step = segments * conn->stack->config.mss;

	return octets > 0 && octets >= smaller(limit(conn) / 2, step);
}

// The field counts in steps of the scale. Rounding down moves the edge back by up to a step, rounding up lets it creep:
// up, as long as the creeping stays below 1/8 of the window, so that only a peer that sends crumbs sees
// the edge recede (RFC 7323 2.4 allows for it; rcv_adv keeps, and takes, what was once offered).
static uint32_t round_field(const struct tcp_conn *conn, uint32_t window, uint8_t scale)
{
	uint32_t field = window >> scale;
	uint32_t step = 1U << scale;
	uint32_t crept = conn->rcv_adv + step - edge(conn);

	if (seq_le(conn->rcv_adv, conn->rcv_nxt + (field << scale)))
		return field;
	if (seq_lt(conn->rcv_adv + step, edge(conn)) || crept < limit(conn) / 8)
		field = (window + step - 1) >> scale;
	return field;
}

uint16_t tcp_window_offer(struct tcp_conn *conn, bool syn)
{
	// RFC 7323 2.2: the window of a SYN is not scaled; that of an ACK before the handshake's end is.
	uint8_t scale = syn ? 0 : conn->rcv_scale;
	uint32_t to = is_worth(conn, gain(conn), 1) ? edge(conn) : conn->rcv_adv;
	uint32_t field = smaller(round_field(conn, to - conn->rcv_nxt, scale), UINT16_MAX);
	uint32_t offered = conn->rcv_nxt + (field << scale);

	if (seq_lt(conn->rcv_adv, offered))
		conn->rcv_adv = offered;
	return (uint16_t)field;
}

uint16_t tcp_window_of_syn(const struct tcp_stack *stack)
{
	return (uint16_t)smaller(stack->config.receive_window, UINT16_MAX);
}

bool tcp_window_wants_update(const struct tcp_conn *conn)
{
	return is_worth(conn, gain(conn), tcp_window_is_nearly_shut(conn) ? 1 : 2);
}

bool tcp_window_is_nearly_shut(const struct tcp_conn *conn)
{
	return conn->rcv_adv - conn->rcv_nxt < conn->stack->config.mss;
}

bool tcp_window_holds(const struct tcp_conn *conn, const struct segment *s)
{
	uint32_t len = segment_len(s);

	if (s->seq == conn->rcv_nxt)
		return true;
	if (len == 0)
		return seq_le(conn->rcv_nxt, s->seq) && seq_le(s->seq, conn->rcv_adv);
	return seq_lt(conn->rcv_nxt, s->seq + len) && seq_lt(s->seq, conn->rcv_adv);
}
