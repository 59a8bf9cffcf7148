#include "dataplane/conn.h"

#include <string.h>

#include "dataplane/conn_log.h"
#include "dataplane/mail.h"
#include "policy/class_table.h"
#include "policy/policy.h"
#include "spool/message_id.h"

enum { WALK_STEP = 256 };

static const struct slice no_arg;

static struct edge_vserver_counters *counters(const struct worker *w, const struct conn *c)
{
	return &w->shared->vservers[c->slot];
}

// ---- Replies

// Every session writes into the worker's scratch, and what it wrote goes to TCP at once.
static struct smtp_io begin_io(struct worker *w, struct conn *c)
{
	struct smtp_io io = {
		.reply = {w->scratch, 0, SMTP_REPLY_MAX_OCTETS}, .event = SMTP_EV_COUNT};

	c->smtp.service = &w->policy->services[c->vserver];
	if (c->body != NULL)
		io.body = (struct smtp_out){c->body->data, c->body->octets, LIMIT_SPOOL_BUF_OCTETS};
	return io;
}

// False: the connection had to be aborted (no block for a reply: the peer would wait for ever), and c is gone.
static bool send_reply(struct worker *w, struct conn *c, const struct smtp_io *io)
{
	if (io->replied != SMTP_REPLY_NONE)
		c->last_code = smtp_reply_code(io->replied);
	if (io->reply.len == 0 ||
		tcp_send(c->tcp, (struct slice){io->reply.at, io->reply.len}, w->now_us))
		return true;
	tcp_abort(c->tcp, w->now_us);
	return false;
}

// The session counts no longer, though TCP may still have to say goodbye.
static void uncount(struct worker *w, struct conn *c)
{
	uint16_t port;

	if (!c->counted)
		return;
	c->counted = false;
	edge_count(&counters(w, c)->open, UINT64_MAX);
	edge_count(&w->shared->sessions, UINT64_MAX);
	(void)client_count_remove(w->clients, tcp_conn_peer(c->tcp, &port), c->slot);
}

// No more replies: FIN rides behind the last one.
static void begin_close(struct worker *w, struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	mail_abort(w, c);
	uncount(w, c);
	tcp_close(
		c->tcp, w->now_us); // TCP bounds how long the peer may take to read our last reply
}

static void end_session(struct worker *w, struct conn *c, enum smtp_reply reply)
{
	struct smtp_io io = begin_io(w, c);

	if (c->closing)
		return;
	mail_abort(w, c);
	smtp_session_end(&c->smtp, reply, &io);
	if (send_reply(w, c, &io))
		begin_close(w, c);
}

static void arm_deadline(struct worker *w, struct conn *c)
{
	uint64_t s =
		atomic_load_explicit(&w->edge->tunables.command_timeout_s, memory_order_relaxed);

	tcp_set_deadline(c->tcp, w->now_us + s * 1000000);
}

// ---- Waiting for buffers

static void stall(struct worker *w, struct conn *c)
{
	if (c->stalled)
		return;
	c->stalled = true;
	c->stall_prev = w->stalled_last;
	c->stall_next = NULL;
	*(w->stalled_last != NULL ? &w->stalled_last->stall_next : &w->stalled_first) = c;
	w->stalled_last = c;
}

static void unstall(struct worker *w, struct conn *c)
{
	*(c->stall_prev != NULL ? &c->stall_prev->stall_next : &w->stalled_first) = c->stall_next;
	*(c->stall_next != NULL ? &c->stall_next->stall_prev : &w->stalled_last) = c->stall_prev;
	c->stalled = false;
}

// ---- Birth

static void resolve(struct worker *w, struct conn *c)
{
	const struct snapshot *snapshot = w->policy->snapshot;
	uint16_t port;
	const struct ip_addr *local = tcp_conn_local(c->tcp, &port);

	c->epoch = snapshot->epoch;
	c->vserver = snapshot_vserver_at(snapshot, local);
	if (c->vserver == SNAPSHOT_NO_VSERVER ||
		!snapshot_listens(snapshot, c->vserver, local, port)) {
		c->vserver = SNAPSHOT_NO_VSERVER;
		return;
	}
	c->slot = w->policy->slot[c->vserver];
	c->class = class_table_lookup(snapshot->class_table, tcp_conn_peer(c->tcp, &port));
}

// An index of one policy means nothing in the next: whatever happens to a session, and so also when the verdict of
// still_welcome() has to wait for the end of a message, its virtual server is looked up again first. False: it is gone.
static bool follow_policy(struct worker *w, struct conn *c)
{
	uint16_t slot = c->slot;

	if (c->epoch == w->policy->snapshot->epoch)
		return c->vserver_gone == false;
	resolve(w, c);
	c->vserver_gone = c->vserver == SNAPSHOT_NO_VSERVER || c->slot != slot;
	c->slot = slot; // counters stay with the virtual server that counted the session
	if (c->vserver_gone)
		c->vserver = 0; // for the name in its last replies; there is always one
	return !c->vserver_gone;
}

static bool may_connect(const struct worker *w, const struct conn *c)
{
	struct policy_client client = {c->vserver, c->class};

	return c->vserver != SNAPSHOT_NO_VSERVER &&
	       policy_connect(w->policy->snapshot, client).kind == POLICY_ACCEPT;
}

static uint64_t open_sessions(const struct worker *w, uint16_t slot)
{
	uint64_t open = 0;

	for (unsigned i = 0; i < w->edge->worker_count; i++)
		open += atomic_load_explicit(
			&w->edge->workers[i]->vservers[slot].open, memory_order_relaxed);
	return open;
}

static enum smtp_reply admit(struct worker *w, struct conn *c)
{
	const struct config_vserver *limits = w->policy->snapshot->vservers[c->vserver].config;
	uint16_t port;

	c->welcome_epoch = c->epoch;
	if (!may_connect(w, c))
		return SMTP_REPLY_CONNECT_REFUSED;
	c->counted = true;
	edge_count(&counters(w, c)->open, 1);
	edge_count(&w->shared->sessions, 1);
	if (client_count_add(w->clients, tcp_conn_peer(c->tcp, &port), c->slot) >
		limits->max_connections_per_client)
		return SMTP_REPLY_TOO_MANY_CONNECTIONS;
	if (open_sessions(w, c->slot) > limits->max_connections)
		return SMTP_REPLY_TOO_MANY_CONNECTIONS;
	return SMTP_REPLY_GREETING;
}

static void greet(struct worker *w, struct conn *c, enum smtp_reply greeting)
{
	struct smtp_io io = begin_io(w, c);

	smtp_session_greet(&c->smtp, greeting, &io);
	if (!send_reply(w, c, &io))
		return;
	if (greeting == SMTP_REPLY_GREETING) {
		conn_log_session(w, c, LOG_CONNECT, greeting);
		arm_deadline(w, c);
		return;
	}
	edge_count(&counters(w, c)->refused_connect, 1);
	conn_log_session(w, c, LOG_CONNECT_REFUSED, greeting);
	begin_close(w, c);
}

static void conn_opened(void *user, struct tcp_conn *tcp, uint64_t now_us)
{
	struct worker *w = user;
	struct conn *c = tcp_conn_app(tcp);

	(void)now_us;
	*c = (struct conn){.tcp = tcp, .opened_loop = w->loops};
	c->session = (uint64_t)w->index << 48 | ++w->next_session;
	resolve(w, c);
	if (c->vserver == SNAPSHOT_NO_VSERVER) {
		// A reload took the address away between SYN and ACK.
		c->closing = true;
		tcp_abort(tcp, w->now_us);
		return;
	}
	smtp_session_init(&c->smtp, &w->policy->services[c->vserver], tcp_stack_blocks(w->tcp));
	edge_count(&counters(w, c)->connections, 1);
	greet(w, c, admit(w, c));
}

// ---- Verdicts

static struct smtp_step give(
	struct worker *w, struct conn *c, enum smtp_reply reply, struct slice arg)
{
	struct smtp_io io = begin_io(w, c);
	struct smtp_step step = smtp_session_verdict(&c->smtp, reply, arg, &io);

	(void)send_reply(w, c, &io); // when that fails serve() sees that it is over
	return step;
}

static struct smtp_step judge_mail(struct worker *w, struct conn *c)
{
	if (!atomic_load_explicit(&w->edge->spool_accepting, memory_order_relaxed))
		return give(w, c, SMTP_REPLY_DEFER_STORE, no_arg);
	return give(w, c, SMTP_REPLY_MAIL_OK, no_arg);
}

static void count_rcpt(struct worker *w, struct conn *c, struct policy_verdict verdict)
{
	struct edge_vserver_counters *n = counters(w, c);

	switch (verdict.kind) {
	case POLICY_ACCEPT:
		edge_count(&n->rcpt_accepted, 1);
		if (verdict.rule == POLICY_RULE_RELAY_LIST)
			edge_count(&n->rcpt_relayed, 1);
		break;
	case POLICY_REFUSE:
		edge_count(&n->rcpt_refused, 1);
		break;
	case POLICY_DEFER:
		edge_count(&n->rcpt_deferred, 1);
		break;
	}
}

static struct smtp_step judge_rcpt(struct worker *w, struct conn *c)
{
	static const enum smtp_reply replies[] = {
		[POLICY_ACCEPT] = SMTP_REPLY_RCPT_OK,
		[POLICY_REFUSE] = SMTP_REPLY_RELAY_DENIED,
		[POLICY_DEFER] = SMTP_REPLY_DEFER_LOOKUP,
	};
	const struct smtp_path *p = c->smtp.candidate;
	struct slice domain = {p->text + p->domain_at, p->domain_len};
	struct policy_client client = {c->vserver, c->class};
	struct policy_verdict verdict = policy_rcpt(w->policy->snapshot, client, domain);

	count_rcpt(w, c, verdict);
	conn_log_rcpt(w, c, verdict, replies[verdict.kind]);
	return give(w, c, replies[verdict.kind], no_arg);
}

static struct smtp_step judge_data(struct worker *w, struct conn *c)
{
	return give(w, c, mail_begin(w, c) ? SMTP_REPLY_DATA : SMTP_REPLY_DEFER_RESOURCES, no_arg);
}

static void forget_message(struct worker *w, struct conn *c, enum smtp_reply reply)
{
	edge_count(&counters(w, c)->messages_refused, 1);
	conn_log_message_refused(w, c, reply);
	mail_abort(w, c);
}

static struct smtp_step want_commit(struct worker *w, struct conn *c)
{
	c->commit_wanted = !mail_commit(w, c);
	if (c->commit_wanted)
		stall(w, c);
	return (struct smtp_step){.need = SMTP_NEED_COMMIT};
}

// Do what the session asks for, until it asks for octets, waits, or is over.
static enum smtp_need serve(struct worker *w, struct conn *c, struct smtp_step step)
{
	while (!c->closing) {
		switch (step.need) {
		case SMTP_NEED_MAIL:
			step = judge_mail(w, c);
			break;
		case SMTP_NEED_RCPT:
			step = judge_rcpt(w, c);
			break;
		case SMTP_NEED_DATA:
			step = judge_data(w, c);
			break;
		case SMTP_NEED_ABORT:
			forget_message(w, c, (enum smtp_reply)c->smtp.body_verdict);
			return SMTP_NEED_AGAIN;
		case SMTP_NEED_COMMIT:
			return want_commit(w, c).need;
		case SMTP_NEED_CLOSE:
			begin_close(w, c);
			return SMTP_NEED_CLOSE;
		case SMTP_NEED_INPUT:
		case SMTP_NEED_AGAIN:
		case SMTP_NEED_BODY:
			return step.need;
		}
	}
	return SMTP_NEED_CLOSE;
}

// ---- Changes that act at once

// On a newer epoch class and virtual server are resolved again before the next command. False: the session is over.
static bool still_welcome(struct worker *w, struct conn *c)
{
	bool is_ours = follow_policy(w, c);
	uint8_t state;

	if (c->smtp.state == SMTP_ST_BODY || c->smtp.state == SMTP_ST_COMMIT)
		return true; // the message that is on its way was accepted
	if (!is_ours) {
		end_session(w, c, SMTP_REPLY_SHUTTING_DOWN);
		return false;
	}
	if (c->welcome_epoch != c->epoch && !may_connect(w, c)) {
		end_session(w, c, SMTP_REPLY_NO_LONGER_ALLOWED);
		return false;
	}
	c->welcome_epoch = c->epoch;
	state = atomic_load_explicit(&w->edge->vservers[c->slot].state, memory_order_relaxed);
	if (state < EDGE_DRAINING &&
		!atomic_load_explicit(&w->edge->draining, memory_order_relaxed))
		return true;
	end_session(w, c, SMTP_REPLY_SHUTTING_DOWN);
	return false;
}

// A session inside a transaction hears of a drain at its next command, of a stop at once; one inside a message at its end.
static bool hears_now(const struct worker *w, const struct conn *c)
{
	if (c->closing || c->smtp.state == SMTP_ST_BODY || c->smtp.state == SMTP_ST_COMMIT)
		return false;
	return c->smtp.state <= SMTP_ST_READY ||
	       atomic_load_explicit(&w->edge->vservers[c->slot].state, memory_order_relaxed) ==
		       EDGE_STOPPED;
}

bool conn_walk(struct worker *w)
{
	for (int i = 0; i < WALK_STEP; i++) {
		struct tcp_conn *tcp = tcp_conn_next(w->tcp, &w->walk_cursor);

		if (tcp == NULL)
			return false;
		if (hears_now(w, tcp_conn_app(tcp)))
			(void)still_welcome(w, tcp_conn_app(tcp));
	}
	return true;
}

// ---- Octets

static bool ready_for_input(struct worker *w, struct conn *c)
{
	if (c->closing || smtp_session_is_waiting(&c->smtp) || c->stalled)
		return false;
	if (tcp_send_space(c->tcp) < SMTP_REPLY_MAX_OCTETS)
		return false; // the peer does not read its replies: conn_acked() goes on
	if (c->smtp.state == SMTP_ST_BODY && c->message_open && !mail_room(w, c)) {
		stall(w, c);
		return false;
	}
	return true;
}

static size_t feed(struct worker *w, struct conn *c, struct slice in)
{
	size_t done = 0;
	enum smtp_need need = SMTP_NEED_AGAIN;

	while (need != SMTP_NEED_INPUT && ready_for_input(w, c) && still_welcome(w, c)) {
		struct smtp_io io = begin_io(w, c);
		struct smtp_step step = smtp_session_step(
			&c->smtp, (struct slice){in.at + done, in.len - done}, &io);

		if (c->body != NULL) {
			c->body->octets = io.body.len;
			mail_added(w, c);
		}
		if (io.replied == SMTP_REPLY_RCPT_FORM) {
			edge_count(&counters(w, c)->rcpt_refused, 1);
			conn_log_rcpt_form(w, c, (struct slice){in.at + done, step.consumed});
		}
		done += step.consumed;
		if (send_reply(w, c, &io))
			need = serve(w, c, step);
	}
	return c->closing ? in.len : done;
}

// Octets in the very burst that completed the handshake: the peer did not wait for 220.
static bool talked_early(const struct worker *w, const struct conn *c)
{
	return c->opened_loop == w->loops;
}

static size_t conn_data(void *user, struct tcp_conn *tcp, struct slice in, uint64_t now_us)
{
	struct worker *w = user;
	struct conn *c = tcp_conn_app(tcp);

	(void)now_us;
	if (c->closing)
		return in.len;
	if (talked_early(w, c)) {
		end_session(w, c, SMTP_REPLY_EARLY_TALKER);
		return in.len;
	}
	(void)follow_policy(w, c);
	arm_deadline(w, c);
	return feed(w, c, in);
}

static void conn_acked(void *user, struct tcp_conn *tcp, uint64_t now_us)
{
	struct conn *c = tcp_conn_app(tcp);

	(void)user;
	if (!c->closing)
		tcp_resume(tcp, now_us);
}

static void conn_peer_closed(void *user, struct tcp_conn *tcp, uint64_t now_us)
{
	struct worker *w = user;
	struct conn *c = tcp_conn_app(tcp);

	(void)now_us;
	c->peer_done = true;
	if (!smtp_session_is_waiting(&c->smtp))
		begin_close(w, c);
}

static void conn_deadline(void *user, struct tcp_conn *tcp, uint64_t now_us)
{
	struct worker *w = user;
	struct conn *c = tcp_conn_app(tcp);

	(void)now_us;
	if (smtp_session_is_waiting(&c->smtp) || c->stalled) {
		arm_deadline(w, c); // we are the ones who are late
	} else {
		(void)follow_policy(w, c);
		end_session(w, c, SMTP_REPLY_TIMEOUT);
	}
}

// ---- Answers of the spooler

static void finish_message(struct worker *w, struct conn *c, enum err status)
{
	char id[MESSAGE_ID_TEXT_MAX];

	if (status == ERR_OK) {
		edge_count(&counters(w, c)->messages, 1);
		edge_count(&counters(w, c)->octets, c->smtp.txn->body_octets);
		conn_log_queued(w, c);
		message_id_print(c->message_id, id);
		c->message_open = false;
		(void)serve(w, c,
			give(w, c, SMTP_REPLY_QUEUED,
				(struct slice){(const uint8_t *)id, strlen(id)}));
		return;
	}
	c->message_open = false; // the spooler has forgotten it
	forget_message(w, c, SMTP_REPLY_DEFER_STORE);
	(void)serve(w, c, give(w, c, SMTP_REPLY_DEFER_STORE, no_arg));
}

void conn_answer(struct worker *w, const struct spool_answer *answer)
{
	struct tcp_conn *tcp = tcp_conn_find(w->tcp, answer->conn, answer->generation);
	struct conn *c = tcp != NULL ? tcp_conn_app(tcp) : NULL;

	// The peer went away while its mail was written: it is ours all the same, nobody is left to be told.
	if (c == NULL || c->closing || c->message_id != answer->message_id)
		return;
	(void)follow_policy(w, c);
	finish_message(w, c, (enum err)answer->status);
	if (c->closing)
		return;
	arm_deadline(w, c);
	if (c->peer_done)
		begin_close(w, c);
	else if (still_welcome(w, c))
		tcp_resume(tcp, w->now_us);
}

void conn_retry_stalled(struct worker *w)
{
	struct conn *last = w->stalled_last;
	bool more = w->stalled_first != NULL;

	// Each once, in order of arrival; who stalls again goes behind the others.
	while (more && w->free_bufs != NULL) {
		struct conn *c = w->stalled_first;

		more = c != last;
		unstall(w, c);
		(void)follow_policy(w, c);
		if (c->commit_wanted)
			(void)want_commit(w, c);
		else
			tcp_resume(c->tcp, w->now_us);
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
	if (c->smtp.service == NULL)
		return; // it never had a session
	(void)follow_policy(w, c);
	mail_abort(w, c);
	if (c->stalled)
		unstall(w, c);
	uncount(w, c);
	conn_log_session(w, c, LOG_DISCONNECT, SMTP_REPLY_NONE);
	smtp_session_free(&c->smtp);
}

const struct tcp_app conn_tcp_app = {
	.opened = conn_opened,
	.data = conn_data,
	.acked = conn_acked,
	.peer_closed = conn_peer_closed,
	.deadline = conn_deadline,
	.closed = conn_closed,
};
