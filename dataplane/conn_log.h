// conn_log.h - what a session leaves in the log: one fixed record for each decision, as tunables.log_level asks for.
//
// Refusals are always written, accepted recipients and mails from level 1, beginning and end of a session from level 2.
//
// Thread:  the worker that owns the connection.
// Memory:  the worker's log ring; a record that finds it full is counted and lost (worker_log()).
// Blocks:  never.

#pragma once

#include "dataplane/conn.h"
#include "dataplane/log_record.h"
#include "policy/policy.h"

// LOG_CONNECT, LOG_CONNECT_REFUSED or LOG_DISCONNECT.
void conn_log_session(
	struct worker *w, struct conn *c, enum log_event event, enum smtp_reply reply);

// The verdict on the recipient that is asked about.
void conn_log_rcpt(
	struct worker *w, struct conn *c, struct policy_verdict verdict, enum smtp_reply reply);

// A recipient refused for its form, before any policy was asked: the record has the command line.
void conn_log_rcpt_form(struct worker *w, struct conn *c, struct slice line);

// reply: what the peer is told; SMTP_REPLY_NONE: it went away.
void conn_log_message_refused(struct worker *w, struct conn *c, enum smtp_reply reply);

// While the transaction is still there.
void conn_log_queued(struct worker *w, struct conn *c);
