// tcp_cookie.h - a handshake that costs no memory (RFC 4987 3.6): what the SYN said travels in our sequence number and
// timestamp and comes back with the ACK.
//
//   sequence number  29 bits of SipHash(key; addresses, ports, the peer's number), 3 bits of MSS class under the same hash
//   timestamp        our clock, its lowest 6 bits: window scale (15: none), SACK, ECN. Only when the peer offers timestamps; without
//                    them nothing but the MSS class is agreed on
//
// A key lives LIMIT_TCP_COOKIE_KEY_S and is then good for reading as long again. The clock of the timestamp has an offset
// from the hash, so it tells nobody how long we are up, and goes on without a step in the connection that is made of it.
//
// A stranger who guesses gets a connection once in 2^28 ACKs, and only while cookies are being sent. Who alters the MSS class or the
// timestamp's bits of his own cookie gets what he could have had by another SYN.
//
// Bugs:    the ACK that ends the handshake must arrive: nothing repeats our SYN-ACK, and an SMTP client says nothing before
//          it is greeted. So cookies are for pressure, and `always` is for tests and for the worst of days.
// Thread:  the lcore that owns the stack.
// Memory:  none.
// Blocks:  never. Cost: one SipHash of 16 (v4) or 40 octets, one or two to read.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tcp/tcp_key.h"
#include "tcp/tcp_tuple.h"

// What two SYNs agreed on.
struct tcp_offer {
	uint32_t flags; // TCP_F_SCALE, TCP_F_TIMESTAMPS, TCP_F_SACK, TCP_F_ECN
	uint16_t mss;   // octets the peer takes in a segment, options included
	uint8_t scale;  // of the peer's window
};

struct tcp_cookie {
	uint32_t isn;
	uint32_t tsval;     // for the SYN-ACK; only with TCP_F_TIMESTAMPS
	uint32_t ts_offset; // of our timestamp clock
};

// The answer to syn, of which offer was agreed on.
struct tcp_cookie tcp_cookie_make(struct tcp_keys *keys, const struct segment *syn,
	const struct tcp_offer *offer, uint64_t now_us);

// Does ack bring back a cookie that is not too old? Then *offer is what was agreed on.
bool tcp_cookie_read(struct tcp_keys *keys, const struct segment *ack, uint64_t now_us,
	struct tcp_offer *offer, struct tcp_cookie *cookie);
