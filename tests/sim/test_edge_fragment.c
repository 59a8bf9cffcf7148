// The whole edge and fragments, over both families, two workers behind one queue: what is put together goes to its owner, attacks end in
// named drops and leave room for others, and every fragment is accounted for.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_ring.h>
#include <string.h>

#include "base/limits.h"
#include "edge_rig.h"
#include "net/checksum.h"
#include "net/cut.h"
#include "net/octets.h"
#include "net/reassembly.h"

enum {
	ROOM = 8192,
	ECHO_HEADER = 8,
	PORT = 25,
};

static const char yaml[] = "dataplane: {workers: [0, 1], memory: 512MiB, huge_pages: no}\n"
			   "ports:\n"
			   "  - device: net_ring_rig\n"
			   "    addresses: [10.12.170.5/24, \"2001:db8:12::5/64\"]\n"
			   "    gateway: [10.12.170.1, \"fe80::1\"]\n"
			   "own_networks: [10.12.0.0/16, \"2001:db8:12::/48\"]\n"
			   "routes:\n"
			   "  - {domains: [\"*\"], to: [\"127.0.0.1:25\"]}\n"
			   "virtual_servers:\n"
			   "  - {name: default, listen: [10.12.170.5, \"2001:db8:12::5\"], "
			   "local_domains: [neulan.net]}\n";

static struct rig *rig;

// ---- What the edge says

static struct heard {
	unsigned syn_acks;
	uint16_t last_port;
	unsigned pongs, pong_parts;
	uint32_t pong_octets;
	uint8_t pong[ROOM];
} heard;

static struct reassembly *pongs;
static uint8_t pongs_memory[4 << 20] __attribute__((aligned(64)));

static void account(void *user, enum drop why, uint32_t fragments)
{
	(void)user;
	(void)fragments;
	assert_int_equal(why, DROP_NONE);
}

static void hear_fragment(const struct ip_packet *ip)
{
	const struct reassembly_fragment f = {.src = ip->src,
		.dst = ip->dst,
		.id = ip->fragment.id,
		.offset = ip->fragment.offset,
		.more = ip->fragment.more,
		.protocol = ip->protocol,
		.data = ip->l4};
	struct reassembly_packet packet;

	assert_true(ip->all.len <= (ip_addr_is_v4(&ip->dst) ? 1500 : 1280));
	heard.pong_parts++;
	if (!reassembly_add(pongs, &f, 0, &packet))
		return;
	heard.pongs++;
	heard.pong_octets = (uint32_t)packet.data.len;
	memcpy(heard.pong, packet.data.at, packet.data.len);
}

static void hear(void *user, const struct frame *f)
{
	(void)user;
	if (f->kind == FRAME_FRAGMENT)
		hear_fragment(&f->ip);
	if (f->kind == FRAME_TCP && (f->tcp.flags & SEGMENT_SYN) != 0) {
		heard.syn_acks++;
		heard.last_port = f->tcp.dst_port;
	}
}

// ---- What the edge hears

static struct ip_fields fields(bool v4, uint32_t host, uint32_t id)
{
	struct ip_fields ip = {.protocol = IP_PROTOCOL_TCP,
		.hop_limit = 64,
		.may_be_cut = true,
		.fragment.id = id};

	assert_true(ip_addr_parse(v4 ? "10.12.170.5" : "2001:db8:12::5", &ip.dst));
	ip.src = v4 ? ip_addr_from_v4(0x0a0cac00 + host) : ip.dst;
	if (!v4)
		octets_put32(ip.src.octets + 12, host + 0x100);
	return ip;
}

static void inject_part(
	const struct cut *cut, struct slice payload, uint32_t offset, uint32_t *next)
{
	uint8_t frame[2048];
	struct mac host = rig_host_mac(), edge = rig_port_mac(rig);

	frame_put_ether(frame, &host, &edge, &cut->ip.dst);
	rig_inject(rig, frame,
		FRAME_ETHER_OCTETS +
			cut_put(cut, payload, offset, frame + FRAME_ETHER_OCTETS, next));
}

// All its fragments; backwards: the last one first.
static void inject_cut(const struct cut *cut, struct slice payload, bool backwards)
{
	uint32_t starts[64], count = 0, next;

	for (uint32_t offset = 0; offset < payload.len; offset = next) {
		uint8_t nowhere[2048];

		starts[count++] = offset;
		(void)cut_put(cut, payload, offset, nowhere, &next);
	}
	for (uint32_t i = 0; i < count; i++)
		inject_part(cut, payload, starts[backwards ? count - 1 - i : i], &next);
}

// A SYN with its options, as octets of TCP.
static struct slice syn(const struct ip_fields *ip, uint16_t port)
{
	static uint8_t frame[256];
	const struct segment s = {.src = ip->src,
		.dst = ip->dst,
		.src_port = port,
		.dst_port = PORT,
		.seq = 7,
		.flags = SEGMENT_SYN,
		.window = 512,
		.options = {.has_mss = true,
			.mss = 1460,
			.has_timestamp = true,
			.sack_permitted = true}};
	const struct frame_route route = {.sums = FRAME_SUMS_SOFTWARE};
	uint32_t n = frame_build(&s, &route, frame, sizeof(frame));
	uint32_t headers = FRAME_ETHER_OCTETS + ip_octets(&ip->src);

	assert_true(n > headers);
	return (struct slice){frame + headers, n - headers};
}

// 24 octets in the first fragment, which is a TCP header, and the options in others.
static struct cut cut_of(const struct ip_fields *ip)
{
	return (struct cut){
		.ip = *ip, .mtu = ip_octets(&ip->dst) + (ip_addr_is_v4(&ip->dst) ? 24 : 32)};
}

// The workers may have to wait for a processor: seconds, on a machine that is busy with other tests.
static void settle_to(uint64_t held)
{
	for (int ms = 0; ms < 10000 && rig_received(rig) - rig_accounted(rig) > held; ms++)
		rig_run_ms(rig, 1);
	assert_true(rig_received(rig) - rig_accounted(rig) <= held);
}

// All that was injected was received, and is accounted for.
static void settle(void)
{
	const struct rig_link link = rig_link(rig);

	for (int ms = 0; ms < 10000 && rte_ring_count(link.to_edge) != 0; ms++)
		rig_run_ms(rig, 1);
	rig_run_ms(rig, 30);
	settle_to(0);
}

static void wait_for_drops(enum drop why, uint64_t count)
{
	for (int ms = 0; ms < 10000 && rig_drops(rig, why) < count; ms++)
		rig_run_ms(rig, 1);
	settle();
	assert_int_equal(rig_drops(rig, why), count);
}

// ---- Tests

static void syns_are_answered(void)
{
	for (uint32_t i = 0; i < 64; i++) {
		struct ip_fields ip = fields(i % 2 == 0, i, 100 + i * 77);
		struct cut cut = cut_of(&ip);
		unsigned before = heard.syn_acks;

		inject_cut(&cut, syn(&ip, (uint16_t)(3000 + i)), i % 4 < 2);
		for (int ms = 0; ms < 5000 && heard.syn_acks == before; ms++)
			rig_run_ms(rig, 1);
		assert_int_equal(heard.syn_acks, before + 1);
		assert_int_equal(heard.last_port, 3000 + i);
	}
}

static void test_syn_in_fragments_is_answered_by_its_owner(void **state)
{
	(void)state;
	syns_are_answered();
	settle();
}

// Octets of an echo request.
static struct slice echo(const struct ip_fields *ip, uint32_t octets)
{
	static uint8_t icmp[ROOM];
	bool v4 = ip_addr_is_v4(&ip->dst);
	uint64_t pseudo =
		v4 ? 0 : checksum_pseudo(&ip->src, &ip->dst, IP_PROTOCOL_ICMP6, (uint16_t)octets);
	uint16_t sum;

	memset(icmp, 0, ECHO_HEADER);
	icmp[0] = v4 ? 8 : 128;
	for (uint32_t i = ECHO_HEADER; i < octets; i++)
		icmp[i] = (uint8_t)(i * 31 + i / 256);
	sum = (uint16_t)~checksum_fold(checksum_add(pseudo, icmp, octets));
	memcpy(icmp + 2, &sum, 2);
	return (struct slice){icmp, octets};
}

static void ping(bool v4, uint32_t octets, unsigned parts)
{
	struct ip_fields ip = fields(v4, 200, 4000 + octets);
	struct cut cut = {.ip = ip, .mtu = 1400};
	struct slice request;
	unsigned before = heard.pongs, parts_before = heard.pong_parts;

	cut.ip.protocol = v4 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_ICMP6;
	request = echo(&ip, octets);
	inject_cut(&cut, request, true);
	for (int ms = 0; ms < 5000 && heard.pongs == before; ms++)
		rig_run_ms(rig, 1);
	assert_int_equal(heard.pongs, before + 1);
	assert_int_equal(heard.pong_parts, parts_before + parts);
	assert_int_equal(heard.pong_octets, octets);
	assert_int_equal(heard.pong[0], v4 ? 0 : 129);
	assert_memory_equal(
		heard.pong + ECHO_HEADER, request.at + ECHO_HEADER, octets - ECHO_HEADER);
}

static void test_ping_larger_than_a_frame_is_answered_in_fragments(void **state)
{
	(void)state;
	ping(true, 4008, 3);
	ping(false, 4008, 4);
	ping(true, LIMIT_REASSEMBLY_OCTETS, 6);
	ping(false, LIMIT_REASSEMBLY_OCTETS, 7);
	ping(false, 1408, 2); // our link would take it, the way back may not
	settle();
}

// What a router says of a segment of ours to this host that we never sent; it goes to the owner of the flow it quotes.
static struct slice error_about(const struct ip_fields *ip, uint16_t port)
{
	static uint8_t icmp[128];
	bool v4 = ip_addr_is_v4(&ip->dst);
	struct ip_fields quoted = {
		.src = ip->dst, .dst = ip->src, .protocol = IP_PROTOCOL_TCP, .l4_octets = 1460};
	uint32_t n = ECHO_HEADER;
	uint64_t pseudo;
	uint16_t sum;

	memset(icmp, 0, sizeof(icmp));
	icmp[0] = v4 ? 3 : 2; // too big
	icmp[1] = v4 ? 4 : 0;
	octets_put16(icmp + 6, 1400);
	n += ip_put(icmp + n, &quoted);
	octets_put16(icmp + n, PORT);
	octets_put16(icmp + n + 2, port);
	n += 8;
	pseudo = v4 ? 0 : checksum_pseudo(&ip->src, &ip->dst, IP_PROTOCOL_ICMP6, (uint16_t)n);
	sum = (uint16_t)~checksum_fold(checksum_add(pseudo, icmp, n));
	memcpy(icmp + 2, &sum, 2);
	return (struct slice){icmp, n};
}

static void test_icmp_error_reaches_an_owner_whole_and_in_fragments(void **state)
{
	enum { ERRORS = 32 };
	uint64_t before = rig_drops(rig, DROP_ICMP_NO_CONN);

	(void)state;
	for (uint16_t i = 0; i < 2 * ERRORS; i++) {
		struct ip_fields ip = fields(i % 2 == 0, 300u + i, 9000u + i);
		struct cut cut = {.ip = ip, .mtu = i < ERRORS ? 1400 : cut_of(&ip).mtu};

		cut.ip.protocol = i % 2 == 0 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_ICMP6;
		inject_cut(&cut, error_about(&ip, (uint16_t)(5000 + i)), i % 4 < 2);
	}
	wait_for_drops(DROP_ICMP_NO_CONN, before + 2 * ERRORS);
}

// Fragments of one packet with these offsets, lengths and "more" bits.
struct part {
	uint16_t offset, octets;
	bool more;
};

static void inject_raw(const struct ip_fields *ip, const struct part *part)
{
	uint8_t frame[2048] = {0};
	bool v4 = ip_addr_is_v4(&ip->dst);
	struct ip_fields f = *ip;
	struct mac host = rig_host_mac(), edge = rig_port_mac(rig);
	uint8_t *at = frame + FRAME_ETHER_OCTETS;

	frame_put_ether(frame, &host, &edge, &ip->dst);
	f.fragment.offset = part->offset;
	f.fragment.more = part->more;
	f.l4_octets = (uint16_t)(part->octets + (v4 ? 0 : CUT_V6_HEADER_OCTETS));
	f.protocol = v4 ? IP_PROTOCOL_TCP : 44;
	at += ip_put(at, &f);
	if (!v4) {
		at[0] = IP_PROTOCOL_TCP;
		octets_put16(at + 2, (uint16_t)(part->offset | part->more));
		octets_put32(at + 4, ip->fragment.id);
		at += CUT_V6_HEADER_OCTETS;
	}
	memset(at, 0xa5, part->octets);
	rig_inject(rig, frame, (uint32_t)(at - frame) + part->octets);
}

// Two fragments; all that comes of it is this reason, so many times.
static void attack(const struct part parts[2], enum drop why, unsigned times)
{
	static uint32_t id = 50000;

	for (int v4 = 0; v4 < 2; v4++) {
		struct ip_fields ip = fields(v4, 77, id++);
		uint64_t before = rig_drops(rig, why);

		inject_raw(&ip, &parts[0]);
		inject_raw(&ip, &parts[1]);
		wait_for_drops(why, before + times);
	}
}

static void test_tiny_fragment_attack_is_dropped(void **state)
{
	(void)state;
	attack((struct part[]){{0, 8, true}, {0, 16, true}}, DROP_FRAGMENT_TINY, 2); // RFC 1858 3
}

// RFC 1858 4, RFC 5722, "teardrop".
static void test_overlapping_fragments_attack_is_dropped(void **state)
{
	(void)state;
	attack((struct part[]){{0, 24, true}, {8, 64, false}}, DROP_FRAGMENT_OVERLAP, 2);
	attack((struct part[]){{0, 40, true}, {24, 8, false}}, DROP_FRAGMENT_OVERLAP, 2);
	attack((struct part[]){{64, 64, false}, {64, 72, false}}, DROP_FRAGMENT_OVERLAP, 2);
}

// "Ping of death": the end is behind what an IP packet can have, or what we take.
static void test_fragments_that_reach_too_far_are_dropped(void **state)
{
	(void)state;
	attack((struct part[]){{65528, 64, false}, {65520, 64, false}}, DROP_IP_BAD, 2);
	attack((struct part[]){{8192, 8, false}, {32768, 8, true}}, DROP_FRAGMENT_TOO_BIG, 2);
}

// FragmentSmack, CVE-2018-5391: endless fragments of packets that never get whole, from everywhere.
static void test_fragment_smack_cve_2018_5391_leaves_room_for_others(void **state)
{
	const struct part lonely = {.offset = 800, .octets = 64, .more = true};
	enum { FLOOD = 8000, GREEDY = 9000 };

	(void)state;
	for (uint32_t i = 0; i < FLOOD; i++) {
		struct ip_fields ip = fields(i % 2 == 0, i % 3 == 0 ? GREEDY : i, i);

		inject_raw(&ip, &lonely);
		if (i % 256 == 0)
			rig_run_ms(rig, 5);
	}
	rig_run_ms(rig, 100);
	settle_to(2 * LIMIT_REASSEMBLIES); // those of two workers wait until their time is over
	assert_true(rig_drops(rig, DROP_FRAGMENT_SOURCE) > FLOOD / 10);
	assert_true(rig_drops(rig, DROP_FRAGMENT_PUSHED_OUT) > FLOOD / 10);
	ping(true, 4008, 3);
	ping(false, 4008, 4);
	syns_are_answered();
}

static int start(void **state)
{
	struct reassembly_config config = {
		.packet_octets = ROOM, .key = {1, 2}, .account = account};

	(void)state;
	assert_true(reassembly_octets(&config) <= sizeof(pongs_memory));
	pongs = reassembly_init(pongs_memory, &config);
	rig = rig_start(yaml);
	rig_watch(rig, hear, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_free(rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syn_in_fragments_is_answered_by_its_owner),
		cmocka_unit_test(test_ping_larger_than_a_frame_is_answered_in_fragments),
		cmocka_unit_test(test_icmp_error_reaches_an_owner_whole_and_in_fragments),
		cmocka_unit_test(test_tiny_fragment_attack_is_dropped),
		cmocka_unit_test(test_overlapping_fragments_attack_is_dropped),
		cmocka_unit_test(test_fragments_that_reach_too_far_are_dropped),
		cmocka_unit_test(test_fragment_smack_cve_2018_5391_leaves_room_for_others),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
