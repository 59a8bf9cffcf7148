// tcp.h - TCP (RFC 9293) as a deterministic function of segments and time.
//
// The core reads no clock, allocates nothing after tcp_stack_init(), knows no NIC and no globals. What it
// wants to send it hands to env->emit(); what happened on a connection it tells the application through
// struct tcp_app. The same code serves the worker, the load generator and the simulator.
//
// Thread:  the lcore that owns the stack; every function below.
// Memory:  connections, hash table and blocks are given at init. Payload that cannot be consumed at once is copied
//          into blocks, so no packet buffer is held after tcp_input() returns.
// Blocks:  never.
// Clock:   now_us is the caller's monotonic clock in microseconds, read once a loop.
// Random:  config.secret keys initial sequence numbers (RFC 6528), SYN cookies, timestamp offsets and the table's hash
//          (tcp_key.h).
//
// Under pressure, or always (tcp_stack_set_cookies()), a SYN is answered by a cookie and takes no memory (tcp_cookie.h).
//
// Life of a connection: tcp_input() of a SYN (or tcp_connect()) takes a struct tcp_conn; app->opened() when
// the handshake is done; app->data() for octets in order; app->acked() when send space came free;
// app->peer_closed() when FIN arrived; app->closed() exactly once at the end for every connection that was
// opened: (1) unreachable by segments, (2) no timer, (3) then its memory goes back.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block_pool.h"
#include "base/drop.h"
#include "base/err.h"
#include "base/siphash.h"
#include "base/timer_wheel.h"
#include "net/icmp_error.h"
#include "net/segment.h"

struct tcp_conn;
struct tcp_stack;

enum tcp_close_reason {
	TCP_CLOSED_ORDERLY,     // both FINs exchanged
	TCP_CLOSED_RESET,       // the peer sent RST
	TCP_CLOSED_TIMEOUT,     // retransmissions, window probes or keep-alives gave up
	TCP_CLOSED_ABORTED,     // we called tcp_abort()
	TCP_CLOSED_UNREACHABLE, // ICMP said so of our SYN
};

// app->data() takes nothing, and the segment counts as lost on its way: nothing is kept and nothing acknowledged, so the
// peer sends it again, ever more slowly. Octets that were queued before stay queued.
#define TCP_DATA_HELD SIZE_MAX

// When an ACK leaves that nothing else carries. Out of order data, FIN and probes are answered at once under both.
enum tcp_ack_policy {
	TCP_ACK_DATA,  // at least every second full segment (RFC 5681 4.2), else after the delay
	TCP_ACK_EACH,  // at the next flush: a sender in slow start grows by each ACK
	TCP_ACK_REPLY, // an answer is under way that will carry it: only after the delay
};

// When the end of the queue leaves although it fills no segment.
enum tcp_small {
	TCP_SMALL_AT_ONCE, // at the next flush: who batches its replies holds nothing back
	TCP_SMALL_ALONE, // when no other such piece is in flight (RFC 9293 3.7.4 and A.3: Nagle by Minshall)
	TCP_SMALL_NEVER, // more is about to come
};

enum tcp_welcome {
	TCP_WELCOME,
	TCP_REFUSE, // answered by RST
	TCP_IGNORE, // not answered
};

// The application. user is tcp_stack_config.user. Functions may call tcp_send, tcp_close, tcp_abort,
// tcp_set_deadline on the connection; none may call tcp_input or tcp_flush.
struct tcp_app {
	// May this peer have a connection? Asked for its SYN, and again, s without SYN, when its cookie comes back.
	// Called before any application state exists; NULL accepts everything.
	enum tcp_welcome (*accept)(void *user, const struct segment *s, uint64_t now_us);
	// Handshake complete.
	void (*opened)(void *user, struct tcp_conn *conn, uint64_t now_us);
	// Octets in order. Returns how many were consumed; the rest stays queued inside the
	// receive window and comes again, in front, with the next data or after tcp_resume(). Or TCP_DATA_HELD.
	// in is contiguous and at least everything queued up to TCP_DATA_VIEW octets.
	size_t (*data)(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us);
	// Octets we sent were acknowledged; tcp_send_space() has grown.
	void (*acked)(void *user, struct tcp_conn *conn, uint64_t now_us);
	// FIN: no more data will come (after all data() was consumed). We may still send.
	void (*peer_closed)(void *user, struct tcp_conn *conn, uint64_t now_us);
	// The deadline of tcp_set_deadline() has passed.
	void (*deadline)(void *user, struct tcp_conn *conn, uint64_t now_us);
	// The end. conn may not be used after this returns. After TIME-WAIT is entered the application has
	// no more say, so closed() comes then, not when TIME-WAIT ends.
	void (*closed)(
		void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us);
};

// How segments leave. emit copies what it needs before it returns; s and its parts are the stack's.
struct tcp_env {
	void (*emit)(void *user, const struct segment *s);
};

enum {
	TCP_DATA_VIEW = 16384,   // octets shown to app->data() at once when they were queued
	TCP_SEND_BUFFER = 65536, // most octets tcp_send() queues on one connection by default
	TCP_RECEIVE_WINDOW =
		262144, // default most octets unread on one connection; sets the scale we offer
};

// Explicit congestion notification (RFC 3168).
enum tcp_ecn {
	TCP_ECN_ANSWERED, // agreed to when a peer asks
	TCP_ECN_ASKED,    // tcp_connect() asks as well; when its SYN is lost, no more
	TCP_ECN_NEVER,
};

struct tcp_stack_config {
	const struct tcp_app *app;
	const struct tcp_env *env;
	void *user;              // first argument of all app and env functions
	uint32_t conns;          // most connections at once, embryonic and TIME-WAIT included
	uint32_t blocks;         // blocks of LIMIT_BLOCK_OCTETS for queues
	uint16_t mss;            // octets of payload our link takes (MTU - 40 for v4)
	uint32_t send_buffer;    // octets; 0: TCP_SEND_BUFFER
	uint32_t receive_window; // octets; 0: TCP_RECEIVE_WINDOW
	uint32_t app_octets;     // application data behind each connection, see tcp_conn_app()
	uint8_t ecn;             // enum tcp_ecn
	bool reset_late_data; // octets that come after tcp_close() are answered by RST (RFC 9293 3.6.1)
	struct siphash_key secret;
};

// Counters, all of this stack. Drops are per enum drop.
struct tcp_counters {
	uint64_t segments_in, segments_out, retransmits, fast_retransmits, timeouts, undone,
		tail_probes, resets_out, resets_in;
	uint64_t opened, closed, syns_in, table_full, no_buffer;
	uint64_t ecn_marked,
		ecn_cuts;    // segments that met congestion on their way; echoes that cut a window
	uint64_t pushed_out; // handshakes that gave way to newer ones
	uint64_t icmp_in;    // errors about what is in flight
	uint64_t pmtu_cuts;  // segments made smaller for the path
	uint64_t cookies_sent, cookies_taken,
		cookies_bad; // SYN cookies that left, came back, and ACKs for no connection that were none
};

// Octets of memory tcp_stack_init() needs for this configuration.
size_t tcp_stack_octets(const struct tcp_stack_config *config);

// memory: tcp_stack_octets() octets, zeroed, aligned to 64; it is the stack, and the caller frees it after use.
struct tcp_stack *tcp_stack_init(
	void *memory, const struct tcp_stack_config *config, uint64_t now_us);

// Cookies for every SYN, or only under pressure: when too many handshakes wait or no slot is free. May be called at any time.
void tcp_stack_set_cookies(struct tcp_stack *stack, bool always);

// One received segment, checksum already verified. Answers go through emit (at once for RST and challenge ACKs, with
// tcp_flush() for data and ACKs). DROP_NONE: handled; else why not, for the caller's counters. local data only:
// the caller has already decided that dst and dst_port are served (listen = true) or asks for RST (false).
enum drop tcp_input(struct tcp_stack *stack, const struct segment *s, bool listen, uint64_t now_us);

// An ICMP error about a segment that we are said to have sent. DROP_NONE: taken note of; it ends only a connection that we are opening
// (RFC 5461). Else why it is of no use.
enum drop tcp_icmp(struct tcp_stack *stack, const struct icmp_error *e, uint64_t now_us);

// Send what the burst produced: new data, replies and FIN of each touched connection, with ACKs riding on them;
// bare ACKs by the delayed-ACK rule. Call once after each burst of tcp_input/tcp_timers/application work.
void tcp_flush(struct tcp_stack *stack, uint64_t now_us);

// Run due timers (retransmit, persist, delayed ACK, application deadline, TIME-WAIT), at most budget.
void tcp_timers(struct tcp_stack *stack, uint64_t now_us, uint32_t budget);

// Nothing will happen before this time without a segment; at most limit_us ahead.
uint64_t tcp_next_timer_us(const struct tcp_stack *stack, uint64_t now_us, uint64_t limit_us);

// For tests and load generators: active open, the server itself opens none. NULL: table full, the
// 4-tuple is in use, or the peer's address is no single host's. app->opened() or app->closed() follows.
struct tcp_conn *tcp_connect(struct tcp_stack *stack, const struct segment *tuple, uint64_t now_us);

// Queue octets behind what is already queued. All or nothing: false when tcp_send_space() is too small or the block
// pool is empty, then nothing was queued.
bool tcp_send(struct tcp_conn *conn, struct slice data, uint64_t now_us);
size_t tcp_send_space(const struct tcp_conn *conn);

// Octets queued: not sent, or not acknowledged.
uint32_t tcp_send_queued(const struct tcp_conn *conn);

// For tests, and for applications that are no server. FIN after all queued data; input goes on. data() has to take all it is shown from then on: with the second FIN the
// connection ends, and what is unread is lost. Before opened(): the same as tcp_abort(). Twice: nothing more.
void tcp_shutdown(struct tcp_conn *conn, uint64_t now_us);

// FIN after all queued data. data() and peer_closed() are not called any more, and the deadline is taken away; what
// still arrives is discarded, bounded in time, or answered by RST (config.reset_late_data). Before opened(): the same as
// tcp_abort(). Twice: nothing more.
void tcp_close(struct tcp_conn *conn, uint64_t now_us);

// RST, and app->closed(TCP_CLOSED_ABORTED) before it returns.
void tcp_abort(struct tcp_conn *conn, uint64_t now_us);

// Show queued octets to app->data() again (after a verdict or a commit). Not from inside data().
void tcp_resume(struct tcp_conn *conn, uint64_t now_us);

// Offer room for at most so many unread octets from now on, within what tcp_stack_config allows. What was offered before
// stays offered, and is kept when it comes; a larger room is announced when it is worth a segment. 0: offer nothing new.
// Until it is called: all that the configuration allows.
void tcp_set_receive_window(struct tcp_conn *conn, uint32_t octets);

// Octets that the peer may still send without a new offer, and those that lie unread: what the application must be ready for.
uint32_t tcp_receive_offered(const struct tcp_conn *conn);
uint32_t tcp_receive_unread(const struct tcp_conn *conn);

// Smoothed (RFC 6298); 0: not measured yet.
uint32_t tcp_round_trip_us(const struct tcp_conn *conn);

// Until it is called: TCP_ACK_DATA.
void tcp_set_ack_policy(struct tcp_conn *conn, enum tcp_ack_policy policy);

// For tests, and for applications that write in small pieces. Until it is called: TCP_SMALL_AT_ONCE. FIN pushes what is held back; a timer does after a while.
void tcp_set_small(struct tcp_conn *conn, enum tcp_small small);

// Keep-alives (RFC 1122 4.2.3.6): when nothing is in flight and nothing was heard for idle_s, an empty segment that has to be
// answered leaves every interval_s; RST and closed(TCP_CLOSED_TIMEOUT) when so many in a row were not. Nothing is sent
// until it is called; idle_s 0: no more.
struct tcp_keepalive {
	uint16_t idle_s, interval_s; // the latter at least 1
	uint8_t probes;              // at least 1
};

void tcp_set_keepalive(
	struct tcp_conn *conn, const struct tcp_keepalive *keepalive, uint64_t now_us);

// For tests, and for applications that can say how long their octets are worth it. The user time-out (RFC 9293 3.8.3, RFC 5482): what was sent may stay unacknowledged, or a window shut, for so long; then RST
// and closed(TCP_CLOSED_TIMEOUT). It takes the place of LIMIT_TCP_RETRIES, and of the number of keep-alives; after
// tcp_close() LIMIT_TCP_CLOSED_RETRIES holds as well. 0: no more.
void tcp_set_user_timeout(struct tcp_conn *conn, uint32_t ms, uint64_t now_us);

// Call app->deadline() at due_us; 0: never. Replaces the one before.
void tcp_set_deadline(struct tcp_conn *conn, uint64_t due_us);
uint64_t tcp_deadline_us(const struct tcp_conn *conn);

// Throw away what lies behind a hole; its sender repeats it, as it was not acknowledged (RFC 2018 8). False: nothing does.
bool tcp_prune(struct tcp_conn *conn);

// Application memory of config.app_octets octets behind the connection; zeroed before opened().
void *tcp_conn_app(struct tcp_conn *conn);

// The way back.
struct tcp_conn *tcp_conn_of_app(void *app);

// Index below config.conns and a generation that changes each time the slot is used again. A pair names one
// connection for ever (up to 2^32 reuses); tcp_conn_find() gives NULL when that one is gone.
uint32_t tcp_conn_index(const struct tcp_conn *conn);
uint32_t tcp_conn_generation(const struct tcp_conn *conn);
struct tcp_conn *tcp_conn_find(struct tcp_stack *stack, uint32_t index, uint32_t generation);

// Addresses and ports: local is src of what we send.
const struct ip_addr *tcp_conn_local(const struct tcp_conn *conn, uint16_t *port);
const struct ip_addr *tcp_conn_peer(const struct tcp_conn *conn, uint16_t *port);

// Every slot that was ever used, for walks in steps: the opened connection in it that lives, or NULL.
uint32_t tcp_conn_slots(const struct tcp_stack *stack);
struct tcp_conn *tcp_conn_at(struct tcp_stack *stack, uint32_t slot);

// For tests: the first live opened connection at or after slot *cursor; NULL at the end.
struct tcp_conn *tcp_conn_next(struct tcp_stack *stack, uint32_t *cursor);

// Slots in use, embryonic and TIME-WAIT included.
uint32_t tcp_conn_count(const struct tcp_stack *stack);
// Those of them that do not give way to newer connections: neither embryonic nor in TIME-WAIT.
uint32_t tcp_conn_lasting(const struct tcp_stack *stack);
const struct tcp_counters *tcp_stack_counters(const struct tcp_stack *stack);
struct block_pool *tcp_stack_blocks(struct tcp_stack *stack);
