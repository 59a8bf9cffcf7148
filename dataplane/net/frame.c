#include "net/frame.h"

#include <string.h>

#include "net/checksum.h"
#include "net/icmp.h"
#include "net/octets.h"

enum {
	ETHER_TYPE_IPV4 = 0x0800,
	ETHER_TYPE_ARP = 0x0806,
	ETHER_TYPE_IPV6 = 0x86dd,
};

static bool tcp_sum_is_good(const struct ip_packet *ip)
{
	uint64_t sum = checksum_pseudo(&ip->src, &ip->dst, IP_PROTOCOL_TCP, (uint16_t)ip->l4.len);

	return checksum_fold(checksum_add(sum, ip->l4.at, ip->l4.len)) == 0xffff;
}

static enum drop parse_tcp(unsigned sums, struct frame *f)
{
	f->kind = FRAME_TCP;
	if (f->ip.l4.len < TCP_HEADER_OCTETS)
		return DROP_TCP_BAD;
	if ((sums & FRAME_TCP_SUM_GOOD) == 0 && !tcp_sum_is_good(&f->ip))
		return DROP_TCP_CHECKSUM;
	f->tcp.src = f->ip.src;
	f->tcp.dst = f->ip.dst;
	f->tcp.ecn = f->ip.ecn;
	return tcp_header_parse(f->ip.l4, &f->tcp);
}

static const enum frame_kind kind_of_icmp[] = {
	[ICMP_ECHO_REQUEST] = FRAME_ECHO,
	[ICMP_MLD_QUERY] = FRAME_MLD,
	[ICMP_ND] = FRAME_ND,
};

static enum drop parse_icmp(struct frame *f)
{
	enum icmp_kind kind;
	enum drop why = icmp_parse(&f->ip, &kind);

	if (why != DROP_NONE)
		return why;
	if (kind == ICMP_OTHER)
		return DROP_ICMP_BAD;
	if (kind == ICMP_ERROR) {
		f->kind = FRAME_ICMP_ERROR;
		return icmp_error_parse(&f->ip, &f->error);
	}
	f->kind = kind_of_icmp[kind];
	return DROP_NONE;
}

static enum drop parse_payload(unsigned sums, struct frame *f)
{
	enum drop why = DROP_NONE;

	if (f->ip.is_fragment) {
		f->kind = FRAME_FRAGMENT;
		return ip_addr_is_unspecified(&f->ip.src) ? DROP_IP_SOURCE : DROP_NONE;
	}
	switch (f->ip.protocol) {
	case IP_PROTOCOL_TCP:
		why = parse_tcp(sums, f);
		break;
	case IP_PROTOCOL_ICMP:
	case IP_PROTOCOL_ICMP6:
		why = parse_icmp(f);
		break;
	default:
		return DROP_IP_PROTOCOL;
	}
	// A host that looks whether an address is free has none yet (RFC 4862 5.4.2); everybody else has one.
	if (why == DROP_NONE && f->kind != FRAME_ND && ip_addr_is_unspecified(&f->ip.src))
		return DROP_IP_SOURCE;
	return why;
}

enum drop frame_parse(struct slice octets, unsigned sums, struct frame *out)
{
	enum drop why;

	if (octets.len < FRAME_ETHER_OCTETS)
		return DROP_ETH_SHORT;
	memcpy(out->dst_mac.octets, octets.at, 6);
	memcpy(out->src_mac.octets, octets.at + 6, 6);
	out->l3 = (struct slice){octets.at + FRAME_ETHER_OCTETS, octets.len - FRAME_ETHER_OCTETS};
	switch (octets_get16(octets.at + 12)) {
	case ETHER_TYPE_IPV4:
		why = ip_parse_v4(out->l3, (sums & FRAME_IP_SUM_GOOD) != 0, &out->ip);
		break;
	case ETHER_TYPE_IPV6:
		why = ip_parse_v6(out->l3, &out->ip);
		break;
	case ETHER_TYPE_ARP:
		out->kind = FRAME_ARP;
		return DROP_NONE;
	default:
		return DROP_ETH_TYPE;
	}
	return why == DROP_NONE ? parse_payload(sums, out) : why;
}

// ---- Building

static uint32_t put_payload(uint8_t *at, const struct segment *s)
{
	uint32_t n = 0;

	for (uint8_t i = 0; i < s->part_count; i++) {
		memcpy(at + n, s->parts[i].at, s->parts[i].len);
		n += (uint32_t)s->parts[i].len;
	}
	return n;
}

void frame_put_ether(
	uint8_t *out, const struct mac *src, const struct mac *dst, const struct ip_addr *family)
{
	memcpy(out, dst->octets, 6);
	memcpy(out + 6, src->octets, 6);
	octets_put16(out + 12, ip_addr_is_v4(family) ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6);
}

uint32_t frame_build(
	const struct segment *s, const struct frame_route *route, uint8_t *out, uint32_t cap)
{
	struct ip_fields ip = {.src = s->src,
		.dst = s->dst,
		.protocol = IP_PROTOCOL_TCP,
		.hop_limit = IP_HOP_LIMIT,
		.ecn = s->ecn,
		.no_sum = route->sums == FRAME_SUMS_PORT};
	uint8_t *tcp = out + FRAME_ETHER_OCTETS + ip_octets(&s->src);
	uint32_t l4;
	uint64_t sum;
	uint16_t folded;

	if (FRAME_HEADERS_MAX + s->payload_octets > cap)
		return 0;
	frame_put_ether(out, &route->src_mac, &route->dst_mac, &s->src);
	l4 = tcp_header_put(tcp, s);
	l4 += put_payload(tcp + l4, s);
	ip.l4_octets = (uint16_t)l4;
	(void)ip_put(out + FRAME_ETHER_OCTETS, &ip);
	sum = checksum_pseudo(&s->src, &s->dst, IP_PROTOCOL_TCP, (uint16_t)l4);
	folded = route->sums == FRAME_SUMS_PORT
			 ? checksum_fold(sum)
			 : (uint16_t)~checksum_fold(checksum_add(sum, tcp, l4));
	memcpy(tcp + TCP_HEADER_SUM_AT, &folded, 2);
	return FRAME_ETHER_OCTETS + ip_octets(&s->src) + l4;
}

uint32_t frame_echo_reply(const struct frame *f, uint8_t *octets)
{
	memcpy(octets, f->src_mac.octets, 6);
	memcpy(octets + 6, f->dst_mac.octets, 6);
	return FRAME_ETHER_OCTETS + icmp_echo_reply(&f->ip, octets + FRAME_ETHER_OCTETS);
}
