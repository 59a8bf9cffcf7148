// nd.h - neighbour discovery (RFC 4861): solicitations and advertisements, with the nonce of RFC 7527.
//
// Thread: any lcore. Memory: none. Blocks: never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "net/frame.h"

enum {
	ND_NONCE_OCTETS = 6,
	ND_FRAME_OCTETS_MAX = FRAME_ETHER_OCTETS + IP_V6_OCTETS + 24 + 8 + 8,
};

struct nd {
	bool solicitation;         // else an advertisement
	bool solicited, overrides; // of an advertisement
	bool has_mac, has_nonce;
	struct ip_addr target;
	struct mac mac; // the sender's, or the target's of an advertisement
	uint8_t nonce[ND_NONCE_OCTETS];
};

// Checks of RFC 4861 7.1. DROP_NONE; DROP_ND_BAD; DROP_ND_IGNORED: a router's message, which is not obeyed here.
enum drop nd_parse(const struct frame *f, struct nd *out);

// A solicitation without a source looks whether target is free (RFC 4862 5.4.2).
static inline bool nd_is_probe(const struct frame *f, const struct nd *nd)
{
	return nd->solicitation && ip_addr_is_unspecified(&f->ip.src);
}

struct nd_solicit {
	struct mac src_mac;
	struct ip_addr src; // unspecified: a probe, which carries nonce
	struct ip_addr target;
	const struct mac *dst_mac; // ask the target there; NULL: all
	uint8_t nonce[ND_NONCE_OCTETS];
};

// out has ND_FRAME_OCTETS_MAX. Return the octets written.
uint32_t nd_build_solicit(uint8_t *out, const struct nd_solicit *what);

struct nd_advert {
	struct mac mac;            // ours
	struct ip_addr target;     // ours, and the source
	const struct ip_addr *dst; // who asked, at dst_mac; NULL: all
	struct mac dst_mac;
	bool overrides;
};

uint32_t nd_build_advert(uint8_t *out, const struct nd_advert *what);

// ff02::1:ffXX:XXXX of an address (RFC 4291 2.7.1), and the Ethernet address of a multicast group (RFC 2464 7).
struct ip_addr nd_solicited_node(const struct ip_addr *addr);
struct mac nd_group_mac(const struct ip_addr *group);
