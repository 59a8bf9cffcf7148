// tcp_send.h - the send queue of a connection: octets queued and not yet acknowledged.
// tcp_send() and tcp_send_space() are in tcp.h.
//
// Thread:  the lcore that owns the stack.
// Memory:  blocks of the stack; none when everything is acknowledged.
// Blocks:  never. Cost: O(blocks touched).

#pragma once

#include "tcp/tcp_conn.h"

// Give s the queued octets from seq on, at most len of them and at most SEGMENT_PARTS runs. Returns how many.
uint32_t tcp_send_gather(struct tcp_conn *conn, uint32_t seq, uint32_t len, struct segment *s);

// The first octets of the queue are acknowledged.
void tcp_send_acked(struct tcp_conn *conn, uint32_t octets);

// Forget the queue.
void tcp_send_discard(struct tcp_conn *conn);
