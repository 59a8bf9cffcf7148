// tcp_key.h - the keys a stack makes of its one secret: one for the table, and two that are replaced in turn, for what
// strangers see of a connection (initial sequence numbers, timestamps) and for SYN cookies.
//
// A key of a period is SipHash of the period's number under the secret, so that turning costs no randomness and who has seen the
// outputs of one period knows nothing of the next. A restart brings another secret.
//
// Thread:  the lcore that owns the stack.
// Memory:  inside the stack.
// Blocks:  never. Cost: one comparison; four hashes when a period ends.

#pragma once

#include <stdint.h>

#include "base/siphash.h"

struct tcp_key_pair {
	struct siphash_key now, before;
	uint64_t from_us, until_us; // the period of now
};

struct tcp_keys {
	struct siphash_key secret, table;
	struct tcp_key_pair wire, cookie;
};

void tcp_key_init(struct tcp_keys *keys, const struct siphash_key *secret);

// The keys of this moment; valid until the next call.
const struct tcp_key_pair *tcp_key_wire(struct tcp_keys *keys, uint64_t now_us);
const struct tcp_key_pair *tcp_key_cookie(struct tcp_keys *keys, uint64_t now_us);
