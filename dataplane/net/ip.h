// ip.h - IPv4 (RFC 791) and IPv6 (RFC 8200) headers: octets <-> struct ip_packet.
//
// IPv6 extension headers are skipped within bounds (limits.h): hop-by-hop options, destination options and routing headers
// with nothing left to visit (RFC 5095). An option that must not be ignored (RFC 8200 4.2) ends the packet, without an ICMP
// answer: it would help nobody but a scanner.
//
// Thread: any lcore. Memory: a parsed packet borrows its octets. Blocks: never. Cost: O(headers).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "base/ip_addr.h"
#include "base/slice.h"

enum {
	IP_PROTOCOL_ICMP = 1,
	IP_PROTOCOL_TCP = 6,
	IP_PROTOCOL_ICMP6 = 58,

	IP_V4_OCTETS = 20, // of a header that we write
	IP_V6_OCTETS = 40,
	IP_HOP_LIMIT = 64, // of what we send, where no protocol says otherwise
};

// Where the payload of a fragment lies in that of its packet.
struct ip_fragment {
	uint32_t id;
	uint16_t offset; // octets
	bool more;       // others follow behind it
};

struct ip_packet {
	struct ip_addr src, dst;
	struct slice all; // header and payload, without Ethernet padding
	struct slice l4;  // what the headers carry
	uint8_t protocol; // of l4: IP_PROTOCOL_*, or one we do not know
	uint8_t hop_limit;
	uint8_t ecn;      // SEGMENT_ECN_*
	bool is_fragment; // of a packet in more than one; then l4 is a part of what protocol names
	struct ip_fragment fragment;
};

// The source is one that can be answered; only over IPv6 it may be the unspecified address, for the caller to refuse unless
// it is neighbour discovery. A fragment header that says that there is only one fragment is skipped (RFC 6946).
// sum_is_good: somebody has verified the v4 header checksum.
enum drop ip_parse_v4(struct slice in, bool sum_is_good, struct ip_packet *out);
enum drop ip_parse_v6(struct slice in, struct ip_packet *out);

// Write a header in front of l4_octets; out has room for IP_V4_OCTETS or IP_V6_OCTETS. Returns which.
struct ip_fields {
	struct ip_addr src, dst; // of one family
	uint8_t protocol, hop_limit, ecn;
	uint16_t l4_octets;
	bool may_be_cut;             // v4: routers may make fragments of it
	struct ip_fragment fragment; // v4: which part of a packet it is; zero: all
	bool no_sum;                 // leave the v4 header checksum to the port
};

uint32_t ip_put(uint8_t *out, const struct ip_fields *fields);

// Octets that ip_put() writes for this address.
static inline uint32_t ip_octets(const struct ip_addr *addr)
{
	return ip_addr_is_v4(addr) ? IP_V4_OCTETS : IP_V6_OCTETS;
}
