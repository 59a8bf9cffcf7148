// load_session.h - one client session: replies in, commands and mail out. Knows neither sockets nor DPDK.
//
// A machine of states named for what is awaited. The owner feeds what arrived and gives a function that takes what leaves; a mail
// that does not fit at once goes on with load_session_pump() when there is room.
//
// Thread:  the loop that owns the session.
// Memory:  a plain struct; messages are the plan's.
// Blocks:  never.
// Clock:   now_ns is an argument.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load_plan.h"

#define LOAD_STATES(STATE)                                                                         \
	STATE(CONNECT)  /* the handshake */                                                        \
	STATE(GREETING) /* 220 */                                                                  \
	STATE(HELO)     /* the last line of 250 */                                                 \
	STATE(IDLE)     /* the next mail to be wanted */                                           \
	STATE(MAIL)                                                                                \
	STATE(RCPT)                                                                                \
	STATE(DATA)                                                                                \
	STATE(FINAL) /* the reply to the last dot */                                               \
	STATE(QUIT)  /* 221 */                                                                     \
	STATE(OVER)

enum load_state {
#define STATE(name) LOAD_ST_##name,
	LOAD_STATES(STATE)
#undef STATE
		LOAD_ST_COUNT
};

// What a step tells the owner.
enum load_word {
	LOAD_WORD_NONE,
	LOAD_WORD_READY,  // greeted and in IDLE for the first time
	LOAD_WORD_MAILED, // a mail got its 250, and the session is in IDLE
	LOAD_WORD_OVER,   // said good-bye: close
	LOAD_WORD_FAILED, // close; why in code (the reply) or 0 (nonsense)
};

// Phases that have a latency of their own.
#define LOAD_PHASES(PHASE)                                                                         \
	PHASE(CONNECT, "connect")   /* SYN to established */                                       \
	PHASE(GREETING, "greeting") /* established to 220 */                                       \
	PHASE(RCPT, "rcpt")         /* RCPT to its reply */                                        \
	PHASE(FINAL, "end_of_data") /* last dot handed over to its 250 */                          \
	PHASE(MAIL, "mail")         /* from when it was due to its 250 */

enum load_phase {
#define PHASE(name, text) LOAD_PHASE_##name,
	LOAD_PHASES(PHASE)
#undef PHASE
		LOAD_PHASE_COUNT
};

struct load_histogram;

// Takes octets to send and returns how many it took, from the front.
typedef size_t load_write_fn(void *wire, struct slice octets);

struct load_session {
	const struct load_plan *plan;
	struct load_histogram *phases; // LOAD_PHASE_COUNT of them
	load_write_fn *write;
	void *wire;
	uint64_t since_ns; // the state was entered
	uint64_t due_ns;   // the mail under way was wanted then
	uint64_t mails;
	struct slice rest; // of the message, not written yet
	uint32_t message;  // of the plan: which is next
	uint16_t code;     // of the last reply
	uint8_t state;     // enum load_state
	uint8_t line_len;
	bool more; // the line is not the last of its reply
	char line[6];
};

void load_session_start(struct load_session *s, uint64_t now_ns);
void load_session_connected(struct load_session *s, uint64_t now_ns);

// Feed all that arrived, a piece at a time until it is used up: *in is advanced.
enum load_word load_session_input(struct load_session *s, struct slice *in, uint64_t now_ns);

// In IDLE: hand in a mail that was wanted at due_ns.
void load_session_mail(struct load_session *s, uint64_t due_ns, uint64_t now_ns);
void load_session_quit(struct load_session *s, uint64_t now_ns);

// There is room again.
void load_session_pump(struct load_session *s, uint64_t now_ns);
const char *load_session_phase(enum load_phase phase);
