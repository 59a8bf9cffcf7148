#include "dataplane/conn_say.h"

#include "dataplane/conn_admit.h"
#include "dataplane/conn_name.h"
#include "dataplane/conn_tls.h"
#include "dataplane/mail.h"

struct smtp_io conn_say_io(struct worker *w, struct conn *c)
{
	struct smtp_io io = {.service = &w->policy->services[c->vserver],
		.blocks = tcp_stack_blocks(w->tcp),
		.reply = {w->scratch, 0, SMTP_REPLY_MAX_OCTETS},
		.event = SMTP_EV_COUNT};

	io.body = mail_space(c);
	return io;
}

static bool put(struct worker *w, struct conn *c, struct slice text, bool plain)
{
	if (text.len == 0)
		return true;
	return plain ? tcp_send(conn_tcp(c), text, w->now_us) : conn_tls_say(w, c, text);
}

static bool say(struct worker *w, struct conn *c, const struct smtp_io *io, bool plain)
{
	if (io->replied != SMTP_REPLY_NONE)
		c->last_code = smtp_reply_code(io->replied);
	if (put(w, c, (struct slice){io->reply.at, io->reply.len}, plain))
		return true;
	tcp_abort(conn_tcp(c), w->now_us);
	return false;
}

bool conn_say(struct worker *w, struct conn *c, const struct smtp_io *io)
{
	return say(w, c, io, !c->smtp.tls);
}

bool conn_say_plain(struct worker *w, struct conn *c, const struct smtp_io *io)
{
	return say(w, c, io, true);
}

void conn_say_close(struct worker *w, struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	conn_name_forget(w, c);
	mail_abort(w, c);
	conn_admit_uncount(w, c);
	if (c->smtp.tls)
		conn_tls_finish(w, c);
	tcp_close(conn_tcp(c),
		w->now_us); // TCP bounds how long the peer may take to read our last reply
}

void conn_say_end(struct worker *w, struct conn *c, enum smtp_reply reply)
{
	struct smtp_io io;

	if (c->closing)
		return;
	mail_abort(w, c);
	io = conn_say_io(w, c);
	smtp_session_end(&c->smtp, reply, &io);
	if (conn_say(w, c, &io))
		conn_say_close(w, c);
}
