// The session over a recorded client: commands of a mail, and the octets of a body.

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "micro_tables.h"
#include "smtp/smtp_body.h"
#include "smtp/smtp_session.h"

enum {
	BODY_OCTETS = 65536,
	BLOCKS = 64,
};

struct session_world {
	struct smtp_service service;
	struct smtp_session session;
	struct block_pool pool;
	void *memory;
	uint8_t reply[SMTP_REPLY_MAX_OCTETS];
};

static struct smtp_io io_of(struct session_world *w)
{
	return (struct smtp_io){.service = &w->service,
		.blocks = &w->pool,
		.reply = {w->reply, 0, sizeof(w->reply)}};
}

static void give_verdict(struct session_world *w, struct smtp_step step)
{
	struct smtp_io io = io_of(w);

	if (step.need == SMTP_NEED_MAIL)
		(void)smtp_session_verdict(&w->session, SMTP_REPLY_MAIL_OK, (struct slice){0}, &io);
	if (step.need == SMTP_NEED_RCPT)
		(void)smtp_session_verdict(&w->session, SMTP_REPLY_RCPT_OK, (struct slice){0}, &io);
}

static void say(struct session_world *w, const char *text)
{
	struct slice in = {(const uint8_t *)text, strlen(text)};

	while (in.len > 0) {
		struct smtp_io io = io_of(w);
		const struct smtp_step step = smtp_session_step(&w->session, in, &io);

		give_verdict(w, step);
		in.at += step.consumed;
		in.len -= step.consumed;
		if (step.need == SMTP_NEED_INPUT && step.consumed == 0)
			return;
	}
}

static void *session_start(void)
{
	struct session_world *w = calloc(1, sizeof(*w));
	struct smtp_io io;

	w->service = (struct smtp_service){"mx.neulan.net", {1 << 20, 1000, 20, 30}};
	w->memory = aligned_alloc(64, (size_t)BLOCKS * LIMIT_BLOCK_OCTETS);
	block_pool_init(&w->pool, w->memory, BLOCKS);
	smtp_session_init(&w->session);
	io = io_of(w);
	smtp_session_greet(&w->session, SMTP_REPLY_GREETING, &io);
	say(w, "EHLO client.example.net\r\n");
	return w;
}

static void session_end(void *world)
{
	struct session_world *w = world;

	smtp_session_free(&w->session, &w->pool);
	free(w->memory);
	free(w);
}

// MAIL, RCPT and RSET, in one flight.
static void commands(void *world, uint64_t turns)
{
	while (turns-- > 0)
		say(world, "MAIL FROM:<form@neulan.net> SIZE=4096\r\nRCPT "
			   "TO:<user@example.com>\r\nRSET\r\n");
}

struct body_world {
	uint8_t in[BODY_OCTETS], out[BODY_OCTETS];
};

static void *body_start(void)
{
	static const char line[] = "The quick brown fox jumps over the lazy dog, and does so until "
				   "the line is 76 long.\r\n";
	struct body_world *w = calloc(1, sizeof(*w));

	for (size_t i = 0; i < BODY_OCTETS; i++)
		w->in[i] = (uint8_t)line[i % (sizeof(line) - 1)];
	return w;
}

// A turn: 64 KiB.
static void body(void *world, uint64_t turns)
{
	struct body_world *w = world;

	while (turns-- > 0) {
		uint8_t state = SMTP_BODY_LINE_START;
		struct slice in = {w->in, BODY_OCTETS};
		struct smtp_out out = {w->out, 0, BODY_OCTETS};

		micro_keep(smtp_body_take(&state, &in, &out));
	}
}

const struct micro micro_smtp[] = {
	{"smtp_command", "command", 3, session_start, commands, session_end},
	{"smtp_body", "octet", BODY_OCTETS, body_start, body, free},
	{.name = NULL},
};
