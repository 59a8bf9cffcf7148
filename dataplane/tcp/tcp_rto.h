// tcp_rto.h - round trips measured and the retransmission time-out made of them (RFC 6298).
//
// Thread: the lcore that owns the stack. Memory: none. Cost: O(1).

#pragma once

#include "tcp/tcp_conn.h"

// A segment with new octets that ends at end was sent: time it if nothing is being timed.
void tcp_rto_on_sent(struct tcp_conn *conn, uint32_t end, uint64_t now_us);

// Karn: what was sent twice tells nothing.
void tcp_rto_on_retransmit(struct tcp_conn *conn);

// s acknowledges something new.
void tcp_rto_on_ack(struct tcp_conn *conn, const struct segment *s, uint64_t now_us);

// With back-off.
uint64_t tcp_rto_us(const struct tcp_conn *conn);

// Between two window probes.
uint64_t tcp_rto_probe_us(const struct tcp_conn *conn);

// Our clock as timestamps show it: milliseconds and the offset of the connection.
uint32_t tcp_rto_timestamp(const struct tcp_conn *conn, uint64_t now_us);
