// tcp_output.h - every segment that leaves is built here (RFC 9293 3.7, 3.8): what may be sent now, which
// window is offered, which flags and options it carries.
//
// Thread:  the lcore that owns the stack.
// Memory:  none; segments are built on the stack and handed to env->emit().
// Blocks:  never. Cost: O(segments sent).

#pragma once

#include "tcp/tcp_conn.h"
#include "tcp/tcp_cookie.h"

// Everything that conn may send now: SYN, a retransmission, new data with FIN, ACKs.
void tcp_output_conn(struct tcp_conn *conn, uint64_t now_us);

// The duplicate ACK that is owed, at once, since what follows would change what it says.
void tcp_output_owed(struct tcp_conn *conn, uint64_t now_us);

// Octets came that were here already. With SACK the peer hears at once which (RFC 2883).
void tcp_output_again(struct tcp_conn *conn, struct segment_sack again, uint64_t now_us);

// RST that the peer will take: its number is the next it expects if nothing was lost.
void tcp_output_reset(struct tcp_conn *conn, uint64_t now_us);

// Answer to a suspect segment (RFC 5961 7), at once; at most LIMIT_TCP_CHALLENGES of them in a second.
void tcp_output_challenge(struct tcp_conn *conn, uint64_t now_us);

// Something to be acknowledged at the end of what was sent (RFC 8985 7). Something is in flight.
void tcp_output_tail_probe(struct tcp_conn *conn, uint64_t now_us);

// Ask a peer whose window is shut (RFC 9293 3.8.6.1). True: the window let some octets leave, and they are in flight.
// An empty segment in front of what was acknowledged: whoever has the connection answers it.
void tcp_output_keepalive(struct tcp_conn *conn, uint64_t now_us);

bool tcp_output_probe(struct tcp_conn *conn, uint64_t now_us);

// SYN-ACK in answer to syn, from no connection.
void tcp_output_cookie(struct tcp_stack *stack, const struct segment *syn,
	const struct tcp_offer *offer, const struct tcp_cookie *cookie);

// RST for a segment that belongs to no connection (RFC 9293 3.10.7.1). s is not a RST.
void tcp_output_refuse(struct tcp_stack *stack, const struct segment *s);

// The application has consumed: tell the peer when that opens the window by something that is worth a segment.
void tcp_output_on_consumed(struct tcp_conn *conn);
