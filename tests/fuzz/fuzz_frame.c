// Target functions: frame_parse, frame_build, frame_echo_reply, arp_parse
//
// Checked, not only crashes: everything a parsed frame points at lies inside the input; options hold their bounds; a parsed
// segment that is built again parses to the same; no v6 packet passes for a v4 one; an answer to ping is not longer than the ping.

#include <stdlib.h>
#include <string.h>

#include "net/arp.h"
#include "net/frame.h"

enum { ROOM = 65536 + FRAME_HEADERS_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

static void inside(struct slice part, struct slice in)
{
	must(part.len == 0 || (part.at >= in.at && part.at + part.len <= in.at + in.len));
}

static void check_packet(const struct frame *f, struct slice in)
{
	bool v4 = in.at[12] == 8;

	inside(f->ip.all, in);
	inside(f->ip.l4, f->ip.all);
	must(ip_addr_is_v4(&f->ip.src) == v4 && ip_addr_is_v4(&f->ip.dst) == v4);
	must(f->ip.all.len >= f->ip.l4.len + ip_octets(&f->ip.src));
}

static void check_same(const struct segment *a, const struct segment *b)
{
	must(ip_addr_eq(&a->src, &b->src) && ip_addr_eq(&a->dst, &b->dst));
	must(a->src_port == b->src_port && a->dst_port == b->dst_port);
	must(a->seq == b->seq && a->ack == b->ack && a->window == b->window);
	must(a->flags == b->flags && a->urgent == b->urgent && a->ecn == b->ecn);
	must(a->payload_octets == b->payload_octets);
	must(a->options.has_mss == b->options.has_mss && a->options.mss == b->options.mss);
	must(a->options.sack_count == b->options.sack_count);
	must(a->payload_octets == 0 ||
		memcmp(a->parts[0].at, b->parts[0].at, a->payload_octets) == 0);
}

// With three SACK blocks and all other options there would be no room: what no segment of ours has is left out.
static void check_build(struct segment s)
{
	static uint8_t out[ROOM];
	struct frame_route route = {.sums = FRAME_SUMS_SOFTWARE};
	struct frame again;
	uint32_t n;

	if (s.options.sack_count > 2)
		s.options.sack_count = 2;
	if (s.options.sack_count != 0)
		s.options.has_mss = s.options.has_scale = s.options.sack_permitted = false;
	if (!s.options.has_mss)
		s.options.mss = 0;
	n = frame_build(&s, &route, out, sizeof(out));
	must(n != 0);
	if (n - FRAME_ETHER_OCTETS > UINT16_MAX)
		return; // the input was of the largest size and had shorter headers
	must(frame_parse((struct slice){out, n}, 0, &again) == DROP_NONE);
	check_same(&s, &again.tcp);
}

static void check_tcp(const struct frame *f)
{
	must(f->tcp.part_count <= 1 && f->tcp.options.sack_count <= SEGMENT_SACKS);
	must(f->tcp.options.scale <= 14);
	inside(f->tcp.parts[0], f->ip.l4);
	must(f->tcp.payload_octets == f->tcp.parts[0].len);
	check_build(f->tcp);
}

static void check_echo(struct slice in, unsigned sums)
{
	static uint8_t copy[ROOM];
	struct frame f, reply;
	uint32_t n;

	if (in.len > sizeof(copy))
		return;
	memcpy(copy, in.at, in.len);
	must(frame_parse((struct slice){copy, in.len}, sums, &f) == DROP_NONE);
	n = frame_echo_reply(&f, copy);
	must(n <= in.len);
	must(frame_parse((struct slice){copy, n}, 0, &reply) != DROP_NONE); // a pong asks nothing
	must(ip_addr_is_v4(&reply.ip.dst) == ip_addr_is_v4(&f.ip.dst));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	// First octet: which sums the port vouches for, so that the parser behind them is reached.
	unsigned sums = size != 0 ? data[0] & 3 : 0;
	struct slice in = {data + (size != 0), size - (size != 0)};
	struct frame f;
	struct arp arp;

	if (frame_parse(in, sums, &f) != DROP_NONE)
		return 0;
	inside(f.l3, in);
	if (f.kind == FRAME_ARP)
		(void)arp_parse(&f, &arp);
	else
		check_packet(&f, in);
	if (f.kind == FRAME_TCP)
		check_tcp(&f);
	if (f.kind == FRAME_ECHO)
		check_echo(in, sums);
	return 0;
}
