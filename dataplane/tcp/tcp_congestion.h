// tcp_congestion.h - how much may be in flight, and when a loss is seen before the timer sees it: NewReno
// (RFC 5681, 6582), limited transmit (RFC 3042), ten segments to begin with (RFC 6928).
// The only writer of cwnd, ssthresh, recover, dup_acks and TCP_F_RECOVERY: another control goes here.
//
// Thread: the lcore that owns the stack. Memory: none. Cost: O(1).

#pragma once

#include "tcp/tcp_conn.h"

void tcp_congestion_on_established(struct tcp_conn *conn);

// snd_una has moved by acked octets; flight: octets that were out before.
void tcp_congestion_on_ack(struct tcp_conn *conn, uint32_t acked, uint32_t flight);

// A duplicate ACK as RFC 5681 2 defines it.
void tcp_congestion_on_dup_ack(struct tcp_conn *conn);

// The RTO has expired; snd_nxt is still what it was.
void tcp_congestion_on_timeout(struct tcp_conn *conn);

// Octets that may be in flight as far as the network goes.
uint32_t tcp_congestion_window(const struct tcp_conn *conn);
