#include "net/nd.h"

#include <string.h>

#include "net/checksum.h"
#include "net/octets.h"

enum {
	TYPE_SOLICITATION = 135,
	TYPE_ADVERTISEMENT = 136,
	FIXED_OCTETS = 24, // type, code, checksum, flags, target
	OPTION_UNIT = 8,
	OPTION_SOURCE_MAC = 1,
	OPTION_TARGET_MAC = 2,
	OPTION_NONCE = 14,
	FLAG_SOLICITED = 0x40,
	FLAG_OVERRIDE = 0x20,
	HOP_LIMIT = 255,
};

static const struct ip_addr all_nodes = {{0xff, 2, [15] = 1}};

struct ip_addr nd_solicited_node(const struct ip_addr *addr)
{
	struct ip_addr group = {{0xff, 2, [11] = 1, [12] = 0xff}};

	memcpy(group.octets + 13, addr->octets + 13, 3);
	return group;
}

struct mac nd_group_mac(const struct ip_addr *group)
{
	struct mac mac = {{0x33, 0x33}};

	memcpy(mac.octets + 2, group->octets + 12, 4);
	return mac;
}

// ---- Parsing

static void take_option(const uint8_t *at, struct nd *nd)
{
	if (at[1] != 1)
		return; // none of those we know is longer here
	if (at[0] == (nd->solicitation ? OPTION_SOURCE_MAC : OPTION_TARGET_MAC)) {
		nd->has_mac = true;
		memcpy(nd->mac.octets, at + 2, 6);
	} else if (at[0] == OPTION_NONCE) {
		nd->has_nonce = true;
		memcpy(nd->nonce, at + 2, ND_NONCE_OCTETS);
	}
}

static enum drop parse_options(struct slice options, struct nd *nd)
{
	size_t i = 0;

	while (i < options.len) {
		if (options.len - i < OPTION_UNIT || options.at[i + 1] == 0 ||
			(size_t)options.at[i + 1] * OPTION_UNIT > options.len - i)
			return DROP_ND_BAD; // length 0 would never end
		take_option(options.at + i, nd);
		i += (size_t)options.at[i + 1] * OPTION_UNIT;
	}
	// A group address can own no IP address: what is sent there would go to everybody.
	return nd->has_mac && (nd->mac.octets[0] & 1) != 0 ? DROP_ND_BAD : DROP_NONE;
}

static bool is_multicast(const struct ip_addr *a)
{
	return a->octets[0] == 0xff;
}

// RFC 4861 7.1.1 and 7.1.2, but for hop limit, checksum and code, which frame_parse() has seen to.
static bool is_consistent(const struct frame *f, const struct nd *nd)
{
	struct ip_addr group = nd_solicited_node(&nd->target);

	if (is_multicast(&nd->target))
		return false;
	if (nd_is_probe(f, nd))
		return ip_addr_eq(&f->ip.dst, &group) && !nd->has_mac;
	if (!nd->solicitation && is_multicast(&f->ip.dst))
		return !nd->solicited;
	return true;
}

enum drop nd_parse(const struct frame *f, struct nd *out)
{
	struct slice l4 = f->ip.l4;
	enum drop why;

	if (l4.at[0] != TYPE_SOLICITATION && l4.at[0] != TYPE_ADVERTISEMENT)
		return DROP_ND_IGNORED;
	if (l4.len < FIXED_OCTETS)
		return DROP_ND_BAD;
	*out = (struct nd){.solicitation = l4.at[0] == TYPE_SOLICITATION};
	out->solicited = !out->solicitation && (l4.at[4] & FLAG_SOLICITED) != 0;
	out->overrides = !out->solicitation && (l4.at[4] & FLAG_OVERRIDE) != 0;
	memcpy(out->target.octets, l4.at + 8, 16);
	why = parse_options((struct slice){l4.at + FIXED_OCTETS, l4.len - FIXED_OCTETS}, out);
	if (why != DROP_NONE)
		return why;
	if (!out->solicitation && ip_addr_is_unspecified(&f->ip.src))
		return DROP_ND_BAD;
	return is_consistent(f, out) ? DROP_NONE : DROP_ND_BAD;
}

// ---- Building

static uint8_t *put_option(uint8_t *at, uint8_t type, const uint8_t octets[6])
{
	at[0] = type;
	at[1] = 1;
	memcpy(at + 2, octets, 6);
	return at + OPTION_UNIT;
}

struct envelope {
	struct mac src_mac, dst_mac;
	struct ip_addr src, dst;
};

// Headers before, and the checksum into, a message that ends at end and begins where this layout puts it.
static uint32_t finish(uint8_t *out, const uint8_t *end, const struct envelope *e)
{
	uint8_t *icmp = out + FRAME_ETHER_OCTETS + IP_V6_OCTETS;
	struct ip_fields ip = {.src = e->src,
		.dst = e->dst,
		.protocol = IP_PROTOCOL_ICMP6,
		.hop_limit = HOP_LIMIT,
		.l4_octets = (uint16_t)(end - icmp)};
	uint64_t sum = checksum_pseudo(&ip.src, &ip.dst, ip.protocol, ip.l4_octets);
	uint16_t folded;

	memcpy(out, e->dst_mac.octets, 6);
	memcpy(out + 6, e->src_mac.octets, 6);
	octets_put16(out + 12, 0x86dd);
	(void)ip_put(out + FRAME_ETHER_OCTETS, &ip);
	folded = (uint16_t)~checksum_fold(checksum_add(sum, icmp, ip.l4_octets));
	memcpy(icmp + 2, &folded, 2);
	return (uint32_t)(end - out);
}

static uint8_t *put_fixed(uint8_t *out, uint8_t type, uint8_t flags, const struct ip_addr *target)
{
	uint8_t *icmp = out + FRAME_ETHER_OCTETS + IP_V6_OCTETS;

	memset(icmp, 0, FIXED_OCTETS);
	icmp[0] = type;
	icmp[4] = flags;
	memcpy(icmp + 8, target->octets, 16);
	return icmp + FIXED_OCTETS;
}

uint32_t nd_build_solicit(uint8_t *out, const struct nd_solicit *what)
{
	struct envelope e = {.src_mac = what->src_mac, .src = what->src, .dst = what->target};
	uint8_t *at = put_fixed(out, TYPE_SOLICITATION, 0, &what->target);

	if (ip_addr_is_unspecified(&what->src))
		at = put_option(at, OPTION_NONCE, what->nonce);
	else
		at = put_option(at, OPTION_SOURCE_MAC, what->src_mac.octets);
	if (what->dst_mac != NULL) {
		e.dst_mac = *what->dst_mac;
	} else {
		e.dst = nd_solicited_node(&what->target);
		e.dst_mac = nd_group_mac(&e.dst);
	}
	return finish(out, at, &e);
}

uint32_t nd_build_advert(uint8_t *out, const struct nd_advert *what)
{
	uint8_t flags = what->overrides ? FLAG_OVERRIDE : 0;
	struct envelope e = {.src_mac = what->mac, .src = what->target};
	uint8_t *at;

	if (what->dst != NULL) {
		flags |= FLAG_SOLICITED;
		e.dst = *what->dst;
		e.dst_mac = what->dst_mac;
	} else {
		e.dst = all_nodes;
		e.dst_mac = nd_group_mac(&all_nodes);
	}
	at = put_fixed(out, TYPE_ADVERTISEMENT, flags, &what->target);
	at = put_option(at, OPTION_TARGET_MAC, what->mac.octets);
	return finish(out, at, &e);
}
