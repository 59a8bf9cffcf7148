// hop_conn.h - one connection to a next hop: a socket, a timer, and the SMTP client that tells them what to do.
//
// Life: opened -> (connect, greeting, EHLO) -> asks its owner for mail, again after each -> QUIT when the owner has none for the idle time ->
// closed. The owner hears closed() exactly once; the object frees itself after that.
//
// Thread:  the event loop of postern-deliver.
// Memory:  one object of about 40 KB; blocks of a body that the socket does not take at once.
// Blocks:  never, but for the owner's body().

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <uv.h>

#include "base/ip_addr.h"
#include "deliver/dot_stuff.h"
#include "deliver/smtp_client.h"
#include "deliver/transaction.h"

enum {
	HOP_CONN_MAILS_MAX = 100, // on one connection; then QUIT
	HOP_CONN_NAME_MAX = 320,
};

struct hop_conn;

struct hop_conn_owner {
	// A mail for this connection, loaded; NULL: none now, hop_conn_send() or the idle time follows.
	struct transaction *(*next)(void *user, struct hop_conn *conn);
	enum err (*body)(
		void *user, const struct transaction *t, uint64_t from, void *to, uint32_t octets);
	void (*done)(void *user, struct hop_conn *conn, struct transaction *t);
	// It takes no mail any more.
	void (*leaving)(void *user, struct hop_conn *conn);
	void (*closed)(void *user, struct hop_conn *conn, const char *why);
};

struct hop_conn_setup {
	uv_loop_t *loop;
	struct ip_addr to;
	uint16_t port;
	struct ip_addr source; // all zero: the kernel chooses
	unsigned connect_timeout_s;
	const char *helo;
	const char *host; // as configured, for logs
};

struct hop_conn {
	uv_tcp_t tcp;
	uv_timer_t timer;
	uv_connect_t connect;
	const struct hop_conn_owner *owner;
	void *user;
	struct hop_conn *next; // the owner's
	struct transaction *transaction;
	struct dot_stuff stuff;
	uint64_t body_at;
	unsigned open_handles;
	bool is_closing;
	char name[HOP_CONN_NAME_MAX];
	char helo[256];
	struct smtp_client smtp;
};

// Start to connect. The owner may hear closed() before this returns NULL (no socket, or the source address is not ours).
struct hop_conn *hop_conn_open(
	const struct hop_conn_setup *setup, const struct hop_conn_owner *owner, void *user);

// From now on somebody else is asked; for owner->next() of the one before.
void hop_conn_give(struct hop_conn *conn, const struct hop_conn_owner *owner, void *user);

// A mail for a connection that asked and got none.
void hop_conn_send(struct hop_conn *conn, struct transaction *t);

// QUIT; for a connection that asked and got none.
void hop_conn_leave(struct hop_conn *conn);
