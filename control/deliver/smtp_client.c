#include "deliver/smtp_client.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef unsigned action_fn(struct smtp_client *c);

struct step {
	action_fn *action; // NULL: our own bug
	enum smtp_client_state next;
};

static unsigned step(struct smtp_client *c, enum smtp_client_event ev);

__attribute__((format(printf, 2, 3))) static void command(
	struct smtp_client *c, const char *format, ...)
{
	size_t room = sizeof(c->out) - c->out_octets;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf((char *)c->out + c->out_octets, room, format, args);
	va_end(args);
	// SMTP_CLIENT_OUT_MAX is made so that this holds: addresses are checked, a server cannot make us say more.
	assert(n > 0 && (size_t)n < room);
	c->out_octets += (uint32_t)n;
	c->newly_owed++;
}

static bool is_pipelining(const struct smtp_client *c)
{
	return (c->offers & SMTP_CLIENT_OFFERS_PIPELINING) != 0;
}

// Results

static void settle(struct smtp_client_rcpt *rcpt, enum smtp_client_result result, const char *text)
{
	rcpt->result = result;
	snprintf(rcpt->text, sizeof(rcpt->text), "%s", text);
}

// Everybody whose result hangs on what was just learnt. A recipient that was refused by itself stays so.
static void settle_rest(struct smtp_client *c, enum smtp_client_result result, const char *text)
{
	struct smtp_client_mail *mail = c->tx.mail;

	for (uint32_t i = 0; mail != NULL && i < mail->rcpt_count; i++) {
		enum smtp_client_result now = mail->rcpts[i].result;

		if (now == SMTP_CLIENT_OPEN || now == SMTP_CLIENT_TAKEN)
			settle(&mail->rcpts[i], result, text);
	}
}

static unsigned mail_done(struct smtp_client *c)
{
	unsigned effect = c->tx.mail != NULL ? SMTP_CLIENT_DONE : 0;

	c->tx = (struct smtp_client_transaction){0};
	return effect;
}

static unsigned close_in_trouble(struct smtp_client *c)
{
	settle_rest(c, SMTP_CLIENT_DEFERRED, c->trouble);
	return mail_done(c) | SMTP_CLIENT_CLOSE;
}

static unsigned close_with(struct smtp_client *c, const char *why)
{
	snprintf(c->trouble, sizeof(c->trouble), "%s", why);
	return close_in_trouble(c);
}

// Actions; the state is already the next one.

static unsigned say_ehlo(struct smtp_client *c)
{
	command(c, "EHLO %s\r\n", c->helo);
	return 0;
}

static unsigned say_helo(struct smtp_client *c)
{
	c->offers = 0;
	command(c, "HELO %s\r\n", c->helo);
	return 0;
}

static unsigned say_quit(struct smtp_client *c)
{
	command(c, "QUIT\r\n");
	return 0;
}

static unsigned say_rset(struct smtp_client *c)
{
	unsigned effect = mail_done(c);

	command(c, "RSET\r\n");
	return effect;
}

static unsigned be_ready(struct smtp_client *c)
{
	return mail_done(c) | SMTP_CLIENT_READY;
}

static unsigned end(struct smtp_client *c)
{
	return mail_done(c) | SMTP_CLIENT_CLOSE;
}

// The server may have ended a kept connection in the moment we used it again: no fault of the mail, and worth another try at once.
static void note_untouched(struct smtp_client *c, uint32_t answers)
{
	if (c->tx.mail != NULL && c->mails > 1 && c->tx.answers == answers)
		c->tx.mail->is_untouched = true;
}

// A 4xx or 5xx where the server speaks of itself, and any 421: try elsewhere, or later.
static unsigned server_unwilling(struct smtp_client *c)
{
	note_untouched(c, 1);
	return close_with(c, c->reply.text);
}

static void say_rcpt(struct smtp_client *c, uint32_t i)
{
	assert(smtp_client_is_sendable(c->tx.mail->rcpts[i].address));
	command(c, "RCPT TO:<%s>\r\n", c->tx.mail->rcpts[i].address);
}

static unsigned say_data(struct smtp_client *c)
{
	if (!is_pipelining(c))
		command(c, "DATA\r\n");
	return 0;
}

static unsigned say_mail(struct smtp_client *c)
{
	const struct smtp_client_mail *mail = c->tx.mail;
	char size[32] = "";

	if ((c->offers & SMTP_CLIENT_OFFERS_SIZE) != 0)
		snprintf(size, sizeof(size), " SIZE=%" PRIu64, mail->octets);
	assert(smtp_client_is_sendable(mail->sender));
	command(c, "MAIL FROM:<%s>%s%s\r\n", mail->sender, size,
		mail->is_8bit && (c->offers & SMTP_CLIENT_OFFERS_8BITMIME) != 0 ? " BODY=8BITMIME"
										: "");
	if (!is_pipelining(c))
		return 0;
	for (uint32_t i = 0; i < mail->rcpt_count; i++)
		say_rcpt(c, i);
	command(c, "DATA\r\n");
	return 0;
}

static unsigned mail_taken(struct smtp_client *c)
{
	if (!is_pipelining(c))
		say_rcpt(c, 0);
	return 0;
}

static unsigned mail_not_taken(struct smtp_client *c, enum smtp_client_result result)
{
	settle_rest(c, result, c->reply.text);
	// Pipelined RCPTs and DATA are on their way; their answers have to be read, whatever they say.
	return is_pipelining(c) ? 0 : step(c, SMTP_CLIENT_EV_NONE_TAKEN);
}

static unsigned mail_deferred(struct smtp_client *c)
{
	return mail_not_taken(c, SMTP_CLIENT_DEFERRED);
}

static unsigned mail_refused(struct smtp_client *c)
{
	return mail_not_taken(c, SMTP_CLIENT_REFUSED);
}

static unsigned rcpt_answered(struct smtp_client *c, enum smtp_client_result result)
{
	struct smtp_client_transaction *tx = &c->tx;
	struct smtp_client_rcpt *rcpt = &tx->mail->rcpts[tx->answered++];

	// Settled already when MAIL was not taken.
	if (rcpt->result == SMTP_CLIENT_OPEN) {
		settle(rcpt, result, c->reply.text);
		tx->taken += result == SMTP_CLIENT_TAKEN;
	}
	if (tx->answered < tx->mail->rcpt_count) {
		if (!is_pipelining(c))
			say_rcpt(c, tx->answered);
		return 0;
	}
	if (tx->taken == 0 && !is_pipelining(c))
		return step(c, SMTP_CLIENT_EV_NONE_TAKEN);
	return step(c, SMTP_CLIENT_EV_ALL_ANSWERED);
}

static unsigned rcpt_taken(struct smtp_client *c)
{
	return rcpt_answered(c, SMTP_CLIENT_TAKEN);
}

static unsigned rcpt_deferred(struct smtp_client *c)
{
	return rcpt_answered(c, SMTP_CLIENT_DEFERRED);
}

// RFC 5321 4.5.3.1.10: 552 to RCPT is an old way to say 452, too many recipients.
static unsigned rcpt_refused(struct smtp_client *c)
{
	return rcpt_answered(c, c->reply.code == 552 ? SMTP_CLIENT_DEFERRED : SMTP_CLIENT_REFUSED);
}

static unsigned send_body(struct smtp_client *c)
{
	if (c->tx.taken > 0)
		return SMTP_CLIENT_BODY;
	// RFC 2920 3.1: DATA went ahead of the refusals and was taken; an empty message ends it for nobody.
	command(c, ".\r\n");
	return step(c, SMTP_CLIENT_EV_SENT);
}

static unsigned body_sent(struct smtp_client *c)
{
	if (c->tx.taken > 0)
		c->newly_owed++;
	return 0;
}

static unsigned data_deferred(struct smtp_client *c)
{
	settle_rest(c, SMTP_CLIENT_DEFERRED, c->reply.text);
	return say_rset(c);
}

static unsigned data_refused(struct smtp_client *c)
{
	settle_rest(c, SMTP_CLIENT_REFUSED, c->reply.text);
	return say_rset(c);
}

// An answer in the middle of the body: the server's mind is made up. Closing is the only way to take the rest back.
static unsigned body_deferred(struct smtp_client *c)
{
	settle_rest(c, SMTP_CLIENT_DEFERRED, c->reply.text);
	return close_with(c, c->reply.text);
}

static unsigned body_refused(struct smtp_client *c)
{
	settle_rest(c, SMTP_CLIENT_REFUSED, c->reply.text);
	return close_with(c, c->reply.text);
}

static unsigned delivered(struct smtp_client *c)
{
	settle_rest(c, SMTP_CLIENT_DELIVERED, c->reply.text);
	return be_ready(c);
}

static unsigned final_deferred(struct smtp_client *c)
{
	settle_rest(c, SMTP_CLIENT_DEFERRED, c->reply.text);
	return be_ready(c);
}

static unsigned final_refused(struct smtp_client *c)
{
	settle_rest(c, SMTP_CLIENT_REFUSED, c->reply.text);
	return be_ready(c);
}

static unsigned not_smtp(struct smtp_client *c)
{
	return close_with(c, "the server does not speak SMTP, or out of turn");
}

static const char *const state_texts[] = {
#define STATE(name, text, seconds) text,
	SMTP_CLIENT_STATES(STATE)
#undef STATE
};

static unsigned gone(struct smtp_client *c)
{
	note_untouched(c, 0);
	return close_in_trouble(c);
}

// clang-format off
#define IN(st)      [SMTP_CLIENT_ST_##st]
#define ON(ev)      [SMTP_CLIENT_EV_##ev]
#define GO(act, st) { act, SMTP_CLIENT_ST_##st }
// In every state: who says what is not SMTP, ends or sleeps is left.
#define ALWAYS      ON(SHUT)    = GO(server_unwilling, CLOSED), \
                    ON(GARBAGE) = GO(not_smtp, CLOSED), \
                    ON(GONE)    = GO(gone, CLOSED), \
                    ON(LATE)    = GO(close_in_trouble, CLOSED)

static const struct step table[SMTP_CLIENT_ST_COUNT][SMTP_CLIENT_EV_COUNT] = {
	IN(GREETING) = { ON(OK)     = GO(say_ehlo, EHLO),
	                 ON(GO_ON)  = GO(not_smtp, CLOSED),
	                 ON(DEFER)  = GO(server_unwilling, CLOSED),
	                 ON(REFUSE) = GO(server_unwilling, CLOSED), ALWAYS },
	IN(EHLO)     = { ON(OK)     = GO(be_ready, IDLE),
	                 ON(GO_ON)  = GO(not_smtp, CLOSED),
	                 ON(DEFER)  = GO(server_unwilling, CLOSED),
	                 ON(REFUSE) = GO(say_helo, HELO), ALWAYS },
	IN(HELO)     = { ON(OK)     = GO(be_ready, IDLE),
	                 ON(GO_ON)  = GO(not_smtp, CLOSED),
	                 ON(DEFER)  = GO(server_unwilling, CLOSED),
	                 ON(REFUSE) = GO(server_unwilling, CLOSED), ALWAYS },
	IN(IDLE)     = { ON(START)  = GO(say_mail, MAIL),
	                 ON(LEAVE)  = GO(say_quit, QUIT), ALWAYS },
	IN(MAIL)     = { ON(OK)     = GO(mail_taken, RCPT),
	                 ON(GO_ON)  = GO(not_smtp, CLOSED),
	                 ON(DEFER)  = GO(mail_deferred, RCPT),
	                 ON(REFUSE) = GO(mail_refused, RCPT), ALWAYS },
	IN(RCPT)     = { ON(OK)     = GO(rcpt_taken, RCPT),
	                 ON(GO_ON)  = GO(not_smtp, CLOSED),
	                 ON(DEFER)  = GO(rcpt_deferred, RCPT),
	                 ON(REFUSE) = GO(rcpt_refused, RCPT),
	                 ON(ALL_ANSWERED) = GO(say_data, DATA),
	                 ON(NONE_TAKEN)   = GO(say_rset, RSET), ALWAYS },
	IN(DATA)     = { ON(OK)     = GO(not_smtp, CLOSED),
	                 ON(GO_ON)  = GO(send_body, BODY),
	                 ON(DEFER)  = GO(data_deferred, RSET),
	                 ON(REFUSE) = GO(data_refused, RSET), ALWAYS },
	IN(BODY)     = { ON(OK)     = GO(not_smtp, CLOSED),
	                 ON(GO_ON)  = GO(not_smtp, CLOSED),
	                 ON(DEFER)  = GO(body_deferred, CLOSED),
	                 ON(REFUSE) = GO(body_refused, CLOSED),
	                 ON(SENT)   = GO(body_sent, FINAL), ALWAYS },
	IN(FINAL)    = { ON(OK)     = GO(delivered, IDLE),
	                 ON(GO_ON)  = GO(not_smtp, CLOSED),
	                 ON(DEFER)  = GO(final_deferred, IDLE),
	                 ON(REFUSE) = GO(final_refused, IDLE), ALWAYS },
	IN(RSET)     = { ON(OK)     = GO(be_ready, IDLE),
	                 ON(GO_ON)  = GO(not_smtp, CLOSED),
	                 ON(DEFER)  = GO(server_unwilling, CLOSED),
	                 ON(REFUSE) = GO(server_unwilling, CLOSED), ALWAYS },
	IN(QUIT)     = { ON(OK)     = GO(end, CLOSED),
	                 ON(GO_ON)  = GO(end, CLOSED),
	                 ON(DEFER)  = GO(end, CLOSED),
	                 ON(REFUSE) = GO(end, CLOSED), ALWAYS },
	IN(CLOSED)   = { ON(LEAVE)  = GO(end, CLOSED), ALWAYS },
};
// clang-format on

static unsigned step(struct smtp_client *c, enum smtp_client_event ev)
{
	const struct step *s = &table[c->state][ev];

	assert(s->action != NULL);
	c->state = s->next;
	return s->action(c);
}

// What EHLO offers (RFC 5321 4.1.1.1)

static bool keyword_is(struct slice text, const char *keyword)
{
	size_t n = strlen(keyword);

	return text.len >= n && strncasecmp((const char *)text.at, keyword, n) == 0 &&
	       (text.len == n || text.at[n] == ' ');
}

static uint64_t size_parse(struct slice text)
{
	uint64_t n = 0;

	for (size_t i = strlen("SIZE "); i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9' || n > UINT64_MAX / 10 - 1)
			return 0;
		n = n * 10 + (uint64_t)(text.at[i] - '0');
	}
	return n;
}

static void offer_read(struct smtp_client *c)
{
	struct slice text = reply_line_text(&c->reply);

	if (c->state != SMTP_CLIENT_ST_EHLO || c->reply.lines < 2)
		return;
	if (keyword_is(text, "PIPELINING"))
		c->offers |= SMTP_CLIENT_OFFERS_PIPELINING;
	if (keyword_is(text, "8BITMIME"))
		c->offers |= SMTP_CLIENT_OFFERS_8BITMIME;
	if (!keyword_is(text, "SIZE"))
		return;
	c->offers |= SMTP_CLIENT_OFFERS_SIZE;
	c->size_max = size_parse(text);
}

// Events from outside

static enum smtp_client_event reply_event(const struct reply *r)
{
	static const enum smtp_client_event classes[] = {SMTP_CLIENT_EV_OK, SMTP_CLIENT_EV_GO_ON,
		SMTP_CLIENT_EV_DEFER, SMTP_CLIENT_EV_REFUSE};

	if (r->code == 421)
		return SMTP_CLIENT_EV_SHUT;
	return classes[r->code / 100 - 2];
}

// RFC 5321 3.8: a server may say 421 unasked, and an answer may cut a body short. Anything else that was not asked for means that server
// and client no longer speak of the same command: its 250 must not be taken for an answer to the next.
static bool is_in_turn(const struct smtp_client *c, enum smtp_client_event ev)
{
	if (ev == SMTP_CLIENT_EV_SHUT || c->state == SMTP_CLIENT_ST_BODY)
		return true;
	return c->owed > 0;
}

static unsigned reply_step(struct smtp_client *c)
{
	enum smtp_client_event ev = reply_event(&c->reply);

	if (!is_in_turn(c, ev))
		return step(c, SMTP_CLIENT_EV_GARBAGE);
	if (c->owed > 0)
		c->owed--;
	c->tx.answers++;
	return step(c, ev);
}

static void commands_sent(struct smtp_client *c)
{
	c->owed += c->newly_owed;
	c->newly_owed = 0;
}

void smtp_client_init(struct smtp_client *c, const char *helo)
{
	memset(c, 0, offsetof(struct smtp_client, out));
	c->state = SMTP_CLIENT_ST_GREETING;
	c->helo = helo;
	c->owed = 1;
	reply_init(&c->reply);
}

unsigned smtp_client_input(struct smtp_client *c, struct slice in)
{
	unsigned effects = 0;

	while (in.len > 0 && (effects & SMTP_CLIENT_CLOSE) == 0) {
		switch (reply_take(&c->reply, &in)) {
		case REPLY_MORE:
			break;
		case REPLY_LINE:
			offer_read(c);
			break;
		case REPLY_END:
			offer_read(c);
			effects |= reply_step(c);
			break;
		case REPLY_GARBAGE:
			effects |= step(c, SMTP_CLIENT_EV_GARBAGE);
			break;
		}
	}
	commands_sent(c);
	return effects;
}

// What this server would refuse anyway is not sent (RFC 1870 6.1).
static bool is_too_large(const struct smtp_client *c, const struct smtp_client_mail *mail)
{
	return c->size_max != 0 && mail->octets > c->size_max;
}

unsigned smtp_client_start(struct smtp_client *c, struct smtp_client_mail *mail)
{
	unsigned effects;

	assert(c->state == SMTP_CLIENT_ST_IDLE);
	assert(mail->rcpt_count > 0 && mail->rcpt_count <= SMTP_CLIENT_RCPTS_MAX);
	mail->is_untouched = false;
	for (uint32_t i = 0; i < mail->rcpt_count; i++)
		settle(&mail->rcpts[i], SMTP_CLIENT_OPEN, "");
	c->tx = (struct smtp_client_transaction){.mail = mail};
	if (is_too_large(c, mail)) {
		settle_rest(c, SMTP_CLIENT_REFUSED,
			"552 5.3.4 larger than the server's SIZE (not sent)");
		return be_ready(c);
	}
	c->mails++;
	effects = step(c, SMTP_CLIENT_EV_START);
	commands_sent(c);
	return effects;
}

unsigned smtp_client_event(struct smtp_client *c, enum smtp_client_event ev)
{
	unsigned effects;

	if (ev == SMTP_CLIENT_EV_LATE)
		snprintf(c->trouble, sizeof(c->trouble), "timed out waiting for %s",
			state_texts[c->state]);
	if (ev == SMTP_CLIENT_EV_GONE)
		snprintf(c->trouble, sizeof(c->trouble), "connection lost waiting for %s",
			state_texts[c->state]);
	effects = step(c, ev);
	commands_sent(c);
	return effects;
}

unsigned smtp_client_give_up(struct smtp_client *c, const char *why)
{
	snprintf(c->trouble, sizeof(c->trouble), "%s", why);
	return step(c, SMTP_CLIENT_EV_GONE);
}

// RFC 5321 4.1.2: a space or a bracket may stand in a quoted string only, a control character nowhere.
bool smtp_client_is_sendable(const char *address)
{
	bool is_quoted = false;
	size_t i;

	for (i = 0; address[i] != '\0'; i++) {
		unsigned char a = (unsigned char)address[i];

		if (a < ' ' || a == 0x7f)
			return false;
		if (!is_quoted && (a == ' ' || a == '<' || a == '>'))
			return false;
		if (a == '"')
			is_quoted = !is_quoted;
		else if (a == '\\' && is_quoted && address[i + 1] >= ' ')
			i++;
	}
	return !is_quoted && i <= LIMIT_PATH_OCTETS;
}

const char *smtp_client_state_name(enum smtp_client_state state)
{
	static const char *const names[] = {
#define STATE(name, text, seconds) #name,
		SMTP_CLIENT_STATES(STATE)
#undef STATE
	};

	return names[state];
}

const char *smtp_client_event_name(enum smtp_client_event ev)
{
	static const char *const names[] = {
#define EVENT(name) #name,
		SMTP_CLIENT_EVENTS(EVENT)
#undef EVENT
	};

	return names[ev];
}

unsigned smtp_client_state_seconds(enum smtp_client_state state)
{
	static const unsigned seconds[] = {
#define STATE(name, text, secs) secs,
		SMTP_CLIENT_STATES(STATE)
#undef STATE
	};

	return seconds[state];
}
