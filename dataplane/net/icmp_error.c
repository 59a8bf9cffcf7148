#include "net/icmp_error.h"

#include <stdbool.h>

#include "net/octets.h"

enum {
	HEADER_OCTETS = 8, // in front of the quoted packet
	QUOTED_TCP = 8,    // at least so much of the TCP header: ports and sequence number

	V4_UNREACHABLE = 3,
	V4_TIME_EXCEEDED = 11,
	V4_PARAMETER = 12,
	V4_CODE_PROTOCOL = 2,
	V4_CODE_PORT = 3,
	V4_CODE_TOO_BIG = 4,
	V4_CODE_FORBIDDEN_NET = 9,
	V4_CODE_FORBIDDEN_HOST = 10,
	V4_CODE_FORBIDDEN = 13,

	V6_UNREACHABLE = 1,
	V6_TOO_BIG = 2,
	V6_TIME_EXCEEDED = 3,
	V6_PARAMETER = 4,
	V6_CODE_FORBIDDEN = 1,
	V6_CODE_PORT = 4,
	V6_CODE_NEXT_HEADER = 1, // of V6_PARAMETER
};

static bool kind_v4(const uint8_t *icmp, struct icmp_error *out)
{
	uint8_t code = icmp[1];

	out->kind = ICMP_ERROR_SOFT;
	if (icmp[0] == V4_TIME_EXCEEDED || icmp[0] == V4_PARAMETER)
		return true;
	if (icmp[0] != V4_UNREACHABLE)
		return false; // source quench among them (RFC 6633)
	if (code == V4_CODE_TOO_BIG) {
		out->kind = ICMP_ERROR_TOO_BIG;
		out->mtu = octets_get16(icmp + 6);
	} else if (code == V4_CODE_PROTOCOL || code == V4_CODE_PORT ||
		   code == V4_CODE_FORBIDDEN_NET || code == V4_CODE_FORBIDDEN_HOST ||
		   code == V4_CODE_FORBIDDEN) {
		out->kind = ICMP_ERROR_HARD;
	}
	return true;
}

static bool kind_v6(const uint8_t *icmp, struct icmp_error *out)
{
	uint8_t code = icmp[1];

	out->kind = ICMP_ERROR_SOFT;
	switch (icmp[0]) {
	case V6_TOO_BIG:
		out->kind = ICMP_ERROR_TOO_BIG;
		out->mtu = octets_get32(icmp + 4);
		return true;
	case V6_UNREACHABLE:
		if (code == V6_CODE_PORT || code == V6_CODE_FORBIDDEN)
			out->kind = ICMP_ERROR_HARD;
		return true;
	case V6_PARAMETER:
		if (code == V6_CODE_NEXT_HEADER)
			out->kind = ICMP_ERROR_HARD;
		return true;
	default:
		return icmp[0] == V6_TIME_EXCEEDED;
	}
}

// The header of the quoted packet; what follows it is left in rest. Only what we send counts: TCP, unfragmented, no extension
// headers.
static bool quote_v4(struct slice quoted, struct icmp_error *out, struct slice *rest)
{
	size_t header;

	if (quoted.len < IP_V4_OCTETS || quoted.at[0] >> 4 != 4)
		return false;
	header = (size_t)(quoted.at[0] & 15) * 4;
	if (header < IP_V4_OCTETS || header > quoted.len || quoted.at[9] != IP_PROTOCOL_TCP ||
		(octets_get16(quoted.at + 6) & 0x3fff) != 0)
		return false;
	out->quoted_octets = octets_get16(quoted.at + 2);
	out->local = ip_addr_from_v4(octets_get32(quoted.at + 12));
	out->peer = ip_addr_from_v4(octets_get32(quoted.at + 16));
	*rest = (struct slice){quoted.at + header, quoted.len - header};
	return true;
}

static bool quote_v6(struct slice quoted, struct icmp_error *out, struct slice *rest)
{
	if (quoted.len < IP_V6_OCTETS || quoted.at[0] >> 4 != 6 || quoted.at[6] != IP_PROTOCOL_TCP)
		return false;
	out->quoted_octets = IP_V6_OCTETS + (uint32_t)octets_get16(quoted.at + 4);
	memcpy(out->local.octets, quoted.at + 8, 16);
	memcpy(out->peer.octets, quoted.at + 24, 16);
	*rest = (struct slice){quoted.at + IP_V6_OCTETS, quoted.len - IP_V6_OCTETS};
	// A v4 address in a v6 header would be taken for another flow.
	return !ip_addr_is_v4(&out->local) && !ip_addr_is_v4(&out->peer);
}

enum drop icmp_error_parse(const struct ip_packet *ip, struct icmp_error *out)
{
	bool v4 = ip->protocol == IP_PROTOCOL_ICMP;
	struct slice quoted = {ip->l4.at + HEADER_OCTETS, ip->l4.len - HEADER_OCTETS}, tcp;

	*out = (struct icmp_error){.mtu = 0};
	if (!(v4 ? kind_v4(ip->l4.at, out) : kind_v6(ip->l4.at, out)))
		return DROP_ICMP_BAD;
	if (!(v4 ? quote_v4(quoted, out, &tcp) : quote_v6(quoted, out, &tcp)))
		return DROP_ICMP_BAD;
	if (tcp.len < QUOTED_TCP || !ip_addr_eq(&out->local, &ip->dst))
		return DROP_ICMP_BAD;
	out->local_port = octets_get16(tcp.at);
	out->peer_port = octets_get16(tcp.at + 2);
	out->seq = octets_get32(tcp.at + 4);
	return DROP_NONE;
}
