// sim_link.h - a wire between two hosts that can be told to be bad: frames in, frames out, some later, changed, twice or never.
// What happens to the n-th frame of a direction follows from the seed, n, and the time.
//
// Two users: the simulator, in virtual time, and postern-relay, between two interfaces of the kernel, in real time.
//
// Thread:  any, one at a time.
// Memory:  a copy of each frame on its way.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Each way. 0 of anything: the wire does not do that.
struct sim_link_config {
	uint64_t seed;
	uint32_t delay_us, jitter_us;
	uint32_t loss_ppm, duplicate_ppm;
	uint32_t
		corrupt_ppm; // so many have one octet changed, behind the Ethernet header: no checksum misses that
	uint32_t reorder_ppm, reorder_us; // so many are late by so much
	uint32_t kbit_s;                  // how fast frames leave the queue
	uint32_t
		queue_octets; // the queue's end: what finds it full is dropped; 0: it has none. Only with kbit_s
	uint32_t
		mark_octets; // behind so many, packets of senders that know ECN are marked (RFC 3168). Only with kbit_s
	uint32_t mtu;     // IP packets of more octets vanish in the middle of the path
	bool mtu_is_told; // by ICMP of a router on the way (RFC 1191, RFC 4443 3.2); IPv4 packets that may be fragmented vanish all the same
};

struct sim_link_packet {
	uint64_t due_us, order;
	uint8_t *frame;
	uint32_t octets;
	int to; // host 0 or 1
};

// Each frame is in exactly one of the last six, or on its way; doubled and told ones are additional.
struct sim_link_counters {
	uint64_t sent, doubled, told, lost, overflowed, too_big, corrupted, marked, arrived;
};

struct sim_link_way {
	uint64_t number;      // of the frame that comes next
	uint64_t free_us;     // when the queue will be empty
	uint64_t credit_bits; // of the microsecond that begins then
};

struct sim_link {
	struct sim_link_config config;
	uint64_t order;
	struct sim_link_way ways[2];  // to host 0 and 1
	struct sim_link_packet *heap; // earliest first
	uint32_t count, room;
	struct sim_link_counters counters;
};

// xorshift64*; for the rest of a simulation, too.
uint64_t sim_link_random(uint64_t *state);

void sim_link_init(struct sim_link *link, const struct sim_link_config *config);
void sim_link_free(struct sim_link *link);

// A whole Ethernet frame leaves for host to.
void sim_link_send(
	struct sim_link *link, const uint8_t *frame, uint32_t octets, int to, uint64_t now_us);

// The same for a frame that only takes the link's delay: it has no number, and nothing befalls it.
void sim_link_pass(
	struct sim_link *link, const uint8_t *frame, uint32_t octets, int to, uint64_t now_us);

// UINT64_MAX: nothing is on its way.
uint64_t sim_link_next_us(const struct sim_link *link);

// The earliest frame, if it is due. The caller frees out->frame.
bool sim_link_receive(struct sim_link *link, uint64_t now_us, struct sim_link_packet *out);
