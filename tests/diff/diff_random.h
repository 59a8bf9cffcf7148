// diff_random.h - a peer that does what peers do, and now and then what they never should: one step after the other, from a
// seed and from what it hears.
//
// Thread: one. Memory: the caller's struct.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "diff/diff_outcome.h"
#include "diff/diff_step.h"

struct diff_random {
	uint64_t state;
	uint32_t steps;    // so far
	uint32_t next;     // the peer's next number, as we acknowledged it
	uint32_t our_next; // ours, from our initial one
	uint32_t tsval;
	bool timestamps, calls, in_flight, closed;
};

void diff_random_begin(struct diff_random *r, uint64_t seed);
// What both sides answered to the last step.
void diff_random_hear(struct diff_random *r, const struct diff_outcome *heard);
void diff_random_step(struct diff_random *r, struct diff_step *out);
