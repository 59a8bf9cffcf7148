// diff_ours.h - our side: the stack of a dialogue, in virtual time that goes on a little with each step.
//
// Thread: one. Memory: the world of dialog.h.

#pragma once

#include <stdbool.h>

#include "diff/diff_outcome.h"
#include "diff/diff_step.h"

void diff_ours_begin(const char *name, bool v6);
void diff_ours_end(void);

// One step and what came of it.
void diff_ours_play(const struct diff_step *step, struct diff_outcome *out);
