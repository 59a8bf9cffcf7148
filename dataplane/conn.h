// conn.h - one connection = TCP + SMTP: the application of struct tcp_app, one object behind each TCP connection.
//
// TCP says what arrived, the session (smtp/) says what is needed, policy/ and mail.c answer, replies go back to TCP. A session
// that waits for the spooler or for a buffer leaves its input unread, so the receive window closes and back-pressure
// reaches the sender.
//
// Life: conn_opened -> greeting -> conn_data ... -> closing (last reply queued, FIN behind it) -> conn_closed.
// Death in three steps: no reply is given any more (closing), TCP says closed (no event can come), memory is TCP's again.
// An answer of the spooler for a connection that is gone is recognised by its generation and dropped.
//
// Thread:  the worker that owns the TCP stack.
// Memory:  inside the TCP connection (tcp_conn_app).
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"
#include "smtp/smtp_session.h"

struct conn {
	struct smtp_session smtp;
	struct tcp_conn *tcp;
	struct conn *stall_prev, *stall_next; // in the worker's list when stalled
	struct spool_buf *body;               // being filled; NULL when none is held
	uint64_t session;                     // for logs
	uint64_t epoch;         // policy epoch that class and vserver were resolved in
	uint64_t welcome_epoch; // the one in which connection control let it in last
	uint64_t message_id;    // of the message that is open
	uint64_t stored_octets; // of it, given to the spooler so far
	uint64_t opened_loop;
	uint32_t class;
	uint16_t vserver, slot;
	uint16_t last_code;
	bool closing;   // the last reply is queued; input is discarded
	bool peer_done; // FIN came while something was still owed
	bool stalled;
	bool vserver_gone;  // since a reload: vserver stands for another
	bool counted;       // in client_count and the open counter
	bool message_open;  // the spooler knows of message_id, or will
	bool commit_wanted; // NEED_COMMIT could not be served yet
};

extern const struct tcp_app conn_tcp_app;

// The spooler's word on a commit.
void conn_answer(struct worker *w, const struct spool_answer *answer);

// Body buffers came back: let those that wait try again.
void conn_retry_stalled(struct worker *w);

// Look at a few open sessions whose virtual server may have changed its state; false: all seen.
bool conn_walk(struct worker *w);
