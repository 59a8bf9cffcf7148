// conn_tls.h - TLS between a session and TCP: handshakes on other threads (control/tls/), records here.
//
// A connection is under TLS when its smtp.tls says so: since the 220 of STARTTLS, or from its first octet where the port is that
// of implicit TLS (465, RFC 8314). Then conn.c asks here instead of TCP.
//
//   conn_tls_begin -> octets to a handshake thread, answers back (conn_tls_poll) ... -> conn_secured()
//   -> records: octets decrypted, fed to the session, what it leaves is kept; replies gathered and encrypted as one record at the
//   end of the burst (conn_tls_flush) -> conn_tls_finish (close_notify, with the FIN) -> conn_tls_closed
//
// While a handshake thread has a session, the worker does not touch it: its octets stay unread in TCP, so its window closes. An
// answer names (connection index, generation); for a connection that is gone its TLS session is freed and nothing else is done.
//
// Plaintext connections pay one bit test for each event.
//
// Thread:  the worker that owns the connection.
// Memory:  LIMIT_TLS_SESSIONS of struct conn_tls and LIMIT_TLS_JOBS jobs from EAL at the start; beyond: 454, and on 465 the connection
//          is closed. OpenSSL's own in accounts (tls/tls_memory.h). A plaintext connection has none of it.
// Blocks:  never.

#pragma once

#include "dataplane/conn.h"
#include "tls/tls_session.h"

struct conn_tls_desk;

// Sessions, jobs and rings of a worker that is being made; key: of the table of clients. False: no memory.
bool conn_tls_make(struct worker *w, const struct siphash_key *key);

// Whether the port of this connection speaks TLS from the first octet.
bool conn_tls_is_implicit(struct conn *c);

// Room for a session, and its deadline. False: too many sessions, or handshakes, or handshakes of this client. The session is under
// TLS from now on; what is said before must have been said.
bool conn_tls_begin(struct worker *w, struct conn *c, bool implicit);

// Whether its handshake is complete.
bool conn_tls_is_open(const struct worker *w, const struct conn *c);

// Octets of the wire; how many were taken, and how many octets of plain text the session took. Empty: try again with what is kept.
size_t conn_tls_data(struct worker *w, struct conn *c, struct slice in, size_t *plain);

// Whether decrypted octets are kept that the session has not taken.
bool conn_tls_has_unread(const struct worker *w, const struct conn *c);

// Queue a reply; it leaves as one record with all others of this burst. Before the handshake is complete it is left out.
// False: no memory.
bool conn_tls_say(struct worker *w, struct conn *c, struct slice text);

// Room in TCP's send queue that is spoken for.
uint32_t conn_tls_pending(const struct worker *w, const struct conn *c);

// The last replies and close_notify, before the FIN.
void conn_tls_finish(struct worker *w, struct conn *c);

// The connection is gone.
void conn_tls_closed(struct worker *w, struct conn *c);

// Its handshake took too long.
void conn_tls_timed_out(struct worker *w, struct conn *c);

// Its peer talked between STARTTLS and TLS: what it said is thrown away with the connection (RFC 3207, and CVE-2011-0411).
void conn_tls_count_early(struct worker *w, struct conn *c);

// What its handshake came to; all NULL for plaintext.
struct tls_facts conn_tls_facts(const struct worker *w, const struct conn *c);

// Answers of the handshake threads; how many.
unsigned conn_tls_poll(struct worker *w);

// End of the burst: encrypt what was said.
void conn_tls_flush(struct worker *w);

// The rings of a worker to and from one handshake thread; both carry struct tls_job *.
struct rte_ring *conn_tls_jobs(const struct worker *w, unsigned thread);
struct rte_ring *conn_tls_answers(const struct worker *w, unsigned thread);
