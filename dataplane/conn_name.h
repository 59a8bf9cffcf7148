// conn_name.h - the client's names, when a verdict hangs on them: asked for, waited for, remembered, matched.
//
// A session that needs a name leaves its input unread until the answer is in; the lcore goes on. What was found out holds for its life
// (TTL) and for every session of that client at this worker; a new policy epoch matches the names again. Bounds: LIMIT_NAME_QUESTIONS of
// all workers together, half of them for one virtual server; beyond, and where nothing is found out, the names are unknown, which
// is never yes.
//
// Thread:  the worker that owns the connection.
// Memory:  the worker's name table and the policy's scratch; of the session one bit.
// Blocks:  never. Without names in the lists nothing here is called.

#pragma once

#include "dataplane/conn.h"
#include "policy/policy.h"

// NULL: no memory.
struct name_table *conn_name_table_make(const struct siphash_key *key);

// What is known of the names of c's client now. False: the answer is on its way, c->name_wait is set, and conn_named() will be called.
bool conn_name_resolve(struct worker *w, struct conn *c, struct policy_names *out);

// The session waits no more.
void conn_name_forget(struct worker *w, struct conn *c);

// A name of c's client for logs: one that is in the list when there is one, else any. Empty: none is known.
struct slice conn_name_for_log(struct worker *w, struct conn *c, uint16_t list);

// A confirmed name for Received:. Empty: none is known.
struct slice conn_name_confirmed(struct worker *w, struct conn *c);

// Answers that came in; returns how many.
unsigned conn_name_poll(struct worker *w);
