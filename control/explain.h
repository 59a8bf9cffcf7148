// explain.h - what would happen to this client, sender and recipient, why, and which single entry would alter it.
//
// Asks the code that decides: policy/ for the verdicts, and a real session of smtp/ for the replies. A pure function over a
// snapshot, so it says the same on a file as on the running server.
//
// Thread:  any thread that may hold the snapshot; off the lcores.
// Memory:  the caller's json_t.
// Blocks:  never. Cost: a walk over the virtual server's lists.

#pragma once

#include <jansson.h>
#include <stddef.h>

#include "config/snapshot.h"

enum {
	EXPLAIN_WHY_MAX = 512,
};

#define EXPLAIN_RISK_UNCONFIRMED                                                                   \
	"forward_confirm: false: whoever has the reverse zone of an address names its client"

// {"verdict": accept|refuse|defer, "stage": connect|mail|rcpt, "reply": text or null when nothing is said (drop, reset), "rule": {"file", "line",
// "text"}, "epoch", "would_change": [{"action": add|remove, "list", "entry", "file", "line", "text"}], "vserver", "client", ...}
//
// args: vserver, client; sender, recipient when given; name: the client's confirmed name, left out when it has none, "?" when nothing
// can be found out; tls, peer, account are taken and named in "not_judged", because no rule asks for them yet. NULL: args do not make a question; why says which.
json_t *explain(const struct snapshot *snapshot, json_t *args, char why[EXPLAIN_WHY_MAX]);

// The same for people; free().
char *explain_text(const json_t *answer);
