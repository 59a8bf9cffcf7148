// diff_rule.h - differences from Linux that are meant, each with its reason.
//
// Thread: any. Memory: none.

#pragma once

#include <stdint.h>

#include "diff/diff_outcome.h"
#include "diff/diff_step.h"

enum { DIFF_RULE_MAX = 32 };

// The rule that explains why the last of count steps was answered differently; -1: none does.
int diff_rule_of(const struct diff_step *steps, uint32_t count, const struct diff_outcome *kernel,
	const struct diff_outcome *ours);
int diff_rule_count(void);
// What differs and why.
const char *diff_rule_text(int rule);
