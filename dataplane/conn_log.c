#include "dataplane/conn_log.h"

#include <string.h>

#include "dataplane/conn_name.h"
#include "dataplane/conn_tls.h"
#include "dataplane/mail.h"

enum {
	LEVEL_DECISIONS = 1,
	LEVEL_SESSIONS = 2,
};

static const struct slice no_text;

static bool wants(const struct worker *w, uint32_t level)
{
	return atomic_load_explicit(&w->edge->tunables.log_level, memory_order_relaxed) >= level;
}

// What every record of a session has.
static struct log_record record_of(const struct worker *w, struct conn *c)
{
	struct log_record r = {.wall_us = w->wall_us,
		.epoch = c->epoch,
		.session = c->session,
		.class = c->class,
		.vserver = c->vserver};
	const struct tcp_conn *tcp = conn_tcp(c);

	const struct tls_facts tls = conn_tls_facts(w, c);

	r.tls_version = tls.version;
	r.tls_cipher = tls.cipher;
	r.client = *tcp_conn_peer(tcp, &r.client_port);
	r.local = *tcp_conn_local(tcp, &r.local_port);
	return r;
}

static uint16_t add_text(struct log_record *r, uint32_t *at, struct slice text)
{
	uint16_t n =
		(uint16_t)(text.len < LOG_TEXT_OCTETS - *at ? text.len : LOG_TEXT_OCTETS - *at);

	if (n == 0)
		return 0; // an absent text has no address either
	memcpy(r->text + *at, text.at, n);
	*at += n;
	return n;
}

// The name that is in the list the decision was about.
static struct slice name_of(struct worker *w, struct conn *c, const struct log_record *r)
{
	const struct snapshot *snapshot = w->policy->snapshot;

	if (!snapshot->names || c->vserver >= snapshot->vserver_count)
		return no_text;
	return conn_name_for_log(w, c,
		r->rule == POLICY_RULE_CONNECT_LIST ? snapshot->vservers[c->vserver].connect_list
						    : snapshot->vservers[c->vserver].relay_list);
}

static void add_texts(
	struct worker *w, struct log_record *r, struct conn *c, struct slice recipient)
{
	const struct smtp_transaction *t = c->smtp.txn;
	struct slice sender = t != NULL ? (struct slice){t->sender.text, t->sender.len} : no_text;
	uint32_t at = 0;

	r->sender_len = add_text(r, &at, sender);
	r->recipient_len = add_text(r, &at, recipient);
	r->helo_len = add_text(r, &at, smtp_session_helo(&c->smtp));
	r->name_len = add_text(r, &at, name_of(w, c, r));
	r->rcpt_count = t != NULL ? t->rcpt_count : 0;
}

static void set_reply(struct log_record *r, enum smtp_reply reply)
{
	r->reply = (uint8_t)reply;
	r->reply_code = reply != SMTP_REPLY_NONE ? smtp_reply_code(reply) : 0;
}

void conn_log_session(struct worker *w, struct conn *c, enum log_event event, enum smtp_reply reply)
{
	struct log_record r;
	bool refused = event == LOG_CONNECT_REFUSED;

	if (!refused && !wants(w, LEVEL_SESSIONS))
		return;
	r = record_of(w, c);
	r.event = (uint8_t)event;
	r.reply = (uint8_t)reply;
	r.reply_code = c->last_code;
	r.verdict = !refused                           ? POLICY_ACCEPT
		    : reply == SMTP_REPLY_NAME_UNKNOWN ? POLICY_DEFER
						       : POLICY_REFUSE;
	r.rule = refused ? POLICY_RULE_CONNECT_LIST : POLICY_RULE_NONE;
	add_texts(w, &r, c, no_text);
	worker_log(w, &r);
}

void conn_log_rcpt(
	struct worker *w, struct conn *c, struct policy_verdict verdict, enum smtp_reply reply)
{
	const struct smtp_path *p = &c->smtp.txn->candidate;
	struct log_record r;

	if (verdict.kind == POLICY_ACCEPT && !wants(w, LEVEL_DECISIONS))
		return;
	r = record_of(w, c);
	r.event = LOG_RCPT;
	r.verdict = (uint8_t)verdict.kind;
	r.rule = (uint8_t)verdict.rule;
	set_reply(&r, reply);
	add_texts(w, &r, c, (struct slice){p->text, p->len});
	worker_log(w, &r);
}

void conn_log_rcpt_form(struct worker *w, struct conn *c, struct slice line)
{
	struct log_record r = record_of(w, c);

	r.event = LOG_RCPT;
	r.verdict = POLICY_REFUSE;
	r.rule = POLICY_RULE_NONE;
	set_reply(&r, SMTP_REPLY_RCPT_FORM);
	add_texts(w, &r, c, (struct slice){line.at, line.len >= 2 ? line.len - 2 : 0});
	worker_log(w, &r);
}

void conn_log_message_refused(struct worker *w, struct conn *c, enum smtp_reply reply)
{
	struct log_record r = record_of(w, c);

	r.event = LOG_MESSAGE_REFUSED;
	r.verdict = POLICY_REFUSE;
	set_reply(&r, reply);
	r.message_id = mail_of(c)->id;
	add_texts(w, &r, c, no_text);
	worker_log(w, &r);
}

void conn_log_queued(struct worker *w, struct conn *c)
{
	struct log_record r;
	struct smtp_rcpt_cursor cursor = {0};
	struct slice first = no_text;

	if (!wants(w, LEVEL_DECISIONS))
		return;
	r = record_of(w, c);
	(void)smtp_session_next_rcpt(c->smtp.txn, &cursor, &first);
	r.event = LOG_QUEUED;
	r.message_id = mail_of(c)->id;
	r.octets = c->smtp.txn->body_octets;
	set_reply(&r, SMTP_REPLY_QUEUED);
	add_texts(w, &r, c, first);
	worker_log(w, &r);
}
