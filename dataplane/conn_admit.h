// conn_admit.h - who may be here: the policy a session lives under, its place among the counted, and what becomes of it when
// either changes.
//
// Thread:  the worker that owns the connection.
// Memory:  none of its own.
// Blocks:  never.

#pragma once

#include "dataplane/conn.h"

// Counters of the virtual server that counted the session.
static inline struct edge_vserver_counters *conn_admit_counters(
	const struct worker *w, const struct conn *c)
{
	return &w->shared->vservers[c->slot];
}

// Find virtual server and class of a new connection. False: nobody listens there any more.
bool conn_admit_resolve(struct worker *w, struct conn *c);

// Connection control and limits for a new connection: GREETING, what it is refused with, or NONE: the client's name is asked for, and
// conn_admit_by_name() says the rest.
enum smtp_reply conn_admit(struct worker *w, struct conn *c);
enum smtp_reply conn_admit_by_name(struct worker *w, struct conn *c);

// The session counts no longer, though TCP may still have to say goodbye.
void conn_admit_uncount(struct worker *w, struct conn *c);

// An index of one policy means nothing in the next: whatever happens to a session, and so also when the verdict of
// conn_admit_still() has to wait for the end of a message, its virtual server is looked up again first. False: it is gone.
bool conn_admit_follow(struct worker *w, struct conn *c);

// Whether the session may go on with its next command, by the policy and the states of now. False: it got 421 and is over, or it waits for
// its client's name (c->name_wait).
bool conn_admit_still(struct worker *w, struct conn *c);

// Look at a few open sessions whose virtual server may have changed its state; false: all seen.
bool conn_admit_walk(struct worker *w);
