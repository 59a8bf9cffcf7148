// policy_diff.h - who would gain and lose what if another policy ran: the exact difference of two compiled policies.
//
// Virtual servers are compared by name. One that only one of the two has is "added" or "removed": everything it gives is
// gained or lost.
//
// Thread:  any that may hold both snapshots; off the lcores.
// Memory:  arenas while it runs; the caller's json_t.
// Blocks:  never. Cost: a second for a million prefixes.

#pragma once

#include "control/reach.h"

// By name of the virtual server, those that differ: {"state": kept|added|removed, "gain", "lose", "connect": {"gain", "lose"}, "domains": {"gain", "lose"}}.
// "gain" and "lose" are of relaying without login, in the shape of who_can.h; "connect" the same of connecting; "domains": local_domains
// and relay_domains, whose mail is taken from everybody who may connect. Nothing differs: an empty object. NULL: no memory.
json_t *policy_diff(const struct snapshot *before, const struct snapshot *after, uint32_t most);

// The same for people; free().
char *policy_diff_text(json_t *answer);
