// tcp_recovery.h - what an ACK or a timer says about loss, and what is done then: with SACK by time (RFC 8985) over the scoreboard of
// RFC 6675, without it by duplicates (RFC 6582); taken back when it was for nothing (RFC 3522, 2883).
//
// Thread: the lcore that owns the stack. Memory: struct tcp_flight. Cost: as tcp_flight and tcp_rack.

#pragma once

#include "tcp/tcp_flight.h"

// d: what s has delivered; snd_una has moved.
void tcp_recovery_on_ack(
	struct tcp_conn *conn, const struct segment *s, struct tcp_delivery *d, uint64_t now_us);

// TCP_DUE_PEER while something is in flight.
void tcp_recovery_on_timeout(struct tcp_conn *conn, uint64_t now_us);
// Without notes: the one segment in flight, flight octets of it, arrived and met congestion.
void tcp_recovery_on_echo(struct tcp_conn *conn, uint32_t flight);

void tcp_recovery_on_reorder_due(struct tcp_conn *conn, uint64_t now_us);

// seq was sent again; octets of it.
void tcp_recovery_on_sent_again(struct tcp_conn *conn, uint32_t octets, uint64_t now_us);
