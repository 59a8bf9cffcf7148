#include "net/cut.h"

#include <string.h>

#include "net/octets.h"

enum {
	V6_FRAGMENT = 44,
	V6_MORE = 1,
};

static void put_v6_header(
	uint8_t *out, const struct ip_fields *whole, const struct ip_fragment *part)
{
	out[0] = whole->protocol;
	out[1] = 0;
	octets_put16(out + 2, (uint16_t)(part->offset | (part->more ? V6_MORE : 0)));
	octets_put32(out + 4, part->id);
}

uint32_t cut_put(
	const struct cut *cut, struct slice payload, uint32_t offset, uint8_t *out, uint32_t *next)
{
	bool v4 = ip_addr_is_v4(&cut->ip.dst);
	uint32_t extra = v4 ? 0 : CUT_V6_HEADER_OCTETS;
	uint32_t headers = ip_octets(&cut->ip.dst) + extra;
	uint32_t room = (cut->mtu - headers) / CUT_UNIT * CUT_UNIT;
	uint32_t octets = (uint32_t)payload.len - offset;
	struct ip_fields ip = cut->ip;

	octets = octets < room ? octets : room;
	*next = offset + octets;
	ip.fragment.offset = (uint16_t)offset;
	ip.fragment.more = *next < payload.len;
	ip.l4_octets = (uint16_t)(extra + octets);
	if (!v4)
		ip.protocol = V6_FRAGMENT;
	(void)ip_put(out, &ip);
	if (!v4)
		put_v6_header(out + IP_V6_OCTETS, &cut->ip, &ip.fragment);
	memcpy(out + headers, payload.at + offset, octets);
	return headers + octets;
}
