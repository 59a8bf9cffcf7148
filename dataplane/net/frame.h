// frame.h - Ethernet II frames to struct segment and back: ARP, IPv4, IPv6, ICMP echo, neighbour discovery, TCP.
//
// Thread:  any lcore.
// Memory:  a parsed frame borrows the octets it was parsed from.
// Blocks:  never. Cost: parse O(headers), plus the payload when checksums are verified in software.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "base/slice.h"
#include "net/icmp_error.h"
#include "net/ip.h"
#include "net/segment.h"
#include "net/tcp_header.h"

enum frame_kind {
	FRAME_ARP,
	FRAME_ECHO, // an ICMP or ICMPv6 echo request, verified
	FRAME_MLD,  // a query for multicast groups (RFC 3810), of this link
	FRAME_ND, // neighbour discovery (RFC 4861), of this link; what it says is not yet looked at
	FRAME_TCP,
	FRAME_ICMP_ERROR, // about a TCP segment
	FRAME_FRAGMENT,   // of a larger packet
};

enum {
	FRAME_ETHER_OCTETS = 14,
	// What frame_build() writes before the payload, at most.
	FRAME_HEADERS_MAX = FRAME_ETHER_OCTETS + IP_V6_OCTETS + TCP_HEADER_OCTETS_MAX,

	FRAME_IP_SUM_GOOD = 1,  // the port has verified the IPv4 header checksum
	FRAME_TCP_SUM_GOOD = 2, // and the TCP checksum
};

struct mac {
	uint8_t octets[6];
};

struct frame {
	enum frame_kind kind;
	struct mac src_mac, dst_mac;
	struct slice l3;         // what is behind the Ethernet header
	struct ip_packet ip;     // not for ARP
	struct segment tcp;      // kind FRAME_TCP
	struct icmp_error error; // kind FRAME_ICMP_ERROR
};

// sums: FRAME_*_SUM_GOOD bits that the port vouches for; the rest is verified here.
// DROP_NONE and *out filled, or the reason.
enum drop frame_parse(struct slice octets, unsigned sums, struct frame *out);

// Who does the checksums of what is sent.
enum frame_sums {
	FRAME_SUMS_SOFTWARE,
	FRAME_SUMS_PORT, // IPv4 header zero, TCP pseudo header only
};

struct frame_route {
	struct mac src_mac, dst_mac;
	enum frame_sums sums;
};

// Write the whole frame of a segment at out. Returns its octets; 0: more than cap.
uint32_t frame_build(
	const struct segment *s, const struct frame_route *route, uint8_t *out, uint32_t cap);

// The Ethernet header of an IP packet to or from this address.
void frame_put_ether(
	uint8_t *out, const struct mac *src, const struct mac *dst, const struct ip_addr *family);

// Turn an echo request into its reply, in place. octets as given to frame_parse(). Returns the octets of the reply, not more
// than the request had.
uint32_t frame_echo_reply(const struct frame *f, uint8_t *octets);
