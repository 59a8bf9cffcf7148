#include "net/ip.h"

#include "base/limits.h"
#include "net/checksum.h"
#include "net/octets.h"

enum {
	V4_MORE = 0x2000,
	V4_OFFSET_BITS = 0x1fff,
	V4_FRAGMENT_BITS = V4_MORE | V4_OFFSET_BITS,
	V4_DO_NOT_CUT = 0x4000,
	V6_HOP_BY_HOP = 0,
	V6_ROUTING = 43,
	V6_FRAGMENT = 44,
	V6_FRAGMENT_OCTETS = 8,
	V6_DESTINATION = 60,
	V6_PAD1 = 0,
	FIRST_LEAST_OCTETS = 20, // of a TCP header, and more than of any other that we know
	V6_OPTION_ACTION = 0xc0, // not zero: discard a packet whose option you do not know
};

// Sources that cannot be answered: this network, loopback, multicast, reserved, broadcast, and ourselves
// (the "land" attack).
static bool source_v4_is_bad(const struct ip_packet *p)
{
	uint32_t v4 = ip_addr_v4(&p->src);

	return v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >= 0xe0000000 || ip_addr_eq(&p->src, &p->dst);
}

// where: as in a v4 header, the offset in units of 8 octets and V4_MORE.
static void note_fragment(struct ip_packet *p, uint32_t id, uint16_t where)
{
	p->is_fragment = where != 0;
	p->fragment = (struct ip_fragment){.id = id,
		.offset = (uint16_t)((where & V4_OFFSET_BITS) * 8),
		.more = (where & V4_MORE) != 0};
}

enum drop ip_parse_v4(struct slice in, bool sum_is_good, struct ip_packet *out)
{
	size_t header, total;

	if (in.len < IP_V4_OCTETS || in.at[0] >> 4 != 4)
		return DROP_IP_BAD;
	header = (size_t)(in.at[0] & 15) * 4;
	total = octets_get16(in.at + 2);
	if (header < IP_V4_OCTETS || total < header || total > in.len)
		return DROP_IP_BAD;
	if (!sum_is_good && checksum_fold(checksum_add(0, in.at, header)) != 0xffff)
		return DROP_IP_CHECKSUM;
	out->src = ip_addr_from_v4(octets_get32(in.at + 12));
	out->dst = ip_addr_from_v4(octets_get32(in.at + 16));
	if (source_v4_is_bad(out))
		return DROP_IP_SOURCE;
	out->ecn = in.at[1] & 3;
	out->hop_limit = in.at[8];
	out->protocol = in.at[9];
	out->all = (struct slice){in.at, total};
	out->l4 = (struct slice){in.at + header, total - header};
	note_fragment(out, octets_get16(in.at + 4), octets_get16(in.at + 6) & V4_FRAGMENT_BITS);
	return DROP_NONE;
}

// ---- IPv6

// ::/80 holds what must never be seen on a wire: the v4-mapped addresses, which here would pass for v4 ones, the v4-compatible
// ones and loopback. Unspecified is among them too.
static bool is_special(const struct ip_addr *a)
{
	static const uint8_t zero[10];

	return memcmp(a->octets, zero, sizeof(zero)) == 0;
}

static bool source_v6_is_bad(const struct ip_packet *p)
{
	return p->src.octets[0] == 0xff || ip_addr_eq(&p->src, &p->dst) ||
	       (is_special(&p->src) && !ip_addr_is_unspecified(&p->src));
}

// Options of a hop-by-hop or destination header: each within it, and none that forbids to be ignored.
static enum drop check_options(struct slice options)
{
	size_t i = 0;

	while (i < options.len) {
		if (options.at[i] == V6_PAD1) {
			i++;
			continue;
		}
		if (i + 2 > options.len || i + 2 + options.at[i + 1] > options.len)
			return DROP_IP_BAD;
		if ((options.at[i] & V6_OPTION_ACTION) != 0)
			return DROP_IP6_EXTENSION;
		i += 2u + options.at[i + 1];
	}
	return DROP_NONE;
}

// The extension header at the start of rest, of this kind. DROP_NONE: may be skipped.
static enum drop check_extension(uint8_t kind, struct slice rest)
{
	size_t octets;

	if (rest.len < 8)
		return DROP_IP_BAD;
	octets = 8 + (size_t)rest.at[1] * 8;
	if (octets > rest.len)
		return DROP_IP_BAD;
	if (kind == V6_ROUTING)
		return rest.at[3] == 0 ? DROP_NONE : DROP_IP6_EXTENSION;
	return check_options((struct slice){rest.at + 2, octets - 2});
}

// The extension header at the start of l4: how long it is, or why the packet ends. A fragment header is taken note of; one of a packet
// that is all in one is like any other (RFC 6946).
static enum drop read_extension(struct ip_packet *p, size_t *octets)
{
	enum drop why;
	uint16_t where;

	if (p->protocol != V6_FRAGMENT) {
		why = check_extension(p->protocol, p->l4);
		*octets = why == DROP_NONE ? 8 + (size_t)p->l4.at[1] * 8 : 0;
		return why;
	}
	if (p->l4.len < V6_FRAGMENT_OCTETS)
		return DROP_IP_BAD;
	where = octets_get16(p->l4.at + 2);
	note_fragment(p, octets_get32(p->l4.at + 4),
		(uint16_t)(where >> 3 | ((where & 1) != 0 ? V4_MORE : 0)));
	*octets = V6_FRAGMENT_OCTETS;
	return DROP_NONE;
}

static bool is_extension(uint8_t protocol)
{
	return protocol == V6_DESTINATION || protocol == V6_ROUTING || protocol == V6_HOP_BY_HOP ||
	       protocol == V6_FRAGMENT;
}

// Leaves l4 and protocol of what is behind the extension headers, or of what is behind the fragment header.
static enum drop skip_extensions(struct ip_packet *p)
{
	const uint8_t *first = p->l4.at;

	for (unsigned i = 0; i <= LIMIT_IP6_EXTENSIONS; i++) {
		enum drop why;
		size_t octets;

		if (p->is_fragment || !is_extension(p->protocol))
			return DROP_NONE;
		if (p->protocol == V6_HOP_BY_HOP && p->l4.at != first)
			return DROP_IP_BAD; // RFC 8200 4.1: first or not at all
		why = read_extension(p, &octets);
		if (why != DROP_NONE)
			return why;
		if ((size_t)(p->l4.at - first) + octets > LIMIT_IP6_EXTENSION_OCTETS)
			return DROP_IP6_EXTENSION;
		p->protocol = p->l4.at[0];
		p->l4 = (struct slice){p->l4.at + octets, p->l4.len - octets};
	}
	return DROP_IP6_EXTENSION;
}

// RFC 7112: whoever looks at the first fragment must see all headers, or a second one could change what they meant.
static enum drop check_first_fragment(const struct ip_packet *fragment)
{
	struct ip_packet rest = *fragment;
	enum drop why;

	rest.is_fragment = false;
	why = skip_extensions(&rest);
	if (why == DROP_IP_BAD || rest.l4.len < FIRST_LEAST_OCTETS)
		return DROP_FRAGMENT_TINY;
	return why == DROP_NONE && rest.is_fragment ? DROP_IP_BAD : why;
}

enum drop ip_parse_v6(struct slice in, struct ip_packet *out)
{
	enum drop why;
	size_t payload;

	if (in.len < IP_V6_OCTETS || in.at[0] >> 4 != 6)
		return DROP_IP_BAD;
	payload = octets_get16(in.at + 4);
	if (payload > in.len - IP_V6_OCTETS)
		return DROP_IP_BAD;
	memcpy(out->src.octets, in.at + 8, 16);
	memcpy(out->dst.octets, in.at + 24, 16);
	if (source_v6_is_bad(out))
		return DROP_IP_SOURCE;
	if (is_special(&out->dst))
		return DROP_IP_NOT_OURS;
	out->ecn = in.at[1] >> 4 & 3;
	out->protocol = in.at[6];
	out->hop_limit = in.at[7];
	out->all = (struct slice){in.at, IP_V6_OCTETS + payload};
	out->l4 = (struct slice){in.at + IP_V6_OCTETS, payload};
	out->is_fragment = false;
	why = skip_extensions(out);
	if (why == DROP_NONE && out->is_fragment && out->fragment.offset == 0)
		why = check_first_fragment(out);
	return why;
}

// ---- Building

static void put_v4(uint8_t *out, const struct ip_fields *f)
{
	memset(out, 0, IP_V4_OCTETS);
	out[0] = 0x45;
	out[1] = f->ecn;
	octets_put16(out + 2, (uint16_t)(IP_V4_OCTETS + f->l4_octets));
	// What must not be cut needs no identification (RFC 6864).
	octets_put16(out + 4, (uint16_t)f->fragment.id);
	octets_put16(
		out + 6, (uint16_t)((f->may_be_cut ? 0 : V4_DO_NOT_CUT) |
				    (f->fragment.more ? V4_MORE : 0) | f->fragment.offset / 8));
	out[8] = f->hop_limit;
	out[9] = f->protocol;
	memcpy(out + 12, f->src.octets + 12, 4);
	memcpy(out + 16, f->dst.octets + 12, 4);
	if (!f->no_sum) {
		uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, out, IP_V4_OCTETS));

		memcpy(out + 10, &sum, 2);
	}
}

static void put_v6(uint8_t *out, const struct ip_fields *f)
{
	octets_put32(out, 6u << 28 | (uint32_t)f->ecn << 20);
	octets_put16(out + 4, f->l4_octets);
	out[6] = f->protocol;
	out[7] = f->hop_limit;
	memcpy(out + 8, f->src.octets, 16);
	memcpy(out + 24, f->dst.octets, 16);
}

uint32_t ip_put(uint8_t *out, const struct ip_fields *fields)
{
	if (!ip_addr_is_v4(&fields->src)) {
		put_v6(out, fields);
		return IP_V6_OCTETS;
	}
	put_v4(out, fields);
	return IP_V4_OCTETS;
}
