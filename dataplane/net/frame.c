#include "net/frame.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "net/checksum.h"

enum {
	ETHER_TYPE_IPV4 = 0x0800,
	ETHER_TYPE_ARP = 0x0806,
	IP_PROTOCOL_ICMP = 1,
	IP_PROTOCOL_TCP = 6,
	IP_OCTETS = 20,
	TCP_OCTETS = 20,
	ICMP_OCTETS = 8,
	ICMP_ECHO_REQUEST = 8,
	TTL = 64,
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)(value >> 16));
	put16(at + 2, (uint16_t)value);
}

// Sources that cannot be answered: this network, loopback, multicast, reserved, broadcast, and ourselves
// (the "land" attack).
static bool source_is_bad(const struct frame *f)
{
	uint32_t v4 = ip_addr_v4(&f->src);

	return v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >= 0xe0000000 || ip_addr_eq(&f->src, &f->dst);
}

static void take_timestamp(const uint8_t *at, struct segment_options *o)
{
	o->has_timestamp = true;
	o->tsval = get32(at + 2);
	o->tsecr = get32(at + 6);
}

static void take_sacks(const uint8_t *at, uint8_t len, struct segment_options *o)
{
	o->sack_count = (uint8_t)((len - 2) / 8);
	if (o->sack_count > SEGMENT_SACKS)
		o->sack_count = SEGMENT_SACKS;
	for (size_t i = 0; i < o->sack_count; i++)
		o->sacks[i] = (struct segment_sack){get32(at + 2 + 8 * i), get32(at + 6 + 8 * i)};
}

// One option of len octets, len already within the header. A wrong length for a known kind is ignored
// like an unknown kind (RFC 9293 3.1: options may be of any length).
static void take_option(const uint8_t *at, uint8_t len, struct segment_options *o)
{
	if (at[0] == 2 && len == 4) {
		o->has_mss = true;
		o->mss = get16(at + 2);
	} else if (at[0] == 3 && len == 3) {
		o->has_scale = true;
		o->scale = at[2] > 14 ? 14 : at[2];
	} else if (at[0] == 4 && len == 2) {
		o->sack_permitted = true;
	} else if (at[0] == 5 && len >= 10 && (len - 2) % 8 == 0) {
		take_sacks(at, len, o);
	} else if (at[0] == 8 && len == 10) {
		take_timestamp(at, o);
	}
}

static enum drop parse_options(const uint8_t *at, size_t octets, struct segment_options *o)
{
	size_t i = 0;

	while (i < octets && at[i] != 0) {
		if (at[i] == 1) {
			i++;
			continue;
		}
		if (i + 2 > octets || at[i + 1] < 2 || i + at[i + 1] > octets)
			return DROP_TCP_BAD; // length 0 or 1 would never end
		take_option(at + i, at[i + 1], o);
		i += at[i + 1];
	}
	return DROP_NONE;
}

static bool tcp_sum_is_good(const struct frame *f, struct slice l4)
{
	uint64_t sum = checksum_pseudo_v4(&f->src, &f->dst, IP_PROTOCOL_TCP, (uint16_t)l4.len);

	return checksum_fold(checksum_add(sum, l4.at, l4.len)) == 0xffff;
}

static enum drop parse_tcp(struct slice l4, unsigned sums, struct frame *f)
{
	struct segment *s = &f->tcp;
	size_t header;

	if (l4.len < TCP_OCTETS)
		return DROP_TCP_BAD;
	header = (size_t)(l4.at[12] >> 4) * 4;
	if (header < TCP_OCTETS || header > l4.len)
		return DROP_TCP_BAD;
	if ((sums & FRAME_TCP_SUM_GOOD) == 0 && !tcp_sum_is_good(f, l4))
		return DROP_TCP_CHECKSUM;
	*s = (struct segment){.src = f->src, .dst = f->dst, .ecn = f->ecn};
	s->src_port = get16(l4.at);
	s->dst_port = get16(l4.at + 2);
	s->seq = get32(l4.at + 4);
	s->ack = get32(l4.at + 8);
	s->flags = l4.at[13];
	s->window = get16(l4.at + 14);
	s->urgent = get16(l4.at + 18);
	s->payload_octets = (uint32_t)(l4.len - header);
	s->part_count = s->payload_octets != 0;
	s->parts[0] = (struct slice){l4.at + header, l4.len - header};
	if (s->src_port == 0)
		return DROP_TCP_BAD; // nothing can be sent back to port 0
	return parse_options(l4.at + TCP_OCTETS, header - TCP_OCTETS, &s->options);
}

static enum drop parse_icmp(struct slice l4)
{
	if (l4.len < ICMP_OCTETS || l4.at[0] != ICMP_ECHO_REQUEST || l4.at[1] != 0)
		return DROP_ICMP_BAD;
	return checksum_fold(checksum_add(0, l4.at, l4.len)) == 0xffff ? DROP_NONE : DROP_ICMP_BAD;
}

static enum drop parse_ip(struct slice in, unsigned sums, struct frame *f)
{
	size_t header, total;
	struct slice l4;

	if (in.len < IP_OCTETS || in.at[0] >> 4 != 4)
		return DROP_IP_BAD;
	header = (size_t)(in.at[0] & 15) * 4;
	total = get16(in.at + 2);
	if (header < IP_OCTETS || total < header || total > in.len)
		return DROP_IP_BAD;
	if ((sums & FRAME_IP_SUM_GOOD) == 0 &&
		checksum_fold(checksum_add(0, in.at, header)) != 0xffff)
		return DROP_IP_CHECKSUM;
	f->src = ip_addr_from_v4(get32(in.at + 12));
	f->dst = ip_addr_from_v4(get32(in.at + 16));
	if (source_is_bad(f))
		return DROP_IP_SOURCE;
	if ((get16(in.at + 6) & 0x3fff) != 0)
		return DROP_IP_FRAGMENT;
	f->ecn = in.at[1] & 3;
	f->l3 = (struct slice){in.at, total};
	f->l4_offset = (uint16_t)header;
	l4 = (struct slice){in.at + header, total - header};
	if (in.at[9] == IP_PROTOCOL_TCP) {
		f->kind = FRAME_TCP;
		return parse_tcp(l4, sums, f);
	}
	f->kind = FRAME_ICMP;
	return in.at[9] == IP_PROTOCOL_ICMP ? parse_icmp(l4) : DROP_IP_PROTOCOL;
}

enum drop frame_parse(struct slice octets, unsigned sums, struct frame *out)
{
	struct slice inner = {octets.at + FRAME_ETHER_OCTETS, octets.len - FRAME_ETHER_OCTETS};

	if (octets.len < FRAME_ETHER_OCTETS)
		return DROP_ETH_SHORT;
	memcpy(out->dst_mac.octets, octets.at, 6);
	memcpy(out->src_mac.octets, octets.at + 6, 6);
	switch (get16(octets.at + 12)) {
	case ETHER_TYPE_IPV4:
		return parse_ip(inner, sums, out);
	case ETHER_TYPE_ARP:
		out->kind = FRAME_ARP;
		out->l3 = inner;
		return DROP_NONE;
	default:
		return DROP_ETH_TYPE;
	}
}

static uint32_t put_sacks(uint8_t *at, const struct segment_options *o)
{
	at[0] = 1;
	at[1] = 1;
	at[2] = 5;
	at[3] = (uint8_t)(2 + 8 * o->sack_count);
	for (size_t i = 0; i < o->sack_count; i++) {
		put32(at + 4 + 8 * i, o->sacks[i].left);
		put32(at + 8 + 8 * i, o->sacks[i].right);
	}
	return 4u + 8u * o->sack_count;
}

// Options in the order and padding that Linux uses, so that nobody's parser sees something new. At most 40
// octets: with a timestamp three SACK blocks fit.
static uint32_t put_options(uint8_t *at, const struct segment_options *o)
{
	uint32_t n = 0;

	if (o->has_mss) {
		put32(at, 2u << 24 | 4u << 16 | o->mss);
		n += 4;
	}
	if (o->sack_permitted) {
		put32(at + n, 0x01010402);
		n += 4;
	}
	if (o->has_timestamp) {
		put32(at + n, 0x0101080a);
		put32(at + n + 4, o->tsval);
		put32(at + n + 8, o->tsecr);
		n += 12;
	}
	if (o->has_scale) {
		put32(at + n, 0x01030300u | o->scale);
		n += 4;
	}
	assert(n + (o->sack_count != 0 ? 4u + 8u * o->sack_count : 0) <= 40);
	return o->sack_count != 0 ? n + put_sacks(at + n, o) : n;
}

static void put_ip(uint8_t *ip, const struct segment *s, uint16_t total, enum frame_sums sums)
{
	memset(ip, 0, IP_OCTETS);
	ip[0] = 0x45;
	ip[1] = s->ecn;
	put16(ip + 2, total);
	put16(ip + 6, 0x4000); // do not fragment; so the identification may stay zero (RFC 6864)
	ip[8] = TTL;
	ip[9] = IP_PROTOCOL_TCP;
	memcpy(ip + 12, s->src.octets + 12, 4);
	memcpy(ip + 16, s->dst.octets + 12, 4);
	if (sums == FRAME_SUMS_SOFTWARE) {
		uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, ip, IP_OCTETS));

		memcpy(ip + 10, &sum, 2);
	}
}

static void put_tcp(uint8_t *tcp, const struct segment *s, uint32_t header)
{
	put16(tcp, s->src_port);
	put16(tcp + 2, s->dst_port);
	put32(tcp + 4, s->seq);
	put32(tcp + 8, s->ack);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = s->flags;
	put16(tcp + 14, s->window);
	put16(tcp + 16, 0);
	put16(tcp + 18, s->urgent);
}

uint32_t frame_build(
	const struct segment *s, const struct frame_route *route, uint8_t *out, uint32_t cap)
{
	uint8_t *ip = out + FRAME_ETHER_OCTETS, *tcp = ip + IP_OCTETS;
	uint32_t header, l4, at;
	uint64_t sum;
	uint16_t folded;

	if (FRAME_HEADERS_MAX + s->payload_octets > cap)
		return 0;
	memcpy(out, route->dst_mac.octets, 6);
	memcpy(out + 6, route->src_mac.octets, 6);
	put16(out + 12, ETHER_TYPE_IPV4);
	header = TCP_OCTETS + put_options(tcp + TCP_OCTETS, &s->options);
	put_tcp(tcp, s, header);
	at = header;
	for (uint8_t i = 0; i < s->part_count; i++) {
		memcpy(tcp + at, s->parts[i].at, s->parts[i].len);
		at += (uint32_t)s->parts[i].len;
	}
	l4 = at;
	put_ip(ip, s, (uint16_t)(IP_OCTETS + l4), route->sums);
	sum = checksum_pseudo_v4(&s->src, &s->dst, IP_PROTOCOL_TCP, (uint16_t)l4);
	folded = route->sums == FRAME_SUMS_PORT
			 ? checksum_fold(sum)
			 : (uint16_t)~checksum_fold(checksum_add(sum, tcp, l4));
	memcpy(tcp + 16, &folded, 2);
	return FRAME_ETHER_OCTETS + IP_OCTETS + l4;
}

void frame_echo_reply(const struct frame *f, uint8_t *octets)
{
	uint8_t *ip = octets + FRAME_ETHER_OCTETS;
	uint8_t *icmp = ip + f->l4_offset;
	uint16_t sum;

	memcpy(octets, f->src_mac.octets, 6);
	memcpy(octets + 6, f->dst_mac.octets, 6);
	memcpy(ip + 12, f->dst.octets + 12, 4);
	memcpy(ip + 16, f->src.octets + 12, 4);
	ip[8] = TTL;
	memset(ip + 10, 0, 2);
	sum = (uint16_t)~checksum_fold(checksum_add(0, ip, f->l4_offset));
	memcpy(ip + 10, &sum, 2);
	icmp[0] = 0;
	memset(icmp + 2, 0, 2);
	sum = (uint16_t)~checksum_fold(checksum_add(0, icmp, f->l3.len - f->l4_offset));
	memcpy(icmp + 2, &sum, 2);
}
