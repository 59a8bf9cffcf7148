#include "dataplane/conn_verdict.h"

#include <string.h>

#include "dataplane/conn_admit.h"
#include "dataplane/conn_log.h"
#include "dataplane/conn_name.h"
#include "dataplane/conn_say.h"
#include "dataplane/conn_tls.h"
#include "dataplane/mail.h"
#include "policy/policy.h"
#include "spool/message_id.h"

static const struct slice no_arg;

static struct smtp_step give(
	struct worker *w, struct conn *c, enum smtp_reply reply, struct slice arg)
{
	struct smtp_io io = conn_say_io(w, c);
	struct smtp_step step = smtp_session_verdict(&c->smtp, reply, arg, &io);

	(void)conn_say(w, c, &io); // when that fails conn_verdict_serve() sees that it is over
	return step;
}

static struct smtp_step judge_tls(struct worker *w, struct conn *c)
{
	struct smtp_io io;
	struct smtp_step step;

	if (!conn_tls_begin(w, c, false))
		return give(w, c, SMTP_REPLY_DEFER_TLS, no_arg);
	io = conn_say_io(w, c);
	step = smtp_session_verdict(&c->smtp, SMTP_REPLY_TLS_READY, no_arg, &io);
	(void)conn_say_plain(w, c, &io);
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
	struct edge_vserver_counters *n = conn_admit_counters(w, c);

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
	const struct smtp_path *p = &c->smtp.txn->candidate;
	struct slice domain = {p->text + p->domain_at, p->domain_len};
	struct policy_client client = {.vserver = c->vserver, .class = c->class};
	struct policy_verdict verdict = policy_rcpt(w->policy->snapshot, client, domain);

	if (verdict.kind == POLICY_DEFER) {
		if (!conn_name_resolve(w, c, &client.names))
			return (struct smtp_step){.need = SMTP_NEED_INPUT}; // in RCPT_VERDICT
		verdict = policy_rcpt(w->policy->snapshot, client, domain);
	}
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
	edge_count(&conn_admit_counters(w, c)->messages_refused, 1);
	conn_log_message_refused(w, c, reply);
	mail_abort(w, c);
}

void conn_verdict_commit(struct worker *w, struct conn *c)
{
	if (!mail_commit(w, c))
		mail_stall(w, c);
}

enum smtp_need conn_verdict_serve(struct worker *w, struct conn *c, struct smtp_step step)
{
	while (!c->closing) {
		switch (step.need) {
		case SMTP_NEED_TLS:
			step = judge_tls(w, c);
			break;
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
			forget_message(w, c, (enum smtp_reply)c->smtp.txn->body_verdict);
			return SMTP_NEED_AGAIN;
		case SMTP_NEED_COMMIT:
			conn_verdict_commit(w, c);
			return SMTP_NEED_COMMIT;
		case SMTP_NEED_CLOSE:
			conn_say_close(w, c);
			return SMTP_NEED_CLOSE;
		case SMTP_NEED_INPUT:
		case SMTP_NEED_AGAIN:
		case SMTP_NEED_BODY:
			return step.need;
		}
	}
	return SMTP_NEED_CLOSE;
}

void conn_verdict_committed(struct worker *w, struct conn *c, enum err status)
{
	char id[MESSAGE_ID_TEXT_MAX];

	if (status == ERR_OK) {
		edge_count(&conn_admit_counters(w, c)->messages, 1);
		edge_count(&conn_admit_counters(w, c)->octets, c->smtp.txn->body_octets);
		conn_log_queued(w, c);
		message_id_print(mail_of(c)->id, id);
		mail_end(w, c);
		(void)conn_verdict_serve(w, c,
			give(w, c, SMTP_REPLY_QUEUED,
				(struct slice){(const uint8_t *)id, strlen(id)}));
		return;
	}
	edge_count(&conn_admit_counters(w, c)->messages_refused, 1);
	conn_log_message_refused(w, c, SMTP_REPLY_DEFER_STORE);
	mail_end(w, c); // the spooler has forgotten it
	(void)conn_verdict_serve(w, c, give(w, c, SMTP_REPLY_DEFER_STORE, no_arg));
}
