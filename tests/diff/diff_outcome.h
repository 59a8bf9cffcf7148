// diff_outcome.h - what one side did in one step: the segments it sent and what its application saw, in numbers both sides
// share: ours from our initial one, the peer's as they are.
//
// Thread: one. Memory: the caller's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/segment.h"

enum {
	DIFF_REPLIES = 16, // segments kept of one step
	DIFF_TEXT = 1024,
};

struct diff_reply {
	uint8_t flags;
	uint32_t seq, ack, octets;
	struct segment_options options; // timestamps, MSS and scale: only whether they are there
};

struct diff_outcome {
	uint32_t count; // of replies; those beyond DIFF_REPLIES are counted only
	struct diff_reply replies[DIFF_REPLIES];
	uint32_t data_octets; // shown to the application
	bool opened, peer_closed, broken;
};

// isn: ours. Window, PSH and the values of options the two choose freely are left out.
void diff_outcome_add(struct diff_outcome *out, const struct segment *s, uint32_t isn);

bool diff_outcome_eq(const struct diff_outcome *a, const struct diff_outcome *b);
bool diff_outcome_reply_eq(const struct diff_reply *a, const struct diff_reply *b);

// One line. Returns text.
const char *diff_outcome_print(const struct diff_outcome *o, char text[DIFF_TEXT]);
