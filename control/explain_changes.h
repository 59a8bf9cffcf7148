// explain_changes.h - which single entry, added or removed, would alter a verdict.
//
// Thread:  any thread that may hold the snapshot.
// Memory:  the caller's json_t.
// Blocks:  never. Cost: a walk over the virtual server's lists.

#pragma once

#include <jansson.h>

#include "base/slice.h"
#include "config/snapshot.h"
#include "policy/policy.h"

struct explain_changes {
	const struct snapshot *snapshot;
	const struct config_vserver *vserver;
	const struct ip_addr *client;
	const char *client_text;
	struct slice name; // the client's; empty: none, or not known when the verdict was DEFER
	json_t *list;      // out: one object for each entry
};

// Entries of the connection list that would alter this verdict of policy_connect().
void explain_changes_connect(struct explain_changes *changes, struct policy_verdict verdict);

// Entries of domains and relay list that would alter this verdict of policy_rcpt(). domain: as it was judged.
void explain_changes_rcpt(
	struct explain_changes *changes, struct policy_verdict verdict, struct slice domain);
