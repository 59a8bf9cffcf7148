// who_can.h - who can relay without logging in, or connect: the exact sets of a compiled policy, per virtual server.
//
// A pure function over a snapshot, so it says the same on a file as on the running server.
//
// Thread:  any that may hold the snapshot; off the lcores.
// Memory:  an arena while it runs; the caller's json_t, about 100 octets a prefix listed.
// Blocks:  never. Cost: a second for a million prefixes.

#pragma once

#include "control/reach.h"

enum {
	WHO_CAN_WHY_MAX = 512,
};

// By name of the virtual server: {"epoch", "ipv4": {"count", "prefixes"}, "ipv6": the same, "names", "accounts", "peers", "warnings"}. names: entries that are
// host names, whose holders the DNS decides; warnings: texts about what is allowed and yet a risk.
//
// args: vserver (left out: all). most: prefixes of a family that are listed (reach.h). NULL: why says what is wrong with args.
json_t *who_can(const struct snapshot *snapshot, enum reach_right right, json_t *args,
	uint32_t most, char why[WHO_CAN_WHY_MAX]);

// The same for people; free().
char *who_can_text(json_t *answer, enum reach_right right);
