// tcp_conn.h - one connection (the TCB of RFC 9293 3.3.1): its fields, its states, its birth and its death.
// Not for users of tcp.h.
//
// Thread:  the lcore that owns the stack.
// Memory:  a slot of the stack, 256 octets and the application's behind them; nothing else while idle.
// Blocks:  never.
//
// Death in three steps: tcp_conn_end() takes it out of the table (unreachable), stops the timer and gives its blocks back
// (quiescent); tcp_conn_reap(), at the next entry from outside, frees the slot, so that the frames of a callback
// that ended its own connection still see CLOSED there.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/timer_wheel.h"
#include "tcp/tcp.h"
#include "tcp/tcp_block.h"
#include "tcp/tcp_tuple.h"

// RFC 9293 3.3.2. LISTEN holds no connection. Only tcp_conn_enter() writes the state.
#define TCP_STATES(STATE)                                                                          \
	STATE(CLOSED)                                                                              \
	STATE(SYN_SENT)                                                                            \
	STATE(SYN_RECEIVED)                                                                        \
	STATE(ESTABLISHED)                                                                         \
	STATE(FIN_WAIT_1)                                                                          \
	STATE(FIN_WAIT_2)                                                                          \
	STATE(CLOSE_WAIT)                                                                          \
	STATE(CLOSING)                                                                             \
	STATE(LAST_ACK)                                                                            \
	STATE(TIME_WAIT)

enum tcp_state {
#define STATE(name) TCP_ST_##name,
	TCP_STATES(STATE)
#undef STATE
		TCP_ST_COUNT
};

enum tcp_flag {
	TCP_F_ACTIVE = 1 << 0,   // tcp_connect() made it: closed() is owed even if never opened
	TCP_F_OPENED = 1 << 1,   // opened() was called
	TCP_F_APP_DONE = 1 << 2, // closed() was called
	TCP_F_CLOSE = 1 << 3, // FIN stands behind the queued octets: tcp_shutdown() or tcp_close()
	TCP_F_FIN_SEEN = 1 << 4,     // the peer's FIN has arrived and has number rcv_fin
	TCP_F_FIN_TAKEN = 1 << 5,    // rcv_nxt has passed it
	TCP_F_FIN_REPORTED = 1 << 6, // peer_closed() was called
	TCP_F_TIMESTAMPS = 1 << 7,   // both sides agreed on them
	TCP_F_SCALE = 1 << 8,        // likewise
	TCP_F_DIRTY = 1 << 9,        // in stack->dirty
	TCP_F_ACK_NOW = 1 << 10,     // an ACK leaves at the next flush
	TCP_F_SEND_SYN = 1 << 11,    // SYN or SYN-ACK leaves at the next flush
	TCP_F_RETRANSMIT =
		1 << 12, // what is in flight without a note leaves again at the next flush
	TCP_F_REORDERED = 1 << 13,   // the network has been seen to reorder
	TCP_F_TIMING = 1 << 14,      // sent_us tells when what has no note left, and it left once
	TCP_F_SYN_LOST = 1 << 15,    // our SYN or SYN-ACK was sent again
	TCP_F_ACK_REPLY = 1 << 16,   // tcp_set_ack_policy()
	TCP_F_SACK = 1 << 17,        // both sides agreed on it (RFC 2018)
	TCP_F_DUE_PROBE = 1 << 18,   // TCP_DUE_PEER stands for a tail probe (tcp_rack.h)
	TCP_F_DUE_REORDER = 1 << 19, // or for the end of the reordering window
	TCP_F_ECE_OWED = 1 << 20,    // what we acknowledge is marked, until the peer says CWR
	TCP_F_CWR_OWED = 1 << 21,    // the window was cut: what leaves next tells the peer
	TCP_F_COOKIE = 1 << 22,      // made of a cookie: the first echo tells no round trip
	TCP_F_ECN = 1 << 23,         // both sides agreed on it (RFC 3168)
	TCP_F_DISCARD = 1 << 24,     // tcp_close(): input is discarded
	TCP_F_NAGLE = 1 << 25,       // TCP_SMALL_ALONE
	TCP_F_CORK = 1 << 26,        // TCP_SMALL_NEVER
	TCP_F_SMALL_OUT = 1 << 27,   // something in flight was less than a segment
	TCP_F_ACK_EACH = 1 << 28,    // TCP_ACK_EACH
	TCP_F_ACK_OWED = 1 << 29,    // octets since heard wait for a delayed ACK
	TCP_F_DUE_KEEP = 1 << 30,    // TCP_DUE_PEER stands for a keep-alive
};

// What the one timer of a connection stands for, beside a delayed ACK (TCP_F_ACK_OWED).
enum tcp_due {
	TCP_DUE_PEER, // retransmit, window probe, keep-alive, or the end of FIN-WAIT-2 and TIME-WAIT: never two of them at once
	TCP_DUE_APP,  // tcp_set_deadline()
	TCP_DUE_COUNT
};

// Quarters of a millisecond: a delayed ACK is on time, and a day of silence fits into 32 bits.
enum { TCP_HEARD_SHIFT = 8 };

struct tcp_conn {
	// Two lines, up to the deadline of the timer: all that octets in order, the ACK for them and an ACK that is no news touch
	// (test_tcp_segment_in_order_touches_two_lines). What belongs to sending, or to trouble, goes behind them.
	_Alignas(64) struct tcp_stack *stack;
	struct tcp_tuple tuple;
	uint32_t index;
	uint32_t flags; // enum tcp_flag
	uint8_t state;  // enum tcp_state
	uint8_t snd_scale, rcv_scale;
	uint8_t nic_port;
	uint16_t snd_mss; // payload octets of a full segment we send, options deducted
	uint16_t rcv_mss; // largest payload seen: what a full segment of the peer is
	uint32_t rcv_nxt; // RFC 9293 3.3.1

	uint32_t rcv_adv;          // right edge that was advertised; never moves back
	uint32_t rcv_acked;        // Last.ACK.sent of RFC 7323
	uint32_t rcv_unread;       // octets in order that the application has not consumed
	uint32_t rcv_most;         // unread octets there may be: tcp_set_receive_window()
	uint32_t early;            // octets behind a hole (tcp_reassembly.h)
	uint32_t snd_una, snd_max; // SND.NXT is snd_max: it never goes back
	uint32_t snd_wnd, snd_wl1; // SND.WL2 is at most snd_una, and older ACKs show no window
	uint32_t send_octets;      // queued: not sent or not acknowledged
	uint32_t ts_recent, ts_offset;
	uint16_t ts_recent_hour; // now_us >> 32 (71 minutes) when ts_recent was set
	uint8_t dup_acks_owed;   // for segments that left a hole, since the last flush
	uint8_t probes;          // since the window closed
	uint32_t heard;          // when the peer was heard last, in TCP_HEARD_SHIFT; with
				 // TCP_F_ACK_OWED: when the first octets came that it is for

	// Third line, behind the deadline: what we send, and how long it takes. An ACK for it touches nothing else.
	struct timer timer;
	struct tcp_chain send; // blocks of what is queued; the first holds snd_una
	uint32_t cwnd;         // octets
	uint32_t flight;       // what is in flight and unrepaired (tcp_flight.h); 0: nothing
	uint32_t sent_us;      // when SYN or new octets left last
	uint32_t srtt_us, rttvar_us;
	uint8_t retries;                // RTO expiries without progress, probes without answer
	uint8_t backoff;                // exponent of the RTO; Karn: until a valid sample
	bool has_pmtu;                  // has a place in stack->pmtu (tcp_pmtu.h)
	bool has_user_timeout;          // user_timeout_ms is not 0
	uint64_t due_us[TCP_DUE_COUNT]; // 0: not

	// Fourth line: birth, death and trouble.
	struct tcp_chain rcv; // blocks of the unread octets
	union {
		struct {
			uint32_t ssthresh;    // octets
			uint32_t snd_wnd_max; // largest window the peer ever offered
		};
		struct {
			uint32_t list_prev,
				list_next; // slot + 1; half open, TIME-WAIT, dead and free
		};
	};
	uint32_t rcv_fin;
	uint32_t generation;
	uint32_t hash;                         // of the tuple, for the table
	uint16_t challenge_second;             // now_us >> 20
	uint16_t keep_idle_s, keep_interval_s; // 0: no keep-alives
	uint8_t keep_probes;
	uint8_t challenges;       // sent in challenge_second
	uint32_t user_timeout_ms; // tcp_set_user_timeout()
	uint32_t stuck_ms;        // when what is not acknowledged left, or the first probe did
};

// A slot with tuple in the table, CLOSED until its first tcp_conn_enter(); NULL: none left.
struct tcp_conn *tcp_conn_take(
	struct tcp_stack *stack, const struct tcp_tuple *tuple, uint8_t nic_port);

// The only writer of the state.
void tcp_conn_enter(struct tcp_conn *conn, enum tcp_state state);
// For tests.
const char *tcp_conn_state_name(enum tcp_state state);

// Steps one and two of death; closed() is called if it is owed.
void tcp_conn_end(struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us);

// Queues back to the pool and closed(), if they are owed; for the end and for TIME-WAIT.
void tcp_conn_retire(struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us);

// Step three, for all that died. Never while a callback runs.
void tcp_conn_reap(struct tcp_stack *stack);

// Can tcp_conn_take() succeed?
bool tcp_conn_has_free(const struct tcp_stack *stack);

// tcp_flush() will look at conn.
void tcp_conn_touch(struct tcp_conn *conn);

// Take the first of the touched connections; NULL: none left.
struct tcp_conn *tcp_conn_untouch(struct tcp_stack *stack);

static inline bool tcp_conn_has(const struct tcp_conn *conn, uint32_t flag)
{
	return (conn->flags & flag) != 0;
}

static inline bool tcp_conn_has_all(const struct tcp_conn *conn, uint32_t flags)
{
	return (conn->flags & flags) == flags;
}

// The application may be called, and may still act.
static inline bool tcp_conn_has_app(const struct tcp_conn *conn)
{
	return conn->state != TCP_ST_CLOSED && !tcp_conn_has(conn, TCP_F_APP_DONE);
}

// Our SYN is acknowledged and our FIN is not, so octets may be in flight.
static inline bool tcp_conn_sends(const struct tcp_conn *conn)
{
	return conn->state == TCP_ST_ESTABLISHED || conn->state == TCP_ST_FIN_WAIT_1 ||
	       conn->state == TCP_ST_CLOSE_WAIT || conn->state == TCP_ST_CLOSING ||
	       conn->state == TCP_ST_LAST_ACK;
}

// Neither FIN from the peer yet (RFC 9293 3.10.7.4, seventh).
static inline bool tcp_conn_receives(const struct tcp_conn *conn)
{
	return conn->state == TCP_ST_ESTABLISHED || conn->state == TCP_ST_FIN_WAIT_1 ||
	       conn->state == TCP_ST_FIN_WAIT_2;
}

// Handshake not finished.
static inline bool tcp_conn_is_opening(const struct tcp_conn *conn)
{
	return conn->state == TCP_ST_SYN_SENT || conn->state == TCP_ST_SYN_RECEIVED;
}

// Number of the octet behind all queued ones: where the next goes, or FIN.
static inline uint32_t tcp_conn_send_end(const struct tcp_conn *conn)
{
	return conn->snd_una + tcp_conn_is_opening(conn) + conn->send_octets;
}
