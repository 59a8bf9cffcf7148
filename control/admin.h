// admin.h - the control socket: one request and one response a connection, both one line of JSON.
//
//   {"verb": V, "args": {...}}  ->  {"ok": bool, "exit": 0..2, "text": for people, "data": {...}}
//
// Who may connect is decided by the socket's file permission; what they send is treated as hostile: bounded in size, number and
// time, and never the end of the process.
//
// Thread:  the control thread.
// Memory:  ADMIN_CONNECTIONS * ADMIN_REQUEST_OCTETS, and responses.
// Blocks:  never: what takes time is answered later.

#pragma once

#include <stdbool.h>

#include "dataplane/edge.h"

struct deliver_link;
struct log;
struct reload;
typedef struct uv_loop_s uv_loop_t;

enum {
	ADMIN_REQUEST_OCTETS = 65536, // one request with its newline; more: refused
	ADMIN_CONNECTIONS = 32,       // more: closed unheard
	ADMIN_IDLE_MS =
		10 * 1000, // from connect to the end of the request, and for taking the response
};

struct admin_parts {
	struct edge *edge;
	struct reload *reload;
	struct log *log;
	struct deliver_link *deliver;
	int supervisor_link; // for stop; -1: none
	uv_loop_t *loop;     // set by admin_new()
};

struct admin;

// listen_fd: listening, taken over. SIGPIPE is ignored from then on. NULL: it cannot be listened on.
struct admin *admin_new(uv_loop_t *loop, int listen_fd, const struct admin_parts *parts);

// Close all connections. Handles close on the loop's next turns; the memory goes with the last of them.
// For tests: the process ends by _exit().
void admin_free(struct admin *admin);
