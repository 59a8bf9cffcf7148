// diff_opening.h - the beginning of a dialogue as steps: up to the first line that only our side could play, or that lets
// time go on.
//
// Thread: one. Memory: the caller's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "diff/diff_step.h"

enum { DIFF_OPENING_STEPS = 64 };

// Steps read from the script; 0: nothing of it can be compared, or it is not for this family.
uint32_t diff_opening_read(const char *path, bool v6, struct diff_step steps[DIFF_OPENING_STEPS]);
