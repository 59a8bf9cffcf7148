// tcp_handshake.h - from SYN to ESTABLISHED, both ways and crosswise (RFC 9293 3.5, 3.10.7.1 to 3.10.7.3).
//
// Thread: the lcore that owns the stack. Memory: a slot of the stack for each SYN taken, none for those answered by a
// cookie. Blocks: never.

#pragma once

#include "tcp/tcp_conn.h"

// A segment for no connection. listen: somebody listens at its destination. *made: the connection, in SYN-RECEIVED, that
// came back as a cookie with this segment, and the segment is for it; else not written.
enum drop tcp_handshake_no_conn(struct tcp_stack *stack, const struct segment *s, bool listen,
	uint64_t now_us, struct tcp_conn **made);

// A SYN that ended the TIME-WAIT of its 4-tuple: the new connection begins beyond old_snd_max.
enum drop tcp_handshake_reopen(
	struct tcp_stack *stack, const struct segment *s, uint32_t old_snd_max, uint64_t now_us);

// Our SYN is on its way or waits for the next flush.
void tcp_handshake_begin(struct tcp_conn *conn, uint64_t now_us);

// A segment in SYN-SENT. May end conn.
enum drop tcp_handshake_syn_sent(struct tcp_conn *conn, const struct segment *s, uint64_t now_us);

// An acceptable segment with ACK in SYN-RECEIVED: ESTABLISHED if it acknowledges our SYN, and opened() is called.
enum drop tcp_handshake_syn_received(
	struct tcp_conn *conn, const struct segment *s, uint64_t now_us);
