// tcp_congestion.h - how much may be in flight: ten segments to begin with (RFC 6928), slow start, CUBIC (RFC 9438), a proportional
// reduction while a loss is repaired (RFC 6937), validation of a window that is not used (RFC 7661), restart after idle
// time (RFC 5681 4.1). The only writer of cwnd and ssthresh.
//
// Thread: the lcore that owns the stack. Memory: struct tcp_flight. Cost: O(1).

#pragma once

#include "tcp/tcp_flight.h"

void tcp_congestion_on_established(struct tcp_conn *conn);

// Something new is about to leave, and nothing is in flight.
void tcp_congestion_on_restart(struct tcp_conn *conn, uint64_t now_us);

void tcp_congestion_on_sent(struct tcp_conn *conn, uint32_t octets);

// Something new has left.
void tcp_congestion_on_new(struct tcp_conn *conn);

// The window held something back.
void tcp_congestion_on_limited(struct tcp_conn *conn);

// Something arrived and nothing is being repaired, or a time-out is.
void tcp_congestion_grow(struct tcp_conn *conn, const struct tcp_delivery *d, uint64_t now_us);

// A loss was seen, or congestion, when flight octets were out: ssthresh, and all that is needed to take it back.
void tcp_congestion_cut(struct tcp_conn *conn, uint32_t flight);

// Congestion was met by the one segment in flight, which is acknowledged by now.
void tcp_congestion_cut_unnoted(struct tcp_conn *conn, uint32_t flight);

// The cut is to be reached within a round trip.
void tcp_congestion_begin_repair(struct tcp_conn *conn);
void tcp_congestion_repair(struct tcp_conn *conn, const struct tcp_delivery *d, bool lost_more);
void tcp_congestion_end_repair(struct tcp_conn *conn);

// The RTO has expired.
void tcp_congestion_collapse(struct tcp_conn *conn);

// The last cut was for nothing.
void tcp_congestion_undo(struct tcp_conn *conn, uint32_t acked);
