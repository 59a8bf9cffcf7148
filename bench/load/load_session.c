#include "load_session.h"

#include <stdio.h>
#include <string.h>

#include "load_histogram.h"

enum {
	COMMAND_OCTETS = 1200, // sender, recipient and DATA in one flight
};

static void enter(struct load_session *s, enum load_state state, uint64_t now_ns)
{
	s->state = (uint8_t)state;
	s->since_ns = now_ns;
}

static void note(struct load_session *s, enum load_phase phase, uint64_t from_ns, uint64_t now_ns)
{
	load_histogram_add(&s->phases[phase], now_ns - from_ns);
}

void load_session_start(struct load_session *s, uint64_t now_ns)
{
	s->mails = 0;
	s->line_len = 0;
	s->more = false;
	s->code = 0;
	s->rest = (struct slice){0};
	enter(s, LOAD_ST_CONNECT, now_ns);
}

void load_session_connected(struct load_session *s, uint64_t now_ns)
{
	note(s, LOAD_PHASE_CONNECT, s->since_ns, now_ns);
	enter(s, LOAD_ST_GREETING, now_ns);
}

// Commands are short and the wire was idle, so they are taken whole or the session fails at its time-out.
static void say(struct load_session *s, const char *text, int len)
{
	(void)s->write(s->wire, (struct slice){(const uint8_t *)text, (size_t)len});
}

void load_session_pump(struct load_session *s, uint64_t now_ns)
{
	if (s->state != LOAD_ST_FINAL || s->rest.len == 0)
		return;
	const size_t taken = s->write(s->wire, s->rest);

	s->rest.at += taken;
	s->rest.len -= taken;
	if (s->rest.len == 0)
		s->since_ns = now_ns;
}

void load_session_mail(struct load_session *s, uint64_t due_ns, uint64_t now_ns)
{
	char text[COMMAND_OCTETS];
	const struct load_plan *plan = s->plan;
	const int len =
		plan->pipelining
			? snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n",
				  plan->sender, plan->recipient)
			: snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\n", plan->sender);

	s->due_ns = due_ns;
	enter(s, LOAD_ST_MAIL, now_ns);
	say(s, text, len);
}

void load_session_quit(struct load_session *s, uint64_t now_ns)
{
	enter(s, LOAD_ST_QUIT, now_ns);
	say(s, "QUIT\r\n", 6);
}

static enum load_word on_greeting(struct load_session *s, uint64_t now_ns)
{
	char text[COMMAND_OCTETS];

	note(s, LOAD_PHASE_GREETING, s->since_ns, now_ns);
	enter(s, LOAD_ST_HELO, now_ns);
	say(s, text, snprintf(text, sizeof(text), "EHLO %s\r\n", s->plan->helo));
	return LOAD_WORD_NONE;
}

static enum load_word on_mail(struct load_session *s, uint64_t now_ns)
{
	char text[COMMAND_OCTETS];

	enter(s, LOAD_ST_RCPT, now_ns);
	if (!s->plan->pipelining)
		say(s, text, snprintf(text, sizeof(text), "RCPT TO:<%s>\r\n", s->plan->recipient));
	return LOAD_WORD_NONE;
}

static enum load_word on_rcpt(struct load_session *s, uint64_t now_ns)
{
	note(s, LOAD_PHASE_RCPT, s->since_ns, now_ns);
	enter(s, LOAD_ST_DATA, now_ns);
	if (!s->plan->pipelining)
		say(s, "DATA\r\n", 6);
	return LOAD_WORD_NONE;
}

static enum load_word on_data(struct load_session *s, uint64_t now_ns)
{
	s->rest = s->plan->messages[s->message++ % s->plan->message_count];
	enter(s, LOAD_ST_FINAL, now_ns);
	load_session_pump(s, now_ns);
	return LOAD_WORD_NONE;
}

static enum load_word on_final(struct load_session *s, uint64_t now_ns)
{
	note(s, LOAD_PHASE_FINAL, s->since_ns, now_ns);
	note(s, LOAD_PHASE_MAIL, s->due_ns, now_ns);
	s->mails++;
	enter(s, LOAD_ST_IDLE, now_ns);
	return LOAD_WORD_MAILED;
}

static enum load_word fail(struct load_session *s)
{
	s->state = LOAD_ST_OVER;
	return LOAD_WORD_FAILED;
}

static enum load_word on_good_reply(struct load_session *s, uint64_t now_ns)
{
	switch ((enum load_state)s->state) {
	case LOAD_ST_GREETING:
		return on_greeting(s, now_ns);
	case LOAD_ST_HELO:
		enter(s, LOAD_ST_IDLE, now_ns);
		return LOAD_WORD_READY;
	case LOAD_ST_MAIL:
		return on_mail(s, now_ns);
	case LOAD_ST_RCPT:
		return on_rcpt(s, now_ns);
	case LOAD_ST_DATA:
		return on_data(s, now_ns);
	case LOAD_ST_FINAL:
		return s->rest.len > 0 ? fail(s) : on_final(s, now_ns);
	case LOAD_ST_QUIT:
		s->state = LOAD_ST_OVER;
		return LOAD_WORD_OVER;
	case LOAD_ST_CONNECT:
	case LOAD_ST_IDLE: // nobody asked
	case LOAD_ST_OVER:
	case LOAD_ST_COUNT:
		break;
	}
	return fail(s);
}

static const uint16_t good_codes[LOAD_ST_COUNT] = {
	[LOAD_ST_GREETING] = 220,
	[LOAD_ST_HELO] = 250,
	[LOAD_ST_MAIL] = 250,
	[LOAD_ST_RCPT] = 250,
	[LOAD_ST_DATA] = 354,
	[LOAD_ST_FINAL] = 250,
	[LOAD_ST_QUIT] = 221,
};

static enum load_word on_line(struct load_session *s, uint64_t now_ns)
{
	const char *l = s->line;
	const bool digits = s->line_len >= 3 && l[0] >= '2' && l[0] <= '5' && l[1] >= '0' &&
			    l[1] <= '9' && l[2] >= '0' && l[2] <= '9';

	s->code = digits ? (uint16_t)((l[0] - '0') * 100 + (l[1] - '0') * 10 + (l[2] - '0')) : 0;
	s->more = digits && s->line_len > 3 && l[3] == '-';
	s->line_len = 0;
	if (!digits || (s->code != good_codes[s->state] && !s->more))
		return fail(s);
	return s->more ? LOAD_WORD_NONE : on_good_reply(s, now_ns);
}

enum load_word load_session_input(struct load_session *s, struct slice *in, uint64_t now_ns)
{
	enum load_word word = LOAD_WORD_NONE;

	while (in->len > 0 && word == LOAD_WORD_NONE && s->state != LOAD_ST_OVER) {
		const uint8_t *end = memchr(in->at, '\n', in->len);
		const size_t run = end == NULL ? in->len : (size_t)(end - in->at) + 1;

		for (size_t i = 0; i < run && s->line_len < sizeof(s->line); i++)
			s->line[s->line_len++] = (char)in->at[i];
		in->at += run;
		in->len -= run;
		if (end != NULL)
			word = on_line(s, now_ns);
	}
	return word;
}

const char *load_session_phase(enum load_phase phase)
{
	static const char *const texts[] = {
#define PHASE(name, text) text,
		LOAD_PHASES(PHASE)
#undef PHASE
	};
	return texts[phase];
}
