// risk.h - what a policy allows on purpose and an operator should know all the same.
//
// Thread:  any that may hold the snapshot; off the lcores.
// Memory:  the caller's json_t, at most RISK_TEXTS_MOST texts; arenas while it runs.
// Blocks:  never. Cost: a pass over the virtual server's lists.

#pragma once

#include "control/reach.h"

enum {
	RISK_TEXTS_MOST = 100, // of one virtual server; more are counted in the last
};

// A list of texts. set: reach_of() of this virtual server and right.
json_t *risk_json(const struct snapshot *snapshot, uint16_t vserver, enum reach_right right,
	struct address_set set);

// Such a text without the file, line and column before it.
const char *risk_without_place(const char *text);
