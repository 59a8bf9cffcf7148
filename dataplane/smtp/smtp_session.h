// smtp_session.h - the server side of one SMTP session (RFC 5321) as a table of (state, event).
//
// The session does no input or output and knows no TCP, no policy and no time. Each step looks at octets in order,
// takes what it can use and says in struct smtp_step what the owner must do next; every path is tested
// without a socket, a NIC or a clock. The same octets give the same steps however they are split.
//
// Thread:  the lcore that owns the session. No locks, no atomics.
// Memory:  struct smtp_session is embedded in the connection, and has only what lives as long; a transaction takes blocks of
//          LIMIT_BLOCK_OCTETS from the pool that the owner lends with each step, and gives them back when it ends. An idle
//          session after EHLO with a name of up to 64 octets holds no block.
// Blocks:  never. A verdict or commit that is not there yet is a state (TLS_VERDICT, MAIL_VERDICT, RCPT_VERDICT, DATA_VERDICT, COMMIT),
//          not a wait: the owner leaves pipelined commands unread (RFC 2920) until it is in.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/block_pool.h"
#include "base/slice.h"
#include "smtp/smtp_address.h"
#include "smtp/smtp_reply.h"
#include "smtp/smtp_transaction.h"

// State: what the session is waiting for.
#define SMTP_STATES(STATE)                                                                         \
	STATE(GREET)        /* EHLO or HELO */                                                     \
	STATE(READY)        /* MAIL */                                                             \
	STATE(TLS_VERDICT)  /* whether there is room for a TLS session */                          \
	STATE(MAIL_VERDICT) /* the owner's verdict on the sender */                                \
	STATE(MAIL)         /* first RCPT */                                                       \
	STATE(RCPT_VERDICT) /* the owner's verdict on the last recipient */                        \
	STATE(RCPT)         /* more RCPT, or DATA */                                               \
	STATE(DATA_VERDICT) /* whether there is room for a message */                              \
	STATE(BODY)         /* the end of the message */                                           \
	STATE(COMMIT)       /* the spooler's word that the message is on disk */                   \
	STATE(CLOSED)       /* nothing */

// Events: a command from the peer, the end of a body, or the owner's word.
#define SMTP_EVENTS(EVENT)                                                                         \
	EVENT(EHLO)                                                                                \
	EVENT(HELO)                                                                                \
	EVENT(STARTTLS)                                                                            \
	EVENT(MAIL)                                                                                \
	EVENT(RCPT)                                                                                \
	EVENT(DATA)                                                                                \
	EVENT(END_GOOD)  /* CRLF.CRLF of a message that may be committed */                        \
	EVENT(END_BAD)   /* CRLF.CRLF of one that is refused (size, loop) */                       \
	EVENT(END_FATAL) /* CRLF.CRLF of one that broke framing: refuse, then close */             \
	EVENT(RSET)                                                                                \
	EVENT(NOOP)                                                                                \
	EVENT(VRFY)                                                                                \
	EVENT(HELP)                                                                                \
	EVENT(QUIT)                                                                                \
	EVENT(ALLOW)                                                                               \
	EVENT(DENY)

enum smtp_state {
#define STATE(name) SMTP_ST_##name,
	SMTP_STATES(STATE)
#undef STATE
		SMTP_ST_COUNT
};

enum smtp_event {
#define EVENT(name) SMTP_EV_##name,
	SMTP_EVENTS(EVENT)
#undef EVENT
		SMTP_EV_COUNT
};

enum smtp_need {
	SMTP_NEED_INPUT, // everything useful was taken; come back with more octets (the rest stays unread)
	SMTP_NEED_AGAIN, // one command was answered; there may be more in what is left of in
	SMTP_NEED_TLS, // make room for a TLS session, then smtp_session_verdict(); after ALLOW come octets from inside of it only
	SMTP_NEED_MAIL, // judge s->txn->sender, then smtp_session_verdict()
	SMTP_NEED_RCPT, // judge s->txn->candidate, then smtp_session_verdict(); strings live until then
	SMTP_NEED_DATA, // make room for a message (queue id, first buffer), then smtp_session_verdict()
	SMTP_NEED_BODY, // body octets are in io->body (none, when it had no room); take them and give room; then step again
	SMTP_NEED_COMMIT, // the message is complete (last octets in body first): store it, then smtp_session_verdict()
	SMTP_NEED_ABORT, // the message that was begun will not be committed; forget its octets; step again. Once a message;
	// s->txn->body_verdict says why. From then on io->body is left alone and may have no room
	SMTP_NEED_CLOSE, // send the reply, then close the connection
};

struct smtp_limits {
	uint32_t message_octets; // SIZE; at least 1
	uint16_t recipients;
	uint16_t errors; // protocol errors in one session; the one that reaches it is answered 421
	uint16_t received_lines;
};

// What does not change while a session lives; borrowed, one per virtual server.
struct smtp_service {
	const char *fqdn;
	struct smtp_limits limits;
	bool tls; // there is a certificate: STARTTLS is offered
};

struct smtp_session {
	struct smtp_transaction *txn; // NULL outside a transaction
	uint16_t errors;
	uint8_t refused; // senders and recipients refused; LIMIT_REFUSALS are free, each further one is an error
	uint8_t state; // enum smtp_state; written by one function only
	bool esmtp;
	bool tls; // its octets come from inside TLS: since STARTTLS, or the owner says so before the greeting
	uint8_t helo_len; // octets of helo[], or of helo_block when they do not fit there
	union {
		uint8_t helo[64];
		void *helo_block;
	};
};

struct smtp_step {
	enum smtp_need need;
	uint32_t consumed; // octets of in that were taken; never part of a command line
};

// What the owner lends for one step, and what the step leaves there.
struct smtp_io {
	const struct smtp_service *service; // the same, or an equal one, all the session's life
	struct block_pool *blocks;          // the same all its life
	struct smtp_out reply;              // room: at least SMTP_REPLY_MAX_OCTETS
	struct smtp_out body;               // room for body octets; needed in state BODY only
	uint8_t event; // enum smtp_event of the command this step answered, for logs; SMTP_EV_COUNT: none
	enum smtp_reply replied; // what was said last in this step; NONE when nothing
};

void smtp_session_init(struct smtp_session *s);

// Write 220 (or, for refuse reply, 554 and the session is CLOSED).
void smtp_session_greet(struct smtp_session *s, enum smtp_reply greeting, struct smtp_io *io);

// Take at most one command, or a run of body octets, from in. Not to be called in *_VERDICT, COMMIT or CLOSED.
//
// A command line is taken whole: until it has its end, in must hold all of it (up to LIMIT_COMMAND_READ_OCTETS) from its start.
// io->reply and io->body are appended to. Body octets are good up to here, but the message may still be refused.
struct smtp_step smtp_session_step(struct smtp_session *s, struct slice in, struct smtp_io *io);

// The owner's answer to NEED_TLS, NEED_MAIL, NEED_RCPT, NEED_DATA, NEED_COMMIT: reply is what to say; a 2xx or 3xx code allows. arg is the reply's
// argument where it is not the address itself (the queue id of QUEUED); an empty arg stands for the address or the
// service's name. Closes when the code is 421.
struct smtp_step smtp_session_verdict(
	struct smtp_session *s, enum smtp_reply reply, struct slice arg, struct smtp_io *io);

// Say a 421 or 554 and be CLOSED (time-out, shutdown, no longer allowed). In BODY, the message is forgotten.
void smtp_session_end(struct smtp_session *s, enum smtp_reply reply, struct smtp_io *io);

// Whether the session waits for the owner, so that input must not be fed.
bool smtp_session_is_waiting(const struct smtp_session *s);

// Give all blocks back; the name the client gave is forgotten. The session is CLOSED.
void smtp_session_free(struct smtp_session *s, struct block_pool *blocks);

struct slice smtp_session_helo(const struct smtp_session *s);

// Walk the accepted recipients in their order, from a zeroed cursor; false at the end. *address points into the transaction.
static inline bool smtp_session_next_rcpt(
	const struct smtp_transaction *txn, struct smtp_rcpt_cursor *cursor, struct slice *address)
{
	return smtp_transaction_next_rcpt(txn, cursor, address);
}

// For tests: they print the table.
const char *smtp_session_state_name(enum smtp_state state);
// For tests.
const char *smtp_session_event_name(enum smtp_event ev);
