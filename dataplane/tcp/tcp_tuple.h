// tcp_tuple.h - the four numbers that name a connection, and what is derived from them by a secret.
//
// Thread: any. Memory: none. Cost: one SipHash of 16 octets (v4) or 40 each.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/siphash.h"
#include "net/segment.h"

struct tcp_tuple {
	struct ip_addr local, peer;
	uint16_t local_port, peer_port;
};

// Of a segment that arrived: its destination is local.
struct tcp_tuple tcp_tuple_of_input(const struct segment *s);

// Of a segment that we would send: its source is local.
struct tcp_tuple tcp_tuple_of_output(const struct segment *s);

static inline bool tcp_tuple_eq(const struct tcp_tuple *a, const struct tcp_tuple *b)
{
	return a->peer_port == b->peer_port && a->local_port == b->local_port &&
	       ip_addr_eq(&a->peer, &b->peer) && ip_addr_eq(&a->local, &b->local);
}

// A hash of the tuple and one more number. Keyed, or strangers choose where their connections collide and know our numbers.
uint64_t tcp_tuple_hash(const struct siphash_key *key, const struct tcp_tuple *t, uint32_t more);

// The timestamp clock (RFC 7323 5.4), in milliseconds.
static inline uint32_t tcp_tuple_clock(uint64_t now_us, uint32_t offset)
{
	return (uint32_t)(now_us / 1000) + offset;
}

// What of a connection shows on the wire and must tell strangers nothing.
struct tcp_tuple_wire {
	uint32_t isn; // RFC 6528: M + F(tuple, secret), where M counts 4 us
	uint32_t
		timestamp_offset; // RFC 7323 5.4: added to our clock, or it tells how long we are up
};

struct tcp_tuple_wire tcp_tuple_wire(
	const struct siphash_key *key, const struct tcp_tuple *t, uint64_t now_us);
