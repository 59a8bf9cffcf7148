#include "dataplane/conn_flow.h"

#include "dataplane/mail.h"

enum {
	COMMAND_WINDOW = 32768, // a thousand recipients in two round trips
	COMMAND_WINDOW_SHORT = 4096,
	BODY_WINDOW_FIRST = 65536,
	BODY_WINDOW_GROWTH = 2, // of what came in a round: as fast as a sender in slow start
	ROUND_TRIPS =
		2, // in a round: room for the time a loss takes to mend, and for queues on the way
	ROUND_LEAST_US = 2000,
	WALK_STEP = 64,
};

// Unread octets lie in blocks; when these run short, pipelines get shorter.
static bool is_short(const struct worker *w)
{
	return w->pressure.level >= PRESSURE_SHRINK;
}

// The last eighth of the buffers is for envelopes, and for what was offered when there were more.
static uint64_t free_octets(const struct worker *w)
{
	const uint32_t reserve = w->common->spool_bufs / 8;

	return w->free_buf_count > reserve
		       ? (uint64_t)(w->free_buf_count - reserve) * LIMIT_SPOOL_BUF_OCTETS
		       : 0;
}

static uint32_t smaller(uint64_t a, uint64_t b)
{
	const uint64_t least = a < b ? a : b;

	return least < UINT32_MAX ? (uint32_t)least : UINT32_MAX;
}

// The most that came in a round is what the sender has shown to use, whatever its path; a fast mail on a near path, and a slow
// one of any length, hold little.
static void earn(const struct worker *w, struct conn *c)
{
	struct mail *m = mail_of(c);
	const uint32_t had = (uint32_t)(m->stored_octets + (m->body != NULL ? m->body->octets : 0));
	const uint32_t trips_us = ROUND_TRIPS * tcp_round_trip_us(conn_tcp(c));
	const uint32_t round_us = trips_us > ROUND_LEAST_US ? trips_us : ROUND_LEAST_US;
	const uint32_t now_us = (uint32_t)w->now_us;

	if (had - m->round_octets > m->earned)
		m->earned = had - m->round_octets;
	if (now_us - m->round_us < round_us)
		return;
	m->round_us = now_us;
	m->round_octets = had;
}

// What is offered cannot be taken back, so it has to be there for everybody at once, and a sender earns a large window by
// sending: those who are silent hold little. Two segments are always offered while there is anything, or a few who do not send would keep
// everybody else from it.
static uint32_t body_window(const struct worker *w, const struct mail *m)
{
	const uint64_t others = w->offered - m->offered, all = free_octets(w);
	const uint64_t left = all > others ? all - others : 0;
	const uint64_t earned = BODY_WINDOW_FIRST + BODY_WINDOW_GROWTH * (uint64_t)m->earned;
	const uint32_t window =
		smaller(smaller(w->share, left), smaller(earned, LIMIT_TCP_RECEIVE_WINDOW));
	const uint32_t least = 2U * w->common->mss;

	if (is_short(w))
		return all > 0 ? least : 0;
	return all > 0 && window < least ? least : window;
}

static void offer(struct worker *w, struct conn *c)
{
	struct mail *m = mail_of(c);
	const uint32_t before = tcp_receive_offered(conn_tcp(c));
	uint32_t window;

	earn(w, c);
	window = body_window(w, m);
	w->offered -= m->offered;
	m->offered = window > before ? window : before;
	w->offered += m->offered;
	tcp_set_receive_window(conn_tcp(c), window);
}

void conn_flow_follow(struct worker *w, struct conn *c)
{
	const bool in_body = c->smtp.state == SMTP_ST_BODY;

	if (c->closing || (!in_body && c->in_flow && !c->in_body))
		return;
	if (!c->in_flow || in_body != c->in_body)
		tcp_set_ack_policy(conn_tcp(c), in_body ? TCP_ACK_DATA : TCP_ACK_REPLY);
	c->in_flow = true;
	c->in_body = in_body;
	if (!in_body)
		tcp_set_receive_window(
			conn_tcp(c), is_short(w) ? COMMAND_WINDOW_SHORT : COMMAND_WINDOW);
	else if (mail_of(c)->coming)
		offer(w, c);
	else
		tcp_set_receive_window(conn_tcp(c), BODY_WINDOW_FIRST); // nobody wants it
}

// A smaller share is taken when octets come; a larger one has to be told, as the sender may be waiting for it.
static void tell_some(struct worker *w)
{
	uint32_t n = w->untold < WALK_STEP ? w->untold : WALK_STEP;

	for (w->untold -= n; n > 0 && w->coming.first != NULL; n--) {
		struct conn *c = w->coming.first->conn;

		mail_rotate(w);
		conn_flow_follow(w, c);
	}
}

void conn_flow_share(struct worker *w)
{
	w->share = smaller(free_octets(w) / (w->coming.count + 1), UINT32_MAX);
	if (w->share < w->told_share)
		w->told_share = w->share;
	// By an eighth at least, or every buffer that comes back would be told to everybody.
	if (w->share > w->told_share + w->told_share / 8) {
		w->told_share = w->share;
		w->untold = w->coming.count;
	}
	if (w->untold > 0)
		tell_some(w);
}
