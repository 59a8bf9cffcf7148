#include "dataplane/conn.h"

#include "dataplane/admit.h"
#include "dataplane/conn_admit.h"
#include "dataplane/conn_flow.h"
#include "dataplane/conn_log.h"
#include "dataplane/conn_name.h"
#include "dataplane/conn_say.h"
#include "dataplane/conn_tls.h"
#include "dataplane/conn_verdict.h"
#include "dataplane/mail.h"

static uint64_t latest_us(const struct worker *w)
{
	uint64_t s =
		atomic_load_explicit(&w->edge->tunables.command_timeout_s, memory_order_relaxed);

	return w->now_us + s * 1000000;
}

static void set_deadline(struct conn *c, uint64_t at_us)
{
	if (c->smtp.state == SMTP_ST_BODY)
		mail_of(c)->deadline_us = at_us;
	tcp_set_deadline(conn_tcp(c), at_us);
}

static void arm_deadline(struct worker *w, struct conn *c)
{
	set_deadline(c, latest_us(w));
}

// A whole command buys the full time, a part of one none, and octets of a body as long as they take at the least rate: so no
// session lives for ever by an octet now and then, and one that was fast has no more in hand than the full time.
static void extend_deadline(struct worker *w, struct conn *c, size_t octets)
{
	uint64_t rate = atomic_load_explicit(&w->edge->tunables.body_rate, memory_order_relaxed);
	uint64_t at_us = latest_us(w), before_us = 0;

	if (octets == 0 || c->closing)
		return;
	if (c->smtp.state == SMTP_ST_BODY && rate != 0)
		before_us = mail_of(c)->deadline_us; // 0: it begins
	if (before_us != 0 && before_us + octets * 1000000 / rate < at_us)
		at_us = before_us + octets * 1000000 / rate;
	set_deadline(c, at_us);
}

// ---- Birth

static void count_refused(struct worker *w, struct conn *c, enum smtp_reply reply)
{
	edge_count(&conn_admit_counters(w, c)->refused_connect, 1);
	conn_log_session(w, c, LOG_CONNECT_REFUSED, reply);
}

// By its name, so after the handshake, which cannot be taken back: refuse: drop is a reset here as well.
static bool is_refused_in_silence(
	const struct worker *w, const struct conn *c, enum smtp_reply greeting)
{
	return greeting == SMTP_REPLY_CONNECT_REFUSED &&
	       w->policy->snapshot->vservers[c->vserver].refuse != CONFIG_REFUSE_REPLY;
}

// Before its greeting a session has said nothing.
static bool is_greeted(const struct conn *c)
{
	return c->last_code != 0;
}

static void greet(struct worker *w, struct conn *c, enum smtp_reply greeting)
{
	struct smtp_io io = conn_say_io(w, c);

	if (greeting == SMTP_REPLY_NONE) { // conn_named() goes on
		arm_deadline(w, c);
		return;
	}
	if (is_refused_in_silence(w, c, greeting)) {
		count_refused(w, c, greeting);
		tcp_abort(conn_tcp(c), w->now_us);
		return;
	}
	smtp_session_greet(&c->smtp, greeting, &io);
	if (!conn_say(w, c, &io))
		return;
	if (greeting == SMTP_REPLY_GREETING) {
		conn_log_session(w, c, LOG_CONNECT, greeting);
		arm_deadline(w, c);
		return;
	}
	count_refused(w, c, greeting);
	conn_say_close(w, c);
}

// A client that is gone without a word gives its place back a little sooner, and one behind a NAT stays reachable for replies that
// take long.
static void keep_alive(struct tcp_conn *tcp, uint64_t now_us)
{
	static const struct tcp_keepalive keepalive = {
		LIMIT_TCP_KEEP_IDLE_S, LIMIT_TCP_KEEP_INTERVAL_S, LIMIT_TCP_KEEP_PROBES};

	tcp_set_keepalive(tcp, &keepalive, now_us);
}

// TLS from the first octet: before there is a session of it, nobody could read why he is refused.
static void secure(struct worker *w, struct conn *c, enum smtp_reply greeting)
{
	if (greeting == SMTP_REPLY_NONE) { // conn_named() goes on
		arm_deadline(w, c);
		return;
	}
	if (greeting == SMTP_REPLY_GREETING && conn_tls_begin(w, c, true))
		return;
	if (greeting != SMTP_REPLY_GREETING)
		count_refused(w, c, greeting);
	conn_say_close(w, c);
}

// In TLS at once, or with a greeting that may lead there.
static void begin(struct worker *w, struct conn *c, enum smtp_reply greeting)
{
	if (conn_tls_is_implicit(c))
		secure(w, c, greeting);
	else
		greet(w, c, greeting);
}

void conn_secured(struct worker *w, struct conn *c, bool implicit)
{
	arm_deadline(w, c);
	if (implicit)
		greet(w, c, SMTP_REPLY_GREETING);
}

static void conn_opened(void *user, struct tcp_conn *tcp, uint64_t now_us)
{
	struct worker *w = user;
	struct conn *c = tcp_conn_app(tcp);

	*c = (struct conn){.opened_loop = (uint32_t)w->loops};
	c->session = (uint64_t)w->index << 48 | ++w->next_session;
	if (!conn_admit_resolve(w, c)) {
		// A reload took the address away between SYN and ACK.
		c->closing = true;
		tcp_abort(tcp, w->now_us);
		return;
	}
	c->began = true;
	keep_alive(tcp, now_us);
	smtp_session_init(&c->smtp);
	edge_count(&conn_admit_counters(w, c)->connections, 1);
	begin(w, c, conn_admit(w, c));
	conn_flow_follow(w, c);
}

// ---- Octets

// A reply would find no block: this peer's turn comes when it has read the last one, or when pressure.c has made room.
static bool lacks_block(const struct worker *w, struct conn *c)
{
	return !pressure_lets_reply(w, tcp_send_queued(conn_tcp(c)));
}

// The peer does not read its replies: conn_acked() goes on.
static bool is_unheard(const struct worker *w, struct conn *c)
{
	uint32_t room = SMTP_REPLY_MAX_OCTETS + (c->smtp.tls ? conn_tls_pending(w, c) : 0);

	return tcp_send_space(conn_tcp(c)) < room;
}

bool conn_is_ready(struct worker *w, struct conn *c)
{
	if (c->closing || c->name_wait || smtp_session_is_waiting(&c->smtp) || mail_is_stalled(c))
		return false;
	if (is_unheard(w, c))
		return false;
	if (c->smtp.state != SMTP_ST_BODY && lacks_block(w, c))
		return false;
	if (c->smtp.state == SMTP_ST_BODY && mail_is_open(c) && !mail_room(w, c)) {
		mail_stall(w, c);
		return false;
	}
	return true;
}

size_t conn_feed(struct worker *w, struct conn *c, struct slice in)
{
	size_t done = 0;
	enum smtp_need need = SMTP_NEED_AGAIN;

	while (need != SMTP_NEED_INPUT && conn_is_ready(w, c) && conn_admit_still(w, c)) {
		struct smtp_io io = conn_say_io(w, c);
		struct smtp_step step = smtp_session_step(
			&c->smtp, (struct slice){in.at + done, in.len - done}, &io);

		mail_added(w, c, &io.body);
		if (io.replied == SMTP_REPLY_RCPT_FORM) {
			edge_count(&conn_admit_counters(w, c)->rcpt_refused, 1);
			conn_log_rcpt_form(w, c, (struct slice){in.at + done, step.consumed});
		}
		done += step.consumed;
		// RFC 3207: nothing said before TLS may be taken for something said inside of it.
		if (step.need == SMTP_NEED_TLS && done < in.len) {
			conn_tls_count_early(w, c);
			conn_say_end(w, c, SMTP_REPLY_TLS_EARLY);
		} else if (conn_say(w, c, &io))
			need = conn_verdict_serve(w, c, step);
	}
	return c->closing ? in.len : done;
}

// Octets in the very burst that completed the handshake, or while 220 waits for a name: the peer did not wait for it.
static bool talked_early(const struct worker *w, const struct conn *c)
{
	return c->opened_loop == (uint32_t)w->loops || !is_greeted(c);
}

static size_t data_in_tls(struct worker *w, struct conn *c, struct slice in)
{
	size_t plain, done;

	(void)conn_admit_follow(w, c);
	done = conn_tls_data(w, c, in, &plain);
	conn_flow_follow(w, c);
	extend_deadline(w, c, plain);
	return done;
}

// No block for a reply is none for what asks for it.
static bool is_held(const struct worker *w, struct conn *c)
{
	return !c->closing && !smtp_session_is_waiting(&c->smtp) && c->smtp.state != SMTP_ST_BODY &&
	       !pressure_lets_reply(w, 0);
}

static size_t conn_data(void *user, struct tcp_conn *tcp, struct slice in, uint64_t now_us)
{
	struct worker *w = user;
	struct conn *c = tcp_conn_app(tcp);
	size_t done;

	(void)now_us;
	if (c->closing)
		return in.len;
	if (c->smtp.tls)
		return data_in_tls(w, c, in);
	if (c->name_wait && conn_tls_is_implicit(c))
		return 0;
	if (talked_early(w, c)) {
		conn_say_end(w, c, SMTP_REPLY_EARLY_TALKER);
		return in.len;
	}
	(void)conn_admit_follow(w, c);
	done = conn_feed(w, c, in);
	conn_flow_follow(w, c);
	if (!c->smtp.tls)
		extend_deadline(w, c, done);
	// Straight from a packet, which need not be kept: the peer sends it again.
	if (done == 0 && tcp_receive_unread(tcp) == 0 && is_held(w, c))
		return TCP_DATA_HELD;
	return done;
}

// What waited unread may be looked at again: what TLS has decrypted, then what TCP holds.
static void resume(struct worker *w, struct conn *c)
{
	if (c->smtp.tls && conn_tls_has_unread(w, c))
		(void)data_in_tls(w, c, (struct slice){NULL, 0});
	if (!c->closing)
		tcp_resume(conn_tcp(c), w->now_us);
}

static bool has_unread(const struct worker *w, const struct conn *c)
{
	return c->smtp.tls && conn_tls_has_unread(w, c);
}

static bool is_shaking(const struct worker *w, const struct conn *c)
{
	return c->smtp.tls && !conn_tls_is_open(w, c);
}

static void conn_acked(void *user, struct tcp_conn *tcp, uint64_t now_us)
{
	struct conn *c = tcp_conn_app(tcp);

	(void)now_us;
	if (!c->closing)
		resume(user, c);
}

static void conn_peer_closed(void *user, struct tcp_conn *tcp, uint64_t now_us)
{
	struct worker *w = user;
	struct conn *c = tcp_conn_app(tcp);

	(void)now_us;
	c->peer_done = true;
	if (!smtp_session_is_waiting(&c->smtp) && !has_unread(w, c))
		conn_say_close(w, c);
}

static void conn_deadline(void *user, struct tcp_conn *tcp, uint64_t now_us)
{
	struct worker *w = user;
	struct conn *c = tcp_conn_app(tcp);

	(void)now_us;
	if (is_shaking(w, c)) {
		conn_tls_timed_out(w, c);
	} else if (c->name_wait || smtp_session_is_waiting(&c->smtp) || mail_is_stalled(c) ||
		   (c->in_body && conn_flow_is_shut(w))) {
		arm_deadline(w, c); // we are the ones who are late
	} else {
		(void)conn_admit_follow(w, c);
		conn_say_end(w, c, SMTP_REPLY_TIMEOUT);
	}
}

// ---- Answers of the spooler

static bool waits_for(const struct conn *c, const struct spool_answer *answer)
{
	return !c->closing && c->smtp.state == SMTP_ST_COMMIT &&
	       mail_of(c)->id == answer->message_id;
}

void conn_answer(struct worker *w, const struct spool_answer *answer)
{
	struct tcp_conn *tcp = tcp_conn_find(w->tcp, answer->conn, answer->generation);
	struct conn *c = tcp != NULL ? tcp_conn_app(tcp) : NULL;

	// The peer went away while its mail was written: it is ours all the same, nobody is left to be told.
	if (c == NULL || !waits_for(c, answer))
		return;
	(void)conn_admit_follow(w, c);
	conn_verdict_committed(w, c, (enum err)answer->status);
	conn_flow_follow(w, c);
	if (c->closing)
		return;
	arm_deadline(w, c);
	if (c->peer_done && !has_unread(w, c))
		conn_say_close(w, c);
	else if (conn_admit_still(w, c))
		resume(w, c);
}

// ---- Names

// Before the greeting.
static void go_on_greeting(struct worker *w, struct conn *c)
{
	if (c->vserver_gone && conn_tls_is_implicit(c))
		conn_say_close(w, c);
	else if (c->vserver_gone)
		conn_say_end(w, c, SMTP_REPLY_SHUTTING_DOWN);
	else
		begin(w, c, conn_admit_by_name(w, c));
	conn_flow_follow(w, c);
	if (!c->closing && c->smtp.tls)
		resume(w, c); // a ClientHello does not wait for a greeting
}

static void go_on_session(struct worker *w, struct conn *c)
{
	if (c->vserver_gone)
		conn_say_end(w, c, SMTP_REPLY_SHUTTING_DOWN);
	else if (c->smtp.state == SMTP_ST_RCPT_VERDICT)
		(void)conn_verdict_serve(w, c, (struct smtp_step){.need = SMTP_NEED_RCPT});
	conn_flow_follow(w, c);
	if (c->closing || c->name_wait)
		return;
	if (!is_shaking(w, c)) // its time is its own
		arm_deadline(w, c);
	if (c->peer_done && !has_unread(w, c))
		conn_say_close(w, c);
	else if (conn_admit_still(w, c))
		resume(w, c);
}

void conn_named(struct worker *w, uint32_t index, uint32_t generation)
{
	struct tcp_conn *tcp = tcp_conn_find(w->tcp, index, generation);
	struct conn *c = tcp != NULL ? tcp_conn_app(tcp) : NULL;

	if (c == NULL || c->closing || !c->name_wait)
		return;
	c->name_wait = false;
	(void)conn_admit_follow(w, c);
	if (is_greeted(c) || c->smtp.tls)
		go_on_session(w, c);
	else
		go_on_greeting(w, c);
}

void conn_retry_stalled(struct worker *w)
{
	struct mail *last = w->stalled.last;
	bool more = w->stalled.first != NULL;

	// Each once, in order of arrival; who stalls again goes behind the others.
	while (more && w->free_bufs != NULL) {
		struct conn *c = w->stalled.first->conn;

		more = mail_of(c) != last;
		mail_unstall(w, c);
		arm_deadline(w, c); // it was us
		(void)conn_admit_follow(w, c);
		if (c->smtp.state == SMTP_ST_COMMIT)
			conn_verdict_commit(w, c);
		else
			resume(w, c);
	}
}

// ---- Death

static void conn_closed(
	void *user, struct tcp_conn *tcp, enum tcp_close_reason why, uint64_t now_us)
{
	struct worker *w = user;
	struct conn *c = tcp_conn_app(tcp);

	(void)why;
	(void)now_us;
	c->closing = true;
	if (!c->began)
		return;
	(void)conn_admit_follow(w, c);
	conn_name_forget(w, c);
	mail_abort(w, c);
	conn_admit_uncount(w, c);
	conn_log_session(w, c, LOG_DISCONNECT, SMTP_REPLY_NONE);
	if (c->smtp.tls)
		conn_tls_closed(w, c);
	smtp_session_free(&c->smtp, tcp_stack_blocks(w->tcp));
}

const struct tcp_app conn_tcp_app = {
	.accept = admit_cookie,
	.opened = conn_opened,
	.data = conn_data,
	.acked = conn_acked,
	.peer_closed = conn_peer_closed,
	.deadline = conn_deadline,
	.closed = conn_closed,
};
