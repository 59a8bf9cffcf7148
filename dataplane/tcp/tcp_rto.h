// tcp_rto.h - round trips measured and the retransmission time-out made of them (RFC 6298).
//
// Thread: the lcore that owns the stack. Memory: none. Cost: O(1).

#pragma once

#include "tcp/tcp_flight.h"

// SYN or octets leave for the first time, and nothing is in flight.
void tcp_rto_on_first_sent(struct tcp_conn *conn, uint64_t now_us);

// Karn: what was sent twice tells nothing.
void tcp_rto_on_retransmit(struct tcp_conn *conn);

// s acknowledges our SYN.
void tcp_rto_on_syn_acked(struct tcp_conn *conn, const struct segment *s, uint64_t now_us);

// s acknowledges octets; d: what it says of those with notes.
void tcp_rto_on_ack(struct tcp_conn *conn, const struct segment *s, const struct tcp_delivery *d,
	uint64_t now_us);

// With back-off.
uint64_t tcp_rto_us(const struct tcp_conn *conn);

// Between two window probes.
uint64_t tcp_rto_probe_us(const struct tcp_conn *conn);

// Our clock as timestamps show it: milliseconds and the offset of the connection.
uint32_t tcp_rto_timestamp(const struct tcp_conn *conn, uint64_t now_us);
