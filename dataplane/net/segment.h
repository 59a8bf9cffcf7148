// segment.h - a TCP segment without its octets' layout: what net_parse() makes of a packet, what
// tcp/ consumes and emits, what net_build() turns into a packet again (RFC 9293 section 3.1).
//
// Thread: any. Memory: payload is borrowed; it lives as long as the packet, block or text behind it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/slice.h"

enum {
	SEGMENT_FIN = 0x01,
	SEGMENT_SYN = 0x02,
	SEGMENT_RST = 0x04,
	SEGMENT_PSH = 0x08,
	SEGMENT_ACK = 0x10,
	SEGMENT_URG = 0x20,
	SEGMENT_ECE = 0x40,
	SEGMENT_CWR = 0x80,

	// The two bits of RFC 3168 5 and RFC 8311.
	SEGMENT_ECN_NONE = 0,
	SEGMENT_ECN_ECT1 = 1,
	SEGMENT_ECN_ECT0 = 2,
	SEGMENT_ECN_CE = 3,

	SEGMENT_PARTS = 4, // runs of payload a segment may be gathered from when sent
	SEGMENT_SACKS = 4, // SACK blocks in one segment (RFC 2018)
};

struct segment_sack {
	uint32_t left, right; // [left, right)
};

struct segment_options {
	bool has_mss, has_scale, has_timestamp, sack_permitted;
	uint8_t scale; // RFC 7323; at most 14
	uint8_t sack_count;
	uint16_t mss; // octets
	uint32_t tsval, tsecr;
	struct segment_sack sacks[SEGMENT_SACKS];
};

struct segment {
	struct ip_addr src, dst;
	uint16_t src_port, dst_port; // host order
	uint32_t seq, ack;
	uint16_t window; // as on the wire, not scaled
	uint16_t urgent;
	uint8_t flags; // SEGMENT_*
	uint8_t part_count;
	uint8_t nic_port;        // DPDK port it came from, or is to leave by
	uint8_t ecn;             // SEGMENT_ECN_*, of the IP header
	bool accurate_ecn;       // received: the AE bit of RFC 9768; never sent
	uint32_t payload_octets; // sum of the parts
	struct segment_options options;
	struct slice parts[SEGMENT_PARTS]; // received segments have 0 or 1
};

// Sequence numbers the segment occupies (SEG.LEN of RFC 9293).
static inline uint32_t segment_len(const struct segment *s)
{
	return s->payload_octets + ((s->flags & SEGMENT_SYN) != 0) +
	       ((s->flags & SEGMENT_FIN) != 0);
}
