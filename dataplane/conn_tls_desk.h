// conn_tls_desk.h - what the TLS sessions of a worker lie in and share: places, jobs for handshake threads, scratch. For conn_tls.c.
//
// Thread:  the worker.
// Memory:  fixed, from EAL when the worker is made; OpenSSL's in each session's account.
// Blocks:  never.

#pragma once

#include "dataplane/conn.h"
#include "tls/tls_job.h"

enum {
	CONN_TLS_PLAIN_OCTETS = LIMIT_COMMAND_READ_OCTETS + TLS_RECORD_OCTETS,
	CONN_TLS_WIRE_OCTETS = TLS_RECORD_OCTETS + 2 * TLS_RECORD_MORE,
};

enum conn_tls_phase {
	CONN_TLS_FREE,
	CONN_TLS_HANDSHAKE,
	CONN_TLS_OPEN,
	CONN_TLS_OVER, // broken: nothing can be said any more
};

struct conn_tls {
	struct tls_session session;
	struct conn *
		owner; // NULL: free, or the connection went away while a handshake thread had the session
	struct conn_tls *next; // free, or waiting for a job
	struct conn_tls *next_to_flush;
	uint8_t *plain, *say; // decrypted and not taken; said and not encrypted. NULL mostly
	uint32_t plain_len, say_len;
	uint32_t skip; // octets in TCP's queue that the handshake took
	uint32_t begun_loop;
	struct tls_facts facts;
	uint8_t phase;
	bool implicit;
	bool away;     // a handshake thread has the session
	bool waiting;  // for a job
	bool to_flush; // in that list
	bool counted;  // among the handshakes
};

struct conn_tls_list {
	struct conn_tls *first, *last;
};

struct conn_tls_desk {
	struct conn_tls *sessions, *free;
	struct tls_job *jobs;
	struct conn_tls_list waiting;
	struct conn_tls *to_flush;
	struct client_count *clients; // handshakes of each
	uint32_t handshakes;
	struct rte_ring *out[LIMIT_TLS_THREADS], *in[LIMIT_TLS_THREADS];
	uint8_t plain[CONN_TLS_PLAIN_OCTETS], wire[CONN_TLS_WIRE_OCTETS];
};

// False: no memory.
bool conn_tls_desk_make(struct worker *w, const struct siphash_key *key);

// Give a place back, and all OpenSSL has for it.
void conn_tls_desk_give(struct worker *w, struct conn_tls *t);

// Stand in line for a job; step out of it, wherever one stands.
void conn_tls_desk_wait(struct conn_tls_desk *desk, struct conn_tls *t);
void conn_tls_desk_leave(struct conn_tls_desk *desk, struct conn_tls *t);
