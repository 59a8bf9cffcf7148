// conn_verdict.h - what a session asks for: verdicts on senders and recipients, room for a message, its commit.
//
// Thread:  the worker that owns the connection.
// Memory:  none of its own.
// Blocks:  never. What is not there yet is a state of the session, not a wait.

#pragma once

#include "dataplane/conn.h"

// Do what the session asks for, until it asks for octets, waits, or is over.
enum smtp_need conn_verdict_serve(struct worker *w, struct conn *c, struct smtp_step step);

// Hand the complete message to the spooler, or wait for buffers to do it with.
void conn_verdict_commit(struct worker *w, struct conn *c);

// The spooler has spoken: 250 or 451, and what follows from it.
void conn_verdict_committed(struct worker *w, struct conn *c, enum err status);
