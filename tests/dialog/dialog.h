// dialog.h - the world of one dialogue: the stack under test, its virtual clock, the peers, and what the stack has said
// that the script has not told yet.
//
// Thread: one. Memory: the one struct dialog; the stack is allocated at dialog_begin().
// Blocks: never. A script that is not followed ends the program with file and line (dialog_fail).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tcp/tcp.h"

enum {
	DIALOG_TEXT = 4096, // octets of one segment or data event
	DIALOG_QUEUE = 256, // segments or events not told yet
	DIALOG_PEERS = 16,  // of the script, each with a port of its own
	DIALOG_SELF = 15,   // the peer that has our own address and port (LAND)
	DIALOG_TOLERANCE_US = 1000,
};

struct dialog_sent {
	struct segment s;
	uint8_t octets[DIALOG_TEXT];
	uint64_t at_us;
};

struct dialog_event {
	int peer;
	char text[DIALOG_TEXT + 32];
};

struct dialog_peer {
	struct tcp_conn *conn; // NULL: none, not opened yet, or over
	uint32_t isn;          // ours, towards this peer
	uint32_t tsval_last;   // ours, in the last segment it got
};

struct dialog {
	const char *file;
	int line;
	bool v6;
	uint64_t now_us;
	struct tcp_stack_config config;
	struct tcp_stack *stack;
	struct dialog_peer peers[DIALOG_PEERS];
	int peer; // whose lines are played
	struct dialog_sent sent[DIALOG_QUEUE];
	uint32_t sent_first, sent_count;
	struct dialog_event events[DIALOG_QUEUE];
	uint32_t event_first, event_count;
	size_t consume; // at most so many octets of each data()
	bool listen, refuse, tell_acked, cookies;
	char on_data; // 'a' abort, 'c' close, 'h' hold, from inside data()
	enum drop drop;
};

extern struct dialog dialog;

// Ends the program: where the script is, and why.
__attribute__((format(printf, 1, 2))) _Noreturn void dialog_fail(const char *format, ...);

// A fresh world for one address family; the stack comes with the first line that is no config.
void dialog_reset(const char *file, bool v6);
void dialog_begin(void);
// Nothing is left untold.
void dialog_end(void);

// The peer whose lines are played, and a segment from it to us, addressed and empty.
struct dialog_peer *dialog_peer(void);
struct segment dialog_addressed(void);
// Its connection in the stack's table, whatever its state; NULL: none.
struct tcp_conn *dialog_conn(void);

// Time goes on, timers fire, what they send leaves.
void dialog_advance(uint64_t by_us);
// Fails when a segment has left that the script has not told.
void dialog_must_be_silent(const char *when);
// The next thing that was sent or happened; fails when there is none.
const struct dialog_sent *dialog_next_sent(void);
const struct dialog_event *dialog_next_event(void);
