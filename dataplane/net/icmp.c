#include "net/icmp.h"

#include <string.h>

#include "net/checksum.h"
#include "net/octets.h"

enum {
	HEADER_OCTETS = 8, // of an echo
	ECHO_REQUEST_V4 = 8,
	ECHO_REPLY_V4 = 0,
	ECHO_REQUEST_V6 = 128,
	ECHO_REPLY_V6 = 129,
	UNREACHABLE_V4 = 3,
	TIME_EXCEEDED_V4 = 11,
	PARAMETER_V4 = 12,
	ERRORS_END_V6 = 128, // RFC 4443 2.1
	MLD_QUERY = 130,
	MLD_HOP_LIMIT = 1,
	ND_FIRST = 133, // router solicitation
	ND_LAST = 137,  // redirect
	ND_HOP_LIMIT = 255,
	DO_NOT_CUT = 0x4000,
};

static uint64_t pseudo_of(const struct ip_packet *ip)
{
	if (ip->protocol == IP_PROTOCOL_ICMP)
		return 0; // v4 has none
	return checksum_pseudo(&ip->src, &ip->dst, ip->protocol, (uint16_t)ip->l4.len);
}

static enum icmp_kind kind_v4(uint8_t type)
{
	if (type == UNREACHABLE_V4 || type == TIME_EXCEEDED_V4 || type == PARAMETER_V4)
		return ICMP_ERROR;
	return type == ECHO_REQUEST_V4 ? ICMP_ECHO_REQUEST : ICMP_OTHER;
}

static enum icmp_kind kind_v6(uint8_t type)
{
	if (type >= ND_FIRST && type <= ND_LAST)
		return ICMP_ND;
	if (type < ERRORS_END_V6)
		return ICMP_ERROR;
	if (type == MLD_QUERY)
		return ICMP_MLD_QUERY;
	return type == ECHO_REQUEST_V6 ? ICMP_ECHO_REQUEST : ICMP_OTHER;
}

enum drop icmp_parse(const struct ip_packet *ip, enum icmp_kind *kind)
{
	bool v4 = ip->protocol == IP_PROTOCOL_ICMP;

	// ICMPv6 over IPv4, or the other way round, is no protocol at all.
	if (ip->l4.len < HEADER_OCTETS || v4 != ip_addr_is_v4(&ip->dst))
		return DROP_ICMP_BAD;
	*kind = v4 ? kind_v4(ip->l4.at[0]) : kind_v6(ip->l4.at[0]);
	if (*kind != ICMP_OTHER && *kind != ICMP_ERROR && ip->l4.at[1] != 0)
		return DROP_ICMP_BAD;
	if (*kind == ICMP_ND && ip->hop_limit != ND_HOP_LIMIT)
		return DROP_ICMP_BAD;
	if (*kind == ICMP_MLD_QUERY && ip->hop_limit != MLD_HOP_LIMIT)
		return DROP_ICMP_BAD;
	if (checksum_fold(checksum_add(pseudo_of(ip), ip->l4.at, ip->l4.len)) != 0xffff)
		return DROP_ICMP_BAD;
	return DROP_NONE;
}

uint32_t icmp_echo_reply(const struct ip_packet *ip, uint8_t *out)
{
	const bool v4 = ip_addr_is_v4(&ip->dst);
	const struct ip_fields fields = {.src = ip->dst,
		.dst = ip->src,
		.protocol = ip->protocol,
		.hop_limit = IP_HOP_LIMIT,
		.l4_octets = (uint16_t)ip->l4.len,
		// What came in pieces may leave in pieces.
		.fragment.id = v4 ? octets_get16(ip->all.at + 4) : 0,
		.may_be_cut = v4 && (octets_get16(ip->all.at + 6) & DO_NOT_CUT) == 0};
	const uint64_t pseudo = pseudo_of(ip); // the same in both directions
	uint8_t *icmp = out + ip_octets(&ip->dst);
	uint16_t sum;

	memmove(icmp, ip->l4.at, ip->l4.len);
	(void)ip_put(out, &fields);
	icmp[0] = ip->protocol == IP_PROTOCOL_ICMP ? ECHO_REPLY_V4 : ECHO_REPLY_V6;
	memset(icmp + 2, 0, 2);
	sum = (uint16_t)~checksum_fold(checksum_add(pseudo, icmp, ip->l4.len));
	memcpy(icmp + 2, &sum, 2);
	return ip_octets(&ip->dst) + (uint32_t)ip->l4.len;
}
