// conn.h - one connection = TCP + SMTP: the application of struct tcp_app, one object behind each TCP connection.
//
// TCP says what arrived, the session (smtp/) says what is needed, policy/ and mail.c answer, replies go back to TCP. A session
// that waits for the spooler or for a buffer leaves its input unread, so the receive window closes and back-pressure
// reaches the sender.
//
//   conn.c          what TCP and the spooler tell
//   conn_admit.c    who may be here, and who still may
//   conn_verdict.c  what the session asks for, until it waits or is over
//   conn_name.c     the client's names, when something hangs on them
//   conn_say.c      replies, and the last one
//   conn_flow.c     windows and ACKs
//   conn_tls.c      TLS below all of these, where there is any
//
// Life: conn_opened -> greeting -> conn_data ... -> closing (last reply queued, FIN behind it) -> conn_closed.
// Death in three steps: no reply is given any more (closing), TCP says closed (no event can come), memory is TCP's again.
// An answer of the spooler for a connection that is gone is recognised by its generation and dropped.
//
// Thread:  the worker that owns the TCP stack.
// Memory:  inside the TCP connection (tcp_conn_app); what only a message needs is in its transaction (mail.h).
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"
#include "smtp/smtp_session.h"

struct conn {
	struct smtp_session smtp;
	uint64_t session; // for logs
	uint64_t epoch;   // policy epoch that class and vserver were resolved in
	union {
		uint32_t opened_loop; // low bits; nobody waits 2^32 loops for a first octet
		uint32_t tls_index;   // smtp.tls: its TLS session (conn_tls.h)
	};
	uint32_t class;
	uint16_t vserver, slot;
	uint16_t last_code;
	bool began : 1;        // there is a session
	bool welcome : 1;      // connection control let it in in this epoch
	bool closing : 1;      // the last reply is queued; input is discarded
	bool peer_done : 1;    // FIN came while something was still owed
	bool vserver_gone : 1; // since a reload: vserver stands for another
	bool counted : 1;      // in client_count and the open counter
	bool in_flow : 1; // the policy of a phase is set (conn_flow.h), which is that of bodies when in_body
	bool in_body : 1;
	bool name_wait : 1; // for the client's names; input stays unread
};

// An idle session after EHLO with a name of 64 octets has this and its TCP connection, and nothing else.
_Static_assert(sizeof(struct conn) <= 112, "an idle session has to fit in 512 octets in all");

extern const struct tcp_app conn_tcp_app;

static inline struct tcp_conn *conn_tcp(struct conn *c)
{
	return tcp_conn_of_app(c);
}

// The spooler's word on a commit.
void conn_answer(struct worker *w, const struct spool_answer *answer);

// What the connection waited for is known of its client's names, or will not be known.
void conn_named(struct worker *w, uint32_t index, uint32_t generation);
// The TLS handshake is complete. implicit: nothing was said yet.
void conn_secured(struct worker *w, struct conn *c, bool implicit);

// Whether the session takes octets now; false: it waits, and octets stay unread.
bool conn_is_ready(struct worker *w, struct conn *c);

// Give plain octets to the session; how many it took, all when the connection is closing, or gone.
size_t conn_feed(struct worker *w, struct conn *c, struct slice in);

// Body buffers came back: let those that wait try again.
void conn_retry_stalled(struct worker *w);
