// sock.h - a TCP socket: what an application holds of a connection, of a listener, or of neither yet.
//
// Everything that arrives is taken from the stack at once and kept here until it is read; the window says so
// (tcp_set_receive_window()). So what was received survives the connection, as it does in a kernel.
//
// Thread: any, with the lock of the world.
// Memory: lives while it has a descriptor, a connection, or a listener that has not accepted it.
// Blocks: never.

#pragma once

#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/ip_addr.h"
#include "file.h"
#include "octets.h"
#include "tcp/tcp.h"

struct world;

enum option {
#define OPTION(symbol, level, name, least, most, start) OPTION_##symbol,
#include "option.def"
#undef OPTION
	OPTION_COUNT
};

enum sock_state {
	SOCK_IDLE, // neither listens nor is connected
	SOCK_LISTENING,
	SOCK_CONNECTING,
	SOCK_CONNECTED,
	SOCK_OVER, // was connected, and the connection is gone
};

struct sock {
	struct file file;
	struct sock *next;
	struct world *world;
	enum sock_state state;
	int pins; // calls that run for it
	int domain;
	int status; // O_NONBLOCK and others of fcntl()
	struct ip_addr local, peer;
	uint16_t local_port, peer_port; // 0: none
	bool bound;                     // to an address, or to all of them (local all zero)
	struct tcp_conn *conn;          // NULL: none

	// Listening
	int backlog;
	struct sock *listener; // that has not accepted this one yet
	uint64_t opened_order; // who came first

	// Stream
	struct octets received;
	bool fin;          // the peer has closed
	bool shut_receive; // shutdown()
	bool shut_send;    // shutdown(), or the connection is over
	bool more;         // the last send said MSG_MORE
	bool asked;        // octets have arrived
	bool talks; // it answers soon after it was asked, so that an ACK may wait for the answer
	uint32_t quick_acks;            // ACKs that have not waited
	uint64_t asked_us, answered_us; // when octets arrived last, and were sent
	bool no_space;                  // found full by a writer or a poll
	int error;                      // SO_ERROR
	uint32_t syns;                  // of connect(), that left
	bool given_up;                  // one more was about to leave

	// What epoll's edges are made of: how often it became readable, writable, or something else
	uint32_t edges_in, edges_out, edges_any;

	int options[OPTION_COUNT];
	struct linger linger;
	uint64_t receive_us, send_us; // SO_RCVTIMEO, SO_SNDTIMEO; 0: none
	bool rcvbuf_set, sndbuf_set;
	char congestion[16];
};

// User: the world.
extern const struct tcp_app sock_app;

struct sock *sock_make(struct world *world, int domain);
void sock_free_all(struct world *world);

// Gone when it has neither descriptor, connection, listener nor calls.
void sock_release(struct sock *sock);
void sock_pin(struct sock *sock);
void sock_unpin(struct sock *sock);

struct sock *sock_find(const struct world *world, int fd);

// Who listens there; NULL: nobody.
struct sock *sock_listener(const struct world *world, const struct ip_addr *local, uint16_t port);

// What its listener allows a connection that is in its handshake; NULL: there is none.
void sock_bound_handshake(const struct sock *listener, struct tcp_conn *conn);

// The first that waits to be accepted and may be; NULL: none.
struct sock *sock_first_to_accept(const struct sock *listener);

// What a socket sets of each of its packets; 0: as usual.
struct sock_wire {
	uint32_t mss;
	uint8_t tos, ttl;
};

struct sock_wire sock_on_wire(const struct world *world, const struct segment *out);
struct sock_wire sock_on_wire_input(const struct world *world, const struct segment *in);

// A SYN of connect() is about to leave. False: it has had all its chances, and sock_give_up() ends it.
bool sock_may_send_syn(const struct world *world, const struct segment *syn);
void sock_give_up(struct world *world);

// Octets that may be sent now; queued before it was full.
size_t sock_send_space(const struct sock *sock);
bool sock_is_writable(const struct sock *sock);

// The options that the connection has to know, after one changed.
void sock_apply_options(struct sock *sock);

// What is held back leaves, corked or not.
void sock_push(struct sock *sock);

// Octets are about to be sent.
void sock_answers(struct sock *sock);

// Octets were read.
void sock_consumed(struct sock *sock);

// The pending error, which is then told.
int sock_take_error(struct sock *sock);
