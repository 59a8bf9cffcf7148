#include "sim/sim_router.h"

#include <string.h>

#include "net/checksum.h"
#include "net/ip.h"
#include "net/octets.h"
#include "net/segment.h"

enum {
	ETHER_TYPE_AT = 12,
	ETHER_V4 = 0x0800,
	ETHER_V6 = 0x86dd,
	V4_SUM_AT = 10,
	V4_FLAGS_AT = 6,
	V4_DO_NOT_FRAGMENT = 0x40,
	ICMP_OCTETS = 8,
	UNREACHABLE = 3,
	FRAGMENTATION_NEEDED = 4,
	TOO_BIG_V6 = 2,
	QUOTED_V4 = 28, // header and eight octets (RFC 792); some say more
	QUOTED_V6 = 1232,
};

// The IP packet of a frame; octets 0: none.
static struct slice packet_of(const uint8_t *frame, uint32_t octets)
{
	uint16_t type = octets > SIM_ROUTER_ETHER_OCTETS + IP_V6_OCTETS
				? octets_get16(frame + ETHER_TYPE_AT)
				: 0;

	if (type != ETHER_V4 && type != ETHER_V6)
		return (struct slice){0};
	return (struct slice){frame + SIM_ROUTER_ETHER_OCTETS, octets - SIM_ROUTER_ETHER_OCTETS};
}

static bool is_v4(const uint8_t *packet)
{
	return packet[0] >> 4 == 4;
}

bool sim_router_mark(uint8_t *frame, uint32_t octets)
{
	uint8_t *packet = frame + SIM_ROUTER_ETHER_OCTETS;
	uint16_t sum = 0;

	if (packet_of(frame, octets).len == 0)
		return false;
	if (!is_v4(packet)) {
		if ((packet[1] >> 4 & 3) == SEGMENT_ECN_NONE)
			return false;
		packet[1] |= SEGMENT_ECN_CE << 4;
		return true;
	}
	if ((packet[1] & 3) == SEGMENT_ECN_NONE)
		return false;
	packet[1] |= SEGMENT_ECN_CE;
	memcpy(packet + V4_SUM_AT, &sum, 2);
	sum = (uint16_t)~checksum_fold(checksum_add(0, packet, IP_V4_OCTETS));
	memcpy(packet + V4_SUM_AT, &sum, 2);
	return true;
}

static void addresses(const uint8_t *packet, struct ip_fields *fields)
{
	if (is_v4(packet)) {
		fields->dst = ip_addr_from_v4(octets_get32(packet + 12));
		fields->src = ip_addr_from_v4(0xc0000201);
		return;
	}
	memcpy(fields->dst.octets, packet + 8, sizeof(fields->dst.octets));
	fields->src = fields->dst;
	fields->src.octets[15] = (uint8_t)~fields->dst.octets[15];
}

uint32_t sim_router_too_big(const uint8_t *frame, uint32_t octets, uint32_t mtu, uint8_t *out)
{
	struct slice packet = packet_of(frame, octets);
	struct ip_fields fields = {.hop_limit = IP_HOP_LIMIT};
	uint8_t *ip = out + SIM_ROUTER_ETHER_OCTETS, *icmp;
	uint64_t pseudo = 0;
	uint16_t sum;

	if (packet.len == 0 ||
		(is_v4(packet.at) && (packet.at[V4_FLAGS_AT] & V4_DO_NOT_FRAGMENT) == 0))
		return 0;
	bool v4 = is_v4(packet.at);
	uint32_t quoted = v4 ? QUOTED_V4 : QUOTED_V6;

	quoted = quoted < packet.len ? quoted : (uint32_t)packet.len;
	addresses(packet.at, &fields);
	fields.protocol = v4 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_ICMP6;
	fields.l4_octets = (uint16_t)(ICMP_OCTETS + quoted);
	memcpy(out, frame + 6, 6);
	memcpy(out + 6, frame, 6);
	memcpy(out + ETHER_TYPE_AT, frame + ETHER_TYPE_AT, 2);
	icmp = ip + ip_put(ip, &fields);
	memset(icmp, 0, ICMP_OCTETS);
	icmp[0] = v4 ? UNREACHABLE : TOO_BIG_V6;
	icmp[1] = v4 ? FRAGMENTATION_NEEDED : 0;
	octets_put32(icmp + 4, mtu);
	memcpy(icmp + ICMP_OCTETS, packet.at, quoted);
	if (!v4)
		pseudo = checksum_pseudo(
			&fields.src, &fields.dst, IP_PROTOCOL_ICMP6, fields.l4_octets);
	sum = (uint16_t)~checksum_fold(checksum_add(pseudo, icmp, fields.l4_octets));
	memcpy(icmp + 2, &sum, 2);
	return (uint32_t)(icmp - out) + fields.l4_octets;
}
