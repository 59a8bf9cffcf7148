// icmp.h - ICMP (RFC 792) and ICMPv6 (RFC 4443): which of it is wanted, and the answer to ping.
//
// Thread: any lcore. Memory: none. Blocks: never. Cost: the checksum of the message.

#pragma once

#include <stdint.h>

#include "base/drop.h"
#include "net/ip.h"

enum icmp_kind {
	ICMP_ECHO_REQUEST,
	ICMP_MLD_QUERY, // of a router of this link: hop limit 1
	ICMP_ND, // a message of RFC 4861 with hop limit 255: nobody outside the link can have sent it
	ICMP_ERROR, // about a packet that it quotes (icmp_error.h)
	ICMP_OTHER, // good, and of no use here
};

// Protocol IP_PROTOCOL_ICMP or IP_PROTOCOL_ICMP6. DROP_NONE, or DROP_ICMP_BAD: malformed, a wrong checksum, or neighbour
// discovery from elsewhere.
enum drop icmp_parse(const struct ip_packet *ip, enum icmp_kind *kind);

// Write the packet that answers an echo request, without its options and extension headers; out may be where the request
// lies. Returns its octets.
uint32_t icmp_echo_reply(const struct ip_packet *ip, uint8_t *out);
