// icmp_error.h - an ICMP or ICMPv6 error about a TCP segment that we are said to have sent: what it quotes, and what it says of it.
//
// Nothing of it proves where it comes from (RFC 5927); whether the segment it quotes was ever sent is for tcp/ to judge.
//
// Thread: any lcore. Memory: none. Blocks: never. Cost: O(1).

#pragma once

#include <stdint.h>

#include "base/drop.h"
#include "net/ip.h"

enum icmp_error_kind {
	ICMP_ERROR_SOFT,    // no route, time exceeded: may be over in a moment (RFC 1122 4.2.3.9)
	ICMP_ERROR_HARD,    // port or protocol unreachable, forbidden
	ICMP_ERROR_TOO_BIG, // the packet did not fit, see mtu
};

struct icmp_error {
	enum icmp_error_kind kind;
	struct ip_addr local, peer; // source and destination of the packet it quotes
	uint16_t local_port, peer_port;
	uint32_t seq;
	uint32_t quoted_octets; // of the IP packet that it quotes, as its header has it
	uint32_t mtu; // TOO_BIG: of the next hop; 0: an old router that does not say (RFC 1191 4)
};

// ip: protocol ICMP or ICMPv6, checksum verified, at least 8 octets. DROP_ICMP_BAD: no error of a kind that is of use, cut short, or not
// about a TCP segment from the address it is sent to.
enum drop icmp_error_parse(const struct ip_packet *ip, struct icmp_error *out);
