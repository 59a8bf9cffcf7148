// tcp_rack.h - loss seen by time (RACK-TLP, RFC 8985): what was sent a round trip before something that has arrived is lost;
// how long to wait for what may only be late; and a probe when the last of what was sent is not acknowledged.
//
// Thread: the lcore that owns the stack. Memory: struct tcp_flight. Cost: O(notes) when something is SACKed or being
// repaired, else O(1).

#pragma once

#include "tcp/tcp_flight.h"

// span was delivered by s, for the first time.
void tcp_rack_on_delivered(struct tcp_conn *conn, const struct tcp_span *span,
	const struct segment *s, uint64_t now_us);

// A segment that came twice was reported, so something was late and not lost.
void tcp_rack_on_again(struct tcp_conn *conn);

// A repair has ended.
void tcp_rack_on_repaired(struct tcp_conn *conn);

// Mark what is lost by now; rack.wait_us: when to ask again.
void tcp_rack_detect(struct tcp_conn *conn, uint64_t now_us);

// After an RTO: what left later than this may still arrive (RFC 8985 6.3).
uint32_t tcp_rack_lost_before_us(const struct tcp_conn *conn, uint64_t now_us);

// RFC 8985 7.2. 0: no probe now.
uint64_t tcp_rack_probe_us(const struct tcp_conn *conn);
