// diff_step.h - what happens to both sides in one step, in words of the dialogues.
//
// Thread: one. Memory: the caller's.

#pragma once

#include <stdint.h>

#include "dialog/dialog_segment.h"

enum diff_verb {
	DIFF_SEGMENT,  // arrives
	DIFF_CONNECT,  // the application calls the peer
	DIFF_SEND,     // octets
	DIFF_SHUTDOWN, // FIN, and goes on reading
	DIFF_CLOSE,
	DIFF_ABORT,
};

struct diff_step {
	enum diff_verb verb;
	uint32_t octets;          // DIFF_SEND
	struct dialog_segment in; // DIFF_SEGMENT; ack and sack blocks from our initial number
};

// The segment as it goes to a side whose initial number and last timestamp are these. Addresses and ports are left as they
// are, the payload borrows from step.
struct segment diff_step_segment(const struct diff_step *step, uint32_t isn, uint32_t tsval_last);

// One line, as a dialogue would say it. Returns text.
const char *diff_step_print(const struct diff_step *step, char text[DIALOG_SEGMENT_TEXT]);
