#include "smtp/smtp_session.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "smtp/smtp_command.h"
#include "smtp/smtp_line.h"
#include "smtp/smtp_message.h"

// What an event brings with it, and what its action wants to say.
struct turn {
	struct slice arg;        // command argument, or the owner's argument
	enum smtp_reply verdict; // ALLOW, DENY, END_*: what to say
	struct slice say;        // %s of the reply; points into the session, the line or a constant
	struct smtp_io *io;
};

struct effect {
	enum smtp_reply reply; // NONE: somebody else owes it
	enum smtp_need need;
	bool stay; // the action refused: the state does not change
};

typedef struct effect action_fn(struct smtp_session *s, struct turn *turn);

struct transition {
	action_fn *action; // NULL: the pair is not allowed
	enum smtp_state next;
};

static struct slice slice_of(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

static struct slice path_slice(const struct smtp_path *path)
{
	return path->len > 0 ? (struct slice){path->text, path->len} : slice_of("<>");
}

static struct effect say(enum smtp_reply reply)
{
	return (struct effect){.reply = reply, .need = SMTP_NEED_AGAIN};
}

static struct effect ask(enum smtp_need need)
{
	return (struct effect){.reply = SMTP_REPLY_NONE, .need = need};
}

static struct effect refuse(enum smtp_reply reply)
{
	return (struct effect){.reply = reply, .need = SMTP_NEED_AGAIN, .stay = true};
}

// ---- Actions: commands

static bool helo_is_long(const struct smtp_session *s)
{
	return s->helo_len > sizeof(s->helo);
}

// Keep the client's name; a long one takes a block.
static bool helo_keep(struct smtp_session *s, struct slice name, struct block_pool *blocks)
{
	bool is_long = name.len > sizeof(s->helo);
	void *block = helo_is_long(s) ? s->helo_block : NULL;

	if (is_long && block == NULL)
		block = block_pool_take_spare(blocks, LIMIT_ENVELOPE_RESERVE);
	if (is_long && block == NULL)
		return false;
	if (!is_long && block != NULL)
		block_pool_give(blocks, block);
	memcpy(is_long ? block : s->helo, name.at, name.len);
	if (is_long)
		s->helo_block = block;
	s->helo_len = (uint8_t)name.len;
	return true;
}

static struct effect greet_back(struct smtp_session *s, struct turn *turn, bool esmtp)
{
	if (!smtp_command_has_arg_for(SMTP_EV_EHLO, turn->arg))
		return refuse(SMTP_REPLY_SYNTAX);
	if (!helo_keep(s, turn->arg, turn->io->blocks))
		return refuse(SMTP_REPLY_DEFER_RESOURCES);
	s->esmtp = esmtp;
	turn->say = slice_of(turn->io->service->fqdn);
	return say(SMTP_REPLY_HELO);
}

static struct effect hello_old(struct smtp_session *s, struct turn *turn)
{
	return greet_back(s, turn, false);
}

// RFC 3207 4.2: what the client said in the clear, anybody may have said.
static void forget(struct smtp_session *s, struct block_pool *blocks)
{
	if (helo_is_long(s))
		block_pool_give(blocks, s->helo_block);
	s->helo_len = 0;
	s->esmtp = false;
}

static struct effect ask_tls(struct smtp_session *s, struct turn *turn)
{
	if (!turn->io->service->tls)
		return refuse(SMTP_REPLY_NOT_IMPLEMENTED);
	if (s->tls)
		return refuse(SMTP_REPLY_BAD_SEQUENCE);
	if (!smtp_command_has_arg_for(SMTP_EV_STARTTLS, turn->arg))
		return refuse(SMTP_REPLY_SYNTAX);
	return ask(SMTP_NEED_TLS);
}

// All lines but the last, which is the action's reply.
static void write_extensions(
	const struct smtp_session *s, const struct smtp_service *service, struct smtp_out *out)
{
	static const struct slice none;
	uint8_t digits[10];
	size_t at = sizeof(digits);

	for (uint32_t n = service->limits.message_octets; n > 0; n /= 10)
		digits[--at] = (uint8_t)('0' + n % 10);
	smtp_reply_write_more(out, SMTP_REPLY_HELO, slice_of(service->fqdn));
	smtp_reply_write_more(out, SMTP_REPLY_EHLO_PIPELINING, none);
	smtp_reply_write_more(
		out, SMTP_REPLY_EHLO_SIZE, (struct slice){digits + at, sizeof(digits) - at});
	smtp_reply_write_more(out, SMTP_REPLY_EHLO_8BITMIME, none);
	if (service->tls && !s->tls)
		smtp_reply_write_more(out, SMTP_REPLY_EHLO_STARTTLS, none);
}

static struct effect hello(struct smtp_session *s, struct turn *turn)
{
	struct effect effect = greet_back(s, turn, true);

	if (effect.stay)
		return effect;
	write_extensions(s, turn->io->service, &turn->io->reply);
	return say(SMTP_REPLY_EHLO_ENHANCED);
}

static struct effect ask_mail(struct smtp_session *s, struct turn *turn)
{
	struct smtp_transaction txn = {0};
	enum smtp_reply refusal =
		smtp_command_read_mail(turn->arg, turn->io->service->limits.message_octets, &txn);

	if (refusal != SMTP_REPLY_NONE)
		return refuse(refusal);
	s->txn = smtp_transaction_begin(turn->io->blocks, &txn);
	return s->txn != NULL ? ask(SMTP_NEED_MAIL) : refuse(SMTP_REPLY_DEFER_RESOURCES);
}

static void count_refused_rcpt(struct smtp_transaction *txn)
{
	if (txn->rcpt_refused < UINT16_MAX)
		txn->rcpt_refused++;
}

// Everything a later acceptance needs is taken now, so that an accepted recipient cannot be lost for want of a block.
static struct effect ask_rcpt(struct smtp_session *s, struct turn *turn)
{
	struct smtp_path *rcpt = &s->txn->candidate;
	enum smtp_address_form form;
	enum smtp_reply refusal = smtp_command_read_rcpt(turn->arg, rcpt, &form);

	if (refusal == SMTP_REPLY_NONE &&
		s->txn->rcpt_count >= turn->io->service->limits.recipients)
		refusal = SMTP_REPLY_TOO_MANY_RCPTS;
	if (refusal == SMTP_REPLY_NONE &&
		!smtp_transaction_reserve(s->txn, turn->io->blocks, rcpt->len))
		refusal = SMTP_REPLY_DEFER_RESOURCES;
	if (refusal == SMTP_REPLY_NONE)
		return ask(SMTP_NEED_RCPT);
	count_refused_rcpt(s->txn);
	turn->say = slice_of(smtp_address_form_text(form));
	return refuse(refusal);
}

static struct effect ask_data(struct smtp_session *s, struct turn *turn)
{
	if (!smtp_command_has_arg_for(SMTP_EV_DATA, turn->arg))
		return refuse(SMTP_REPLY_SYNTAX);
	// A client that pipelines does not know yet that all its recipients were refused (RFC 2920 3.1).
	return s->txn->rcpt_count > 0 ? ask(SMTP_NEED_DATA) : refuse(SMTP_REPLY_NO_VALID_RCPTS);
}

static struct effect reset(struct smtp_session *s, struct turn *turn)
{
	(void)s;
	if (!smtp_command_has_arg_for(SMTP_EV_RSET, turn->arg))
		return refuse(SMTP_REPLY_SYNTAX);
	return say(SMTP_REPLY_OK);
}

static struct effect say_ok(struct smtp_session *s, struct turn *turn)
{
	(void)s;
	(void)turn;
	return say(SMTP_REPLY_OK);
}

static struct effect say_vrfy(struct smtp_session *s, struct turn *turn)
{
	(void)s;
	if (!smtp_command_has_arg_for(SMTP_EV_VRFY, turn->arg))
		return refuse(SMTP_REPLY_SYNTAX);
	return say(SMTP_REPLY_VRFY);
}

static struct effect say_help(struct smtp_session *s, struct turn *turn)
{
	(void)s;
	(void)turn;
	return say(SMTP_REPLY_HELP);
}

static struct effect say_bye(struct smtp_session *s, struct turn *turn)
{
	(void)s;
	if (!smtp_command_has_arg_for(SMTP_EV_QUIT, turn->arg))
		return refuse(SMTP_REPLY_SYNTAX);
	turn->say = slice_of(turn->io->service->fqdn);
	return (struct effect){.reply = SMTP_REPLY_BYE, .need = SMTP_NEED_CLOSE};
}

// ---- Actions: the owner's words and ends of bodies

static struct effect say_verdict(struct smtp_session *s, struct turn *turn)
{
	(void)s;
	turn->say = turn->arg.len > 0 ? turn->arg : slice_of(turn->io->service->fqdn);
	return say(turn->verdict);
}

static struct effect begin_tls(struct smtp_session *s, struct turn *turn)
{
	forget(s, turn->io->blocks);
	s->tls = true;
	return say_verdict(s, turn);
}

static struct effect judge_mail(struct smtp_session *s, struct turn *turn)
{
	turn->say = turn->arg.len > 0 ? turn->arg : path_slice(&s->txn->sender);
	return say(turn->verdict);
}

static struct effect accept_rcpt(struct smtp_session *s, struct turn *turn)
{
	turn->say = turn->arg.len > 0 ? turn->arg : path_slice(&s->txn->candidate);
	smtp_transaction_add_rcpt(s->txn, path_slice(&s->txn->candidate));
	return say(turn->verdict);
}

static struct effect deny_rcpt(struct smtp_session *s, struct turn *turn)
{
	turn->say = turn->arg.len > 0 ? turn->arg : path_slice(&s->txn->candidate);
	count_refused_rcpt(s->txn);
	return say(turn->verdict);
}

static struct effect begin_body(struct smtp_session *s, struct turn *turn)
{
	smtp_message_begin(s->txn);
	return say_verdict(s, turn);
}

static struct effect ask_commit(struct smtp_session *s, struct turn *turn)
{
	(void)s;
	(void)turn;
	return ask(SMTP_NEED_COMMIT);
}

static struct effect refuse_and_close(struct smtp_session *s, struct turn *turn)
{
	(void)s;
	return (struct effect){.reply = turn->verdict, .need = SMTP_NEED_CLOSE};
}

// ---- The table

// clang-format off
#define IN(st)      [SMTP_ST_##st]
#define ON(ev)      [SMTP_EV_##ev]
#define GO(act, st) { act, SMTP_ST_##st }
#define ANYTIME(st)                        \
	ON(NOOP) = GO(say_ok, st),         \
	ON(VRFY) = GO(say_vrfy, st),       \
	ON(HELP) = GO(say_help, st),       \
	ON(QUIT) = GO(say_bye, CLOSED)

static const struct transition table[SMTP_ST_COUNT][SMTP_EV_COUNT] = {
	IN(GREET)        = { ON(EHLO)      = GO(hello, READY),
	                     ON(HELO)      = GO(hello_old, READY),
	                     ON(RSET)      = GO(reset, GREET),
	                     ANYTIME(GREET) },
	IN(READY)        = { ON(EHLO)      = GO(hello, READY),
	                     ON(HELO)      = GO(hello_old, READY),
	                     ON(STARTTLS)  = GO(ask_tls, TLS_VERDICT),
	                     ON(MAIL)      = GO(ask_mail, MAIL_VERDICT),
	                     ON(RSET)      = GO(reset, READY),
	                     ANYTIME(READY) },
	IN(TLS_VERDICT)  = { ON(ALLOW)     = GO(begin_tls, GREET),
	                     ON(DENY)      = GO(say_verdict, READY) },
	IN(MAIL_VERDICT) = { ON(ALLOW)     = GO(judge_mail, MAIL),
	                     ON(DENY)      = GO(judge_mail, READY) },
	IN(MAIL)         = { ON(EHLO)      = GO(hello, READY),
	                     ON(HELO)      = GO(hello_old, READY),
	                     ON(RCPT)      = GO(ask_rcpt, RCPT_VERDICT),
	                     ON(DATA)      = GO(ask_data, DATA_VERDICT),
	                     ON(RSET)      = GO(reset, READY),
	                     ANYTIME(MAIL) },
	IN(RCPT_VERDICT) = { ON(ALLOW)     = GO(accept_rcpt, RCPT),
	                     ON(DENY)      = GO(deny_rcpt, RCPT) },
	IN(RCPT)         = { ON(EHLO)      = GO(hello, READY),
	                     ON(HELO)      = GO(hello_old, READY),
	                     ON(RCPT)      = GO(ask_rcpt, RCPT_VERDICT),
	                     ON(DATA)      = GO(ask_data, DATA_VERDICT),
	                     ON(RSET)      = GO(reset, READY),
	                     ANYTIME(RCPT) },
	IN(DATA_VERDICT) = { ON(ALLOW)     = GO(begin_body, BODY),
	                     ON(DENY)      = GO(say_verdict, RCPT) },
	IN(BODY)         = { ON(END_GOOD)  = GO(ask_commit, COMMIT),
	                     ON(END_BAD)   = GO(say_verdict, READY),
	                     ON(END_FATAL) = GO(refuse_and_close, CLOSED) },
	IN(COMMIT)       = { ON(ALLOW)     = GO(say_verdict, READY),
	                     ON(DENY)      = GO(say_verdict, READY) },
};
// clang-format on

// ---- State and replies

// The only writer of the state. What a state may hold is decided here, so nothing of one transaction reaches the next,
// whichever way it ended.
static void enter(struct smtp_session *s, enum smtp_state next, struct block_pool *blocks)
{
	bool in_transaction = next != SMTP_ST_GREET && next != SMTP_ST_READY &&
			      next != SMTP_ST_TLS_VERDICT && next != SMTP_ST_CLOSED;

	if (!in_transaction && s->txn != NULL) {
		smtp_transaction_end(s->txn, blocks);
		s->txn = NULL;
	}
	s->state = (uint8_t)next;
}

static void write_reply(struct smtp_io *io, enum smtp_reply reply, struct slice arg)
{
	smtp_reply_write(&io->reply, reply, arg);
	io->replied = reply;
}

static void begin_io(struct smtp_io *io)
{
	assert(io->reply.cap - io->reply.len >= SMTP_REPLY_MAX_OCTETS);
	assert(io->service != NULL && io->blocks != NULL);
	io->event = SMTP_EV_COUNT;
	io->replied = SMTP_REPLY_NONE;
}

static struct smtp_step close_with(
	struct smtp_session *s, enum smtp_reply reply, struct smtp_io *io)
{
	write_reply(io, reply, slice_of(io->service->fqdn));
	enter(s, SMTP_ST_CLOSED, io->blocks);
	return (struct smtp_step){.need = SMTP_NEED_CLOSE};
}

static bool is_protocol_error(uint16_t code)
{
	return (code >= 500 && code <= 504) || code == 555;
}

// A refused sender or recipient is no protocol error, but a client that goes on after LIMIT_REFUSALS of them is guessing
// addresses.
static bool is_one_refusal_too_many(struct smtp_session *s, enum smtp_event ev, uint16_t code)
{
	bool of_path = ev == SMTP_EV_MAIL || ev == SMTP_EV_RCPT ||
		       (ev == SMTP_EV_DENY && (s->state == SMTP_ST_MAIL_VERDICT ||
						      s->state == SMTP_ST_RCPT_VERDICT));

	if (!of_path || code < 550 || code > 554)
		return false;
	if (s->refused < LIMIT_REFUSALS) {
		s->refused++;
		return false;
	}
	return true;
}

// Count this reply if it is an error. True: it is one too many.
static bool is_last_straw(
	struct smtp_session *s, enum smtp_event ev, enum smtp_reply reply, uint16_t most)
{
	uint16_t code = smtp_reply_code(reply);

	if (!is_protocol_error(code) && !is_one_refusal_too_many(s, ev, code))
		return false;
	s->errors++;
	return s->errors >= most;
}

// Say what an event led to, and change the state.
static struct smtp_step conclude(
	struct smtp_session *s, enum smtp_event ev, struct effect effect, struct turn *turn)
{
	uint16_t most = turn->io->service->limits.errors;

	if (effect.reply != SMTP_REPLY_NONE && is_last_straw(s, ev, effect.reply, most))
		return close_with(s, SMTP_REPLY_TOO_MANY_ERRORS, turn->io);
	if (effect.reply != SMTP_REPLY_NONE)
		write_reply(turn->io, effect.reply, turn->say);
	if (!effect.stay)
		enter(s, table[s->state][ev].next, turn->io->blocks);
	return (struct smtp_step){.need = effect.need};
}

static struct smtp_step feed(struct smtp_session *s, enum smtp_event ev, struct turn *turn)
{
	const struct transition *t = &table[s->state][ev];
	bool of_commands = s->state == SMTP_ST_GREET || s->state == SMTP_ST_READY ||
			   s->state == SMTP_ST_MAIL || s->state == SMTP_ST_RCPT;

	// Commands are fed in command states only; the owner's words and ends of bodies have all their rows.
	assert(t->action != NULL || of_commands);
	turn->io->event = (uint8_t)ev;
	return conclude(s, ev,
		t->action != NULL ? t->action(s, turn) : refuse(SMTP_REPLY_BAD_SEQUENCE), turn);
}

// ---- Input: commands

static enum smtp_reply line_refusal(enum err fault)
{
	return fault == ERR_LINE_TOO_LONG ? SMTP_REPLY_LINE_TOO_LONG : SMTP_REPLY_LINE_FRAMING;
}

static struct smtp_step obey(struct smtp_session *s, struct slice line, struct smtp_io *io)
{
	struct smtp_command command;
	struct turn turn = {.io = io};

	if (line.len + 2 > LIMIT_COMMAND_LINE_OCTETS)
		return conclude(s, SMTP_EV_COUNT, refuse(SMTP_REPLY_LINE_TOO_LONG), &turn);
	command = smtp_command_parse(line);
	turn.arg = command.arg;
	if (command.event != SMTP_EV_COUNT)
		return feed(s, command.event, &turn);
	if (command.refusal == SMTP_REPLY_HTTP)
		return close_with(s, command.refusal, io);
	return conclude(s, SMTP_EV_COUNT, refuse(command.refusal), &turn);
}

static struct smtp_step step_command(struct smtp_session *s, struct slice in, struct smtp_io *io)
{
	struct slice rest = in, line;
	enum err fault = smtp_line_take(&rest, &line);
	struct smtp_step step;

	if (fault == ERR_MORE)
		return (struct smtp_step){.need = SMTP_NEED_INPUT};
	step = fault == ERR_OK ? obey(s, line, io) : close_with(s, line_refusal(fault), io);
	step.consumed = (uint32_t)(fault == ERR_OK ? in.len - rest.len : in.len);
	return step;
}

// ---- Input: bodies

static struct smtp_step end_body(struct smtp_session *s, struct smtp_io *io)
{
	enum smtp_reply verdict = (enum smtp_reply)s->txn->body_verdict;
	struct turn turn = {.verdict = verdict, .io = io};

	if (verdict == SMTP_REPLY_NONE)
		return feed(s, SMTP_EV_END_GOOD, &turn);
	return feed(
		s, verdict == SMTP_REPLY_BODY_FRAMING ? SMTP_EV_END_FATAL : SMTP_EV_END_BAD, &turn);
}

static struct smtp_step step_body(struct smtp_session *s, struct slice in, struct smtp_io *io)
{
	static const enum smtp_need needs[] = {
		[SMTP_MESSAGE_FOUND_MORE] = SMTP_NEED_INPUT,
		[SMTP_MESSAGE_FOUND_ADDED] = SMTP_NEED_BODY,
		[SMTP_MESSAGE_FOUND_BAD] = SMTP_NEED_ABORT,
	};
	struct slice rest = in;
	enum smtp_message_found found =
		smtp_message_take(s->txn, &io->service->limits, &rest, &io->body);
	struct smtp_step step = found == SMTP_MESSAGE_FOUND_END
					? end_body(s, io)
					: (struct smtp_step){.need = needs[found]};

	step.consumed = (uint32_t)(in.len - rest.len);
	return step;
}

// ---- What the owner calls

void smtp_session_init(struct smtp_session *s)
{
	*s = (struct smtp_session){.txn = NULL};
	enter(s, SMTP_ST_GREET, NULL);
}

void smtp_session_greet(struct smtp_session *s, enum smtp_reply greeting, struct smtp_io *io)
{
	assert(s->state == SMTP_ST_GREET);
	begin_io(io);
	if (smtp_reply_code(greeting) >= 400)
		(void)close_with(s, greeting, io);
	else
		write_reply(io, greeting, slice_of(io->service->fqdn));
}

bool smtp_session_is_waiting(const struct smtp_session *s)
{
	return s->state == SMTP_ST_TLS_VERDICT || s->state == SMTP_ST_MAIL_VERDICT ||
	       s->state == SMTP_ST_RCPT_VERDICT || s->state == SMTP_ST_DATA_VERDICT ||
	       s->state == SMTP_ST_COMMIT;
}

struct smtp_step smtp_session_step(struct smtp_session *s, struct slice in, struct smtp_io *io)
{
	assert(!smtp_session_is_waiting(s) && s->state != SMTP_ST_CLOSED);
	begin_io(io);
	return s->state == SMTP_ST_BODY ? step_body(s, in, io) : step_command(s, in, io);
}

struct smtp_step smtp_session_verdict(
	struct smtp_session *s, enum smtp_reply reply, struct slice arg, struct smtp_io *io)
{
	struct turn turn = {.arg = arg, .verdict = reply, .io = io};
	uint16_t code = smtp_reply_code(reply);

	assert(smtp_session_is_waiting(s) && code >= 200);
	begin_io(io);
	if (code == 421)
		return close_with(s, reply, io);
	return feed(s, code < 400 ? SMTP_EV_ALLOW : SMTP_EV_DENY, &turn);
}

void smtp_session_end(struct smtp_session *s, enum smtp_reply reply, struct smtp_io *io)
{
	assert(s->state != SMTP_ST_CLOSED);
	begin_io(io);
	(void)close_with(s, reply, io);
}

void smtp_session_free(struct smtp_session *s, struct block_pool *blocks)
{
	enter(s, SMTP_ST_CLOSED, blocks);
	forget(s, blocks);
}

struct slice smtp_session_helo(const struct smtp_session *s)
{
	return (struct slice){helo_is_long(s) ? s->helo_block : s->helo, s->helo_len};
}

const char *smtp_session_state_name(enum smtp_state state)
{
	static const char *const names[] = {
#define STATE(name) #name,
		SMTP_STATES(STATE)
#undef STATE
	};

	return names[state];
}

const char *smtp_session_event_name(enum smtp_event ev)
{
	static const char *const names[] = {
#define EVENT(name) #name,
		SMTP_EVENTS(EVENT)
#undef EVENT
	};

	return names[ev];
}
