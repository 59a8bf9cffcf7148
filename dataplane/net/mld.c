#include "net/mld.h"

#include <string.h>

#include "net/checksum.h"
#include "net/iface.h"
#include "net/nd.h"
#include "net/octets.h"

enum {
	V1_OCTETS = 24,
	V2_OCTETS_MIN = 28,
	TYPE_REPORT_V1 = 131,
	TYPE_REPORT_V2 = 143,
	MODE_IS_EXCLUDE = 2, // nothing excluded: all of the group
	CHANGE_TO_EXCLUDE = 4,
	HOP_BY_HOP_OCTETS = 8,
};

enum drop mld_parse(const struct frame *f, struct mld_query *out)
{
	struct slice l4 = f->ip.l4;
	uint16_t code;

	if (l4.len < V1_OCTETS || !iface_is_link_local(&f->ip.src))
		return DROP_ICMP_BAD;
	code = octets_get16(l4.at + 4);
	out->v1 = l4.len < V2_OCTETS_MIN;
	out->within_ms = code;
	if (!out->v1 && code >= 0x8000) // RFC 3810 5.1.3: a floating point number
		out->within_ms = (uint32_t)((code & 0xfff) | 0x1000) << ((code >> 12 & 7) + 3);
	return DROP_NONE;
}

// A router alert (RFC 2711), which makes routers look at what is not for them.
static uint8_t *put_hop_by_hop(uint8_t *at)
{
	static const uint8_t octets[HOP_BY_HOP_OCTETS] = {IP_PROTOCOL_ICMP6, 0, 5, 2, 0, 0, 1, 0};

	memcpy(at, octets, sizeof(octets));
	return at + sizeof(octets);
}

// The headers before a message of l4_octets that lies where they end, and its checksum.
static uint32_t finish(uint8_t *out, const struct mld_report *report, const struct ip_addr *dst,
	uint16_t l4_octets)
{
	struct mac dst_mac = nd_group_mac(dst);
	struct ip_fields ip = {.src = report->src,
		.dst = *dst,
		.hop_limit = 1,
		.l4_octets = (uint16_t)(HOP_BY_HOP_OCTETS + l4_octets)};
	uint64_t sum = checksum_pseudo(&ip.src, &ip.dst, IP_PROTOCOL_ICMP6, l4_octets);
	uint8_t *icmp;
	uint16_t folded;

	memcpy(out, dst_mac.octets, 6);
	memcpy(out + 6, report->src_mac.octets, 6);
	octets_put16(out + 12, 0x86dd);
	(void)ip_put(out + FRAME_ETHER_OCTETS, &ip); // next header 0 is hop-by-hop
	icmp = put_hop_by_hop(out + FRAME_ETHER_OCTETS + IP_V6_OCTETS);
	folded = (uint16_t)~checksum_fold(checksum_add(sum, icmp, l4_octets));
	memcpy(icmp + 2, &folded, 2);
	return (uint32_t)(icmp - out) + l4_octets;
}

uint32_t mld_build_report(uint8_t *out, const struct mld_report *report)
{
	static const struct ip_addr routers = {{0xff, 2, [15] = 0x16}};
	uint8_t *icmp = out + FRAME_ETHER_OCTETS + IP_V6_OCTETS + HOP_BY_HOP_OCTETS;

	memset(icmp, 0, 8u + (size_t)report->count * MLD_RECORD_OCTETS);
	icmp[0] = TYPE_REPORT_V2;
	octets_put16(icmp + 6, report->count);
	for (size_t i = 0; i < report->count; i++) {
		uint8_t *record = icmp + 8 + i * MLD_RECORD_OCTETS;

		record[0] = report->joins ? CHANGE_TO_EXCLUDE : MODE_IS_EXCLUDE;
		memcpy(record + 4, report->groups[i].octets, 16);
	}
	return finish(out, report, &routers, (uint16_t)(8 + report->count * MLD_RECORD_OCTETS));
}

uint32_t mld_build_report_v1(uint8_t *out, const struct mld_report *report)
{
	uint8_t *icmp = out + FRAME_ETHER_OCTETS + IP_V6_OCTETS + HOP_BY_HOP_OCTETS;

	memset(icmp, 0, V1_OCTETS);
	icmp[0] = TYPE_REPORT_V1;
	memcpy(icmp + 8, report->groups[0].octets, 16);
	return finish(out, report, &report->groups[0], V1_OCTETS);
}
