// smtp_client.h - the client side of one SMTP connection (RFC 5321, PIPELINING RFC 2920, SIZE RFC 1870, 8BITMIME RFC 6152) as a
// table of (state, event).
//
// Pure over octets: what the server said goes in, commands come out in a buffer, and each call says in a few bits what the owner has to
// do. No socket, no clock, no spool; a time-out or a lost connection is an event.
//
// Only what speaks of the mail (MAIL, RCPT, DATA, the final dot) can refuse it; a 5xx in the greeting or to HELO defers, since
// another host may take it. Whatever is not SMTP defers and closes. Nothing counts as delivered but a 2xx that came after the final dot was
// handed to the kernel; a connection lost while waiting for that reply defers, so a mail can arrive twice but never not at all.
//
// Thread:  the event loop of postern-deliver.
// Memory:  fixed; the mail is borrowed from SMTP_CLIENT_READY + smtp_client_start() until SMTP_CLIENT_DONE.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/slice.h"
#include "deliver/reply.h"

// State: the answer awaited, how it is named in logs, and how long it may take in seconds (RFC 5321 4.5.3.2 where it says).
#define SMTP_CLIENT_STATES(STATE)                                                                  \
	STATE(GREETING, "the greeting", 300)                                                       \
	STATE(EHLO, "the answer to EHLO", 300)                                                     \
	STATE(HELO, "the answer to HELO", 300)                                                     \
	STATE(IDLE, "a mail", 2) /* nothing is owed; the owner's idle time */                      \
	STATE(MAIL, "the answer to MAIL", 300)                                                     \
	STATE(RCPT, "the answer to RCPT", 300)                                                     \
	STATE(DATA, "the answer to DATA", 120)                                                     \
	STATE(BODY, "room to send the body", 180) /* for each block of it */                       \
	STATE(FINAL, "the answer to the final dot", 600)                                           \
	STATE(RSET, "the answer to RSET", 20)                                                      \
	STATE(QUIT, "the answer to QUIT", 5)                                                       \
	STATE(CLOSED, "nothing", 5)

#define SMTP_CLIENT_EVENTS(EVENT)                                                                  \
	EVENT(OK)           /* 2xx */                                                              \
	EVENT(GO_ON)        /* 3xx */                                                              \
	EVENT(DEFER)        /* 4xx */                                                              \
	EVENT(REFUSE)       /* 5xx */                                                              \
	EVENT(SHUT)         /* 421, whatever it answers */                                         \
	EVENT(GARBAGE)      /* no reply, or a reply to a command that was not sent */              \
	EVENT(ALL_ANSWERED) /* from within: every RCPT has its answer */                           \
	EVENT(NONE_TAKEN)   /* from within: no recipient is left and DATA was not sent yet */      \
	EVENT(START)        /* a mail to deliver */                                                \
	EVENT(SENT)         /* body and final dot are with the kernel */                           \
	EVENT(LEAVE)        /* the owner wants to end an idle connection */                        \
	EVENT(GONE)         /* connection lost, or the owner gives it up */                        \
	EVENT(LATE)         /* time-out of the state */

enum smtp_client_state {
#define STATE(name, text, seconds) SMTP_CLIENT_ST_##name,
	SMTP_CLIENT_STATES(STATE)
#undef STATE
		SMTP_CLIENT_ST_COUNT
};

enum smtp_client_event {
#define EVENT(name) SMTP_CLIENT_EV_##name,
	SMTP_CLIENT_EVENTS(EVENT)
#undef EVENT
		SMTP_CLIENT_EV_COUNT
};

// What a call wants of the owner; to be looked at in this order.
enum smtp_client_effect {
	SMTP_CLIENT_DONE =
		1, // every recipient of the mail has its result; the mail is the owner's again
	SMTP_CLIENT_CLOSE = 2, // flush out, then close; no mail can be started any more
	SMTP_CLIENT_BODY = 4,  // send the body, dot-stuffed and ended, then SMTP_CLIENT_EV_SENT
	SMTP_CLIENT_READY = 8, // IDLE: a mail may be started
};

enum smtp_client_result {
	SMTP_CLIENT_OPEN,  // no answer yet
	SMTP_CLIENT_TAKEN, // RCPT got 2xx; the final dot decides
	SMTP_CLIENT_DELIVERED,
	SMTP_CLIENT_DEFERRED,
	SMTP_CLIENT_REFUSED,
};

enum {
	SMTP_CLIENT_RCPTS_MAX =
		100, // of one transaction; RFC 5321 4.5.3.1.8: any server takes that many
	SMTP_CLIENT_COMMAND_MAX = LIMIT_PATH_OCTETS + 64,
	// MAIL, RCPTs and DATA in one flight, and what a few replies in one read can ask for before it.
	SMTP_CLIENT_OUT_MAX = (SMTP_CLIENT_RCPTS_MAX + 8) * SMTP_CLIENT_COMMAND_MAX,
};

struct smtp_client_rcpt {
	const char *address;
	enum smtp_client_result result;
	char text[REPLY_TEXT_MAX]; // the answer, or what went wrong; printable
};

struct smtp_client_mail {
	const char *sender; // "": null
	uint64_t octets;
	bool is_8bit;
	bool is_untouched; // out: the server of a used connection went away without answering anything: try another at once
	uint32_t rcpt_count; // 1..SMTP_CLIENT_RCPTS_MAX
	struct smtp_client_rcpt *rcpts;
};

enum {
	SMTP_CLIENT_OFFERS_PIPELINING = 1,
	SMTP_CLIENT_OFFERS_SIZE = 2,
	SMTP_CLIENT_OFFERS_8BITMIME = 4,
};

// Data of one transaction: zeroed when it begins.
struct smtp_client_transaction {
	struct smtp_client_mail *mail;
	uint32_t answered; // RCPTs
	uint32_t taken;
	uint32_t answers; // of any kind
};

struct smtp_client {
	enum smtp_client_state state; // written by one function of smtp_client.c only
	uint32_t offers;
	uint64_t size_max;   // of SIZE; 0: not said
	uint32_t owed;       // replies to commands sent before the input being read
	uint32_t newly_owed; // replies to commands made while reading it
	uint32_t mails;      // started on this connection
	const char *helo;
	struct smtp_client_transaction tx;
	struct reply reply;
	char trouble[REPLY_TEXT_MAX]; // why CLOSE, when it was not asked for
	uint32_t out_octets;
	uint8_t out[SMTP_CLIENT_OUT_MAX]; // the owner sends it and sets out_octets to 0
};

// helo: borrowed as long as the client lives.
void smtp_client_init(struct smtp_client *c, const char *helo);

// Octets from the server, all of them. Returns effects.
unsigned smtp_client_input(struct smtp_client *c, struct slice in);

// Start a mail; only in IDLE. Commands are in out.
unsigned smtp_client_start(struct smtp_client *c, struct smtp_client_mail *mail);

// One of SENT, LEAVE, GONE, LATE.
unsigned smtp_client_event(struct smtp_client *c, enum smtp_client_event ev);

// GONE with a reason of the owner's, e.g. a body that cannot be read.
unsigned smtp_client_give_up(struct smtp_client *c, const char *why);

// No control characters, no space or angle bracket outside quotes, and short enough for a command line. Every address of a mail must be.
bool smtp_client_is_sendable(const char *address);

// For tests: they print the table.
const char *smtp_client_state_name(enum smtp_client_state state);
// For tests.
const char *smtp_client_event_name(enum smtp_client_event ev);
unsigned smtp_client_state_seconds(enum smtp_client_state state);
