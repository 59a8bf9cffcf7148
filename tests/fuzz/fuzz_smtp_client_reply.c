// Target functions: reply_take, smtp_client_input
//
// The first octet says how many recipients the mail has and where the rest is cut into reads; the rest is what a server says.
//
// Checked here, not only crashes: the same replies come out however the octets are cut; texts are printable and ended; nothing is
// delivered unless the body was asked for and sent before; a finished mail has a result for every recipient; after CLOSE or before READY no mail is
// in the client's hands.

#include <stdlib.h>
#include <string.h>

#include "deliver/smtp_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_text(const char *text, size_t room)
{
	size_t n = strnlen(text, room);

	check(n < room);
	for (size_t i = 0; i < n; i++)
		check(text[i] >= ' ' && text[i] <= '~');
}

// Codes and ends of all replies, cut at step octets, folded into one number.
static uint64_t replies(struct slice in, size_t cut)
{
	static struct reply r;
	uint64_t sum = 1;

	reply_init(&r);
	while (in.len > 0) {
		struct slice part = {in.at, cut < in.len ? cut : in.len};
		enum reply_result result = REPLY_MORE;

		in.at += part.len;
		in.len -= part.len;
		while (part.len > 0 && result != REPLY_GARBAGE) {
			result = reply_take(&r, &part);
			if (result != REPLY_MORE)
				sum = sum * 31 + result * 1000u + r.code;
		}
		if (result == REPLY_GARBAGE)
			return sum;
		check_text(r.text, sizeof(r.text));
	}
	return sum;
}

struct mail {
	struct smtp_client_mail mail;
	struct smtp_client_rcpt rcpts[4];
	bool is_given, is_sent;
};

static void mail_over(struct mail *m)
{
	check(m->is_given);
	for (uint32_t i = 0; i < m->mail.rcpt_count; i++) {
		const struct smtp_client_rcpt *r = &m->rcpts[i];

		check(r->result == SMTP_CLIENT_DELIVERED || r->result == SMTP_CLIENT_DEFERRED ||
			r->result == SMTP_CLIENT_REFUSED);
		check(r->result != SMTP_CLIENT_DELIVERED || m->is_sent);
		check_text(r->text, sizeof(r->text));
	}
	m->is_given = m->is_sent = false;
}

// What an owner does. False: the connection is closed.
static bool obey(struct smtp_client *c, struct mail *m, unsigned effects)
{
	c->out_octets = 0;
	if ((effects & SMTP_CLIENT_DONE) != 0)
		mail_over(m);
	if ((effects & SMTP_CLIENT_CLOSE) != 0) {
		check(!m->is_given && c->state == SMTP_CLIENT_ST_CLOSED);
		return false;
	}
	if ((effects & SMTP_CLIENT_BODY) != 0) {
		m->is_sent = true;
		return obey(c, m, smtp_client_event(c, SMTP_CLIENT_EV_SENT));
	}
	if ((effects & SMTP_CLIENT_READY) == 0)
		return true;
	check(!m->is_given && c->state == SMTP_CLIENT_ST_IDLE);
	m->is_given = true;
	effects = smtp_client_start(c, &m->mail);
	c->out_octets = 0;
	// Larger than SIZE: refused unsent, and the next would be as well.
	if ((effects & SMTP_CLIENT_DONE) != 0) {
		mail_over(m);
		return false;
	}
	return true;
}

static void converse(struct slice in, uint32_t rcpts, size_t cut)
{
	static struct smtp_client c;
	static struct mail m;

	memset(&m, 0, sizeof(m));
	m.mail = (struct smtp_client_mail){
		.sender = "s@example.org", .octets = 1000, .rcpt_count = rcpts, .rcpts = m.rcpts};
	for (uint32_t i = 0; i < rcpts; i++)
		m.rcpts[i].address = "r@example.net";
	smtp_client_init(&c, "us.example.org");
	while (in.len > 0) {
		struct slice part = {in.at, cut < in.len ? cut : in.len};

		in.at += part.len;
		in.len -= part.len;
		if (!obey(&c, &m, smtp_client_input(&c, part)))
			return;
	}
	check(!obey(&c, &m, smtp_client_event(&c, SMTP_CLIENT_EV_GONE)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in;

	if (size < 1)
		return 0;
	in = (struct slice){data + 1, size - 1};
	check(replies(in, 1) == replies(in, size));
	check(replies(in, 3) == replies(in, size));
	converse(in, (data[0] & 3u) + 1, (data[0] >> 2) + 1u);
	return 0;
}
