// IPv6 frames: the octets another implementation makes, what is skipped, what is refused and under which name.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "net/checksum.h"
#include "net/frame.h"
#include "net/octets.h"
#include "tests/addr.h"

enum {
	ROOM = 2048,
	IP_AT = 14,
	L4_AT = IP_AT + 40,
	SAMPLE_SUM_AT = L4_AT + 16,
};

// Made by Scapy: 2001:db8:12::20 port 40000 says EHLO to 2001:db8:12::5 port 25, ECT(0), with a timestamp.
static const uint8_t scapy_tcp[107] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x01, 0x86, 0xdd, 0x60, 0x20, 0x00, 0x00, 0x00, 0x35, 0x06, 0x40, 0x20, 0x01, 0x0d,
	0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x20, 0x01,
	0x0d, 0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x9c,
	0x40, 0x00, 0x19, 0xff, 0xff, 0xff, 0xf0, 0x00, 0x00, 0x00, 0x4d, 0x80, 0x18, 0x02, 0x00,
	0xcd, 0xd9, 0x00, 0x00, 0x01, 0x01, 0x08, 0x0a, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
	0x08, 0x45, 0x48, 0x4c, 0x4f, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x2e, 0x65, 0x78,
	0x61, 0x6d, 0x70, 0x6c, 0x65, 0x0d, 0x0a};

// An echo request behind a hop-by-hop header and a destination options header, and its plain reply.
static const uint8_t scapy_ping[83] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x01, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00, 0x00, 0x1d, 0x00, 0x40, 0x20, 0x01, 0x0d,
	0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x20, 0x01,
	0x0d, 0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x3c,
	0x00, 0x05, 0x02, 0x00, 0x00, 0x01, 0x00, 0x3a, 0x00, 0x01, 0x03, 0x61, 0x62, 0x63, 0x00,
	0x80, 0x00, 0xe0, 0x22, 0x00, 0x07, 0x00, 0x01, 0x68, 0x65, 0x6c, 0x6c, 0x6f};
static const uint8_t scapy_pong[67] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x02, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00, 0x00, 0x0d, 0x3a, 0x40, 0x20, 0x01, 0x0d,
	0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x20, 0x01,
	0x0d, 0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x81,
	0x00, 0xdf, 0x22, 0x00, 0x07, 0x00, 0x01, 0x68, 0x65, 0x6c, 0x6c, 0x6f};

static const struct frame_route route = {.src_mac = {{2, 0, 0, 0, 0, 1}},
	.dst_mac = {{2, 0, 0, 0, 0, 2}},
	.sums = FRAME_SUMS_SOFTWARE};

static struct segment sample(void)
{
	static const uint8_t text[] = "EHLO client.example\r\n";
	struct segment s = {.src = addr("2001:db8:12::20"),
		.dst = addr("2001:db8:12::5"),
		.src_port = 40000,
		.dst_port = 25,
		.seq = 0xfffffff0,
		.ack = 77,
		.window = 512,
		.flags = SEGMENT_ACK | SEGMENT_PSH,
		.ecn = SEGMENT_ECN_ECT0,
		.part_count = 2,
		.payload_octets = sizeof(text) - 1};

	s.options.has_timestamp = true;
	s.options.tsval = 0x01020304;
	s.options.tsecr = 0x05060708;
	s.parts[0] = (struct slice){text, 5};
	s.parts[1] = (struct slice){text + 5, sizeof(text) - 6};
	return s;
}

static enum drop parse(const uint8_t *octets, size_t len)
{
	struct frame f;

	return frame_parse((struct slice){octets, len}, FRAME_TCP_SUM_GOOD, &f);
}

static void test_frame_v6_is_built_as_others_build_it(void **state)
{
	uint8_t octets[ROOM];
	struct segment s = sample();

	(void)state;
	assert_int_equal(frame_build(&s, &route, octets, ROOM), sizeof(scapy_tcp));
	assert_memory_equal(octets, scapy_tcp, sizeof(scapy_tcp));
}

static void test_frame_v6_of_others_parses(void **state)
{
	uint8_t octets[sizeof(scapy_tcp) + 3] = {0};
	struct segment s = sample();
	struct frame f;

	(void)state;
	memcpy(octets, scapy_tcp, sizeof(scapy_tcp)); // and Ethernet padding behind
	assert_int_equal(frame_parse((struct slice){octets, sizeof(octets)}, 0, &f), DROP_NONE);
	assert_int_equal(f.kind, FRAME_TCP);
	assert_true(ip_addr_eq(&f.tcp.src, &s.src) && ip_addr_eq(&f.tcp.dst, &s.dst));
	assert_true(f.tcp.src_port == 40000 && f.tcp.dst_port == 25);
	assert_true(f.tcp.seq == s.seq && f.tcp.ack == s.ack && f.tcp.ecn == s.ecn);
	assert_int_equal(f.tcp.options.tsval, s.options.tsval);
	assert_int_equal(f.tcp.payload_octets, s.payload_octets);
	assert_memory_equal(f.tcp.parts[0].at, "EHLO client.example\r\n", s.payload_octets);
}

static void test_frame_v6_wrong_checksum_is_dropped(void **state)
{
	struct frame f;

	(void)state;
	for (size_t at = IP_AT + 8; at < sizeof(scapy_tcp);
		at++) { // every octet from the source address on
		uint8_t octets[sizeof(scapy_tcp)];

		memcpy(octets, scapy_tcp, sizeof(octets));
		octets[at] ^= 0x10;
		assert_int_not_equal(
			frame_parse((struct slice){octets, sizeof(octets)}, 0, &f), DROP_NONE);
	}
}

// For a port that computes checksums, what it adds to the sum left in the header makes it right.
static void test_frame_v6_partial_checksum_is_completed_by_the_port(void **state)
{
	struct frame_route by_port = route;
	uint8_t octets[ROOM];
	struct segment s = sample();
	uint32_t n;
	uint16_t sum;

	(void)state;
	by_port.sums = FRAME_SUMS_PORT;
	n = frame_build(&s, &by_port, octets, ROOM);
	sum = (uint16_t)~checksum_fold(checksum_add(0, octets + L4_AT, n - L4_AT));
	memcpy(octets + SAMPLE_SUM_AT, &sum, 2);
	assert_memory_equal(octets, scapy_tcp, sizeof(scapy_tcp));
}

static void test_frame_v6_every_cut_is_refused(void **state)
{
	(void)state;
	for (size_t cut = 0; cut < sizeof(scapy_tcp); cut++)
		assert_int_not_equal(parse(scapy_tcp, cut), DROP_NONE);
}

static void test_frame_v6_addresses_that_no_packet_may_have(void **state)
{
	static const struct {
		const char *src, *dst;
		enum drop why;
	} cases[] = {
		{"::", "2001:db8:12::5", DROP_IP_SOURCE},
		{"::1", "2001:db8:12::5", DROP_IP_SOURCE},
		{"ff02::1", "2001:db8:12::5", DROP_IP_SOURCE},
		{"2001:db8:12::5", "2001:db8:12::5", DROP_IP_SOURCE}, // "land"
		// v4-mapped ones would pass for a v4 client, and so for one of a relay list.
		{"::ffff:10.12.170.20", "2001:db8:12::5", DROP_IP_SOURCE},
		{"::10.12.170.20", "2001:db8:12::5", DROP_IP_SOURCE},
		{"2001:db8:12::20", "::ffff:10.12.170.5", DROP_IP_NOT_OURS},
		{"2001:db8:12::20", "::1", DROP_IP_NOT_OURS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t octets[sizeof(scapy_tcp)];
		struct ip_addr src = addr(cases[i].src), dst = addr(cases[i].dst);

		memcpy(octets, scapy_tcp, sizeof(octets));
		memcpy(octets + IP_AT + 8, src.octets, 16);
		memcpy(octets + IP_AT + 24, dst.octets, 16);
		assert_int_equal(parse(octets, sizeof(octets)), cases[i].why);
	}
}

// ---- Extension headers

// The sample with these octets between its IPv6 and TCP headers; they begin with a header of this kind. Returns its length.
static size_t with_extensions(uint8_t *out, uint8_t kind, const uint8_t *octets, size_t len)
{
	memcpy(out, scapy_tcp, L4_AT);
	memcpy(out + L4_AT, octets, len);
	memcpy(out + L4_AT + len, scapy_tcp + L4_AT, sizeof(scapy_tcp) - L4_AT);
	octets_put16(out + IP_AT + 4, (uint16_t)(sizeof(scapy_tcp) - L4_AT + len));
	out[IP_AT + 6] = kind;
	return sizeof(scapy_tcp) + len;
}

static void test_frame_v6_extension_headers(void **state)
{
	static const struct {
		uint8_t kind;
		uint8_t octets[16];
		size_t len;
		enum drop why;
	} cases[] = {
		{60, {6, 0, 1, 4}, 8, DROP_NONE},               // destination options, PadN
		{60, {6, 0, 0, 0, 0, 0, 0, 0}, 8, DROP_NONE},   // six times Pad1
		{60, {6, 0, 0x1e, 4}, 8, DROP_NONE},            // unknown, to be skipped
		{60, {6, 0, 0x5e, 4}, 8, DROP_IP6_EXTENSION},   // unknown, not to be skipped
		{60, {6, 0, 0xc9, 4}, 8, DROP_IP6_EXTENSION},   // home address
		{60, {6, 0, 1, 5}, 8, DROP_IP_BAD},             // option beyond its header
		{60, {6, 0, 1, 3, 0, 0, 0, 1}, 8, DROP_IP_BAD}, // option without its length
		{60, {6, 9, 1, 4}, 8, DROP_IP_BAD},             // header beyond the packet
		{0, {6, 0, 5, 2, 0, 0, 1, 0}, 8, DROP_NONE},    // hop-by-hop, router alert
		{0, {60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4}, 16, DROP_NONE},
		{60, {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4}, 16, DROP_IP_BAD}, // hop-by-hop not first
		{43, {6, 0, 0, 0}, 8, DROP_NONE},          // routing, nothing left to visit
		{43, {6, 0, 0, 1}, 8, DROP_IP6_EXTENSION}, // and one left (RFC 5095)
		{44, {6, 0, 0, 1}, 8, DROP_NONE},          // a fragment
		{44, {6, 0, 0, 0}, 8, DROP_NONE},          // the only one (RFC 6946)
		{44, {60, 0, 0, 1, 0, 0, 0, 9, 6, 0, 1, 4}, 16, DROP_NONE},
		{44, {60, 0, 0, 1, 0, 0, 0, 9, 6, 9, 1, 4}, 16, DROP_FRAGMENT_TINY}, // RFC 7112
		{44, {60, 0, 0, 9, 0, 0, 0, 9, 6, 9, 1, 4}, 16, DROP_NONE}, // not the first
		{44, {60, 0, 0, 1, 0, 0, 0, 9, 6, 0, 0x81, 4}, 16, DROP_IP6_EXTENSION},
		{44, {44, 0, 0, 1, 0, 0, 0, 9, 6, 0, 0, 1}, 16,
			DROP_IP_BAD},                    // fragments of fragments
		{50, {6, 0, 0, 0}, 8, DROP_IP_PROTOCOL}, // ESP
		{59, {0}, 8, DROP_IP_PROTOCOL},          // no next header
		{58, {129, 0, 0, 0}, 8, DROP_ICMP_BAD},  // what follows is TCP all the same
		{1, {8, 0, 0, 0}, 8, DROP_ICMP_BAD},     // ICMP of v4
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t octets[ROOM];
		size_t n = with_extensions(octets, cases[i].kind, cases[i].octets, cases[i].len);
		enum drop why = parse(octets, n);

		if (why != cases[i].why)
			fail_msg("case %zu: %s", i, drop_name(why));
	}
}

static void test_frame_v6_fragment_is_known_by_its_header(void **state)
{
	static const struct {
		uint8_t octets[8];
		enum frame_kind kind;
		uint16_t offset;
		bool more;
	} rows[] = {{{6, 0, 0, 1, 1, 2, 3, 4}, FRAME_FRAGMENT, 0, true},
		{{6, 0, 0, 0xc9, 1, 2, 3, 4}, FRAME_FRAGMENT, 200, true},
		{{6, 0, 0xff, 0xfe, 1, 2, 3, 4}, FRAME_FRAGMENT, 65528, false},
		{{6, 0, 0, 6, 1, 2, 3, 4}, FRAME_TCP, 0, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t octets[ROOM];
		size_t n = with_extensions(octets, 44, rows[i].octets, 8);
		struct frame f;

		assert_int_equal(frame_parse((struct slice){octets, n}, 0, &f), DROP_NONE);
		assert_int_equal(f.kind, rows[i].kind);
		assert_int_equal(f.ip.protocol, 6);
		assert_int_equal(f.ip.fragment.id, 0x01020304);
		assert_int_equal(f.ip.fragment.offset, rows[i].offset);
		assert_int_equal(f.ip.fragment.more, rows[i].more);
		assert_int_equal(f.ip.l4.len, sizeof(scapy_tcp) - L4_AT);
	}
}

// RFC 1858, RFC 7112: a first fragment that does not hold the TCP header.
static void test_frame_v6_tiny_first_fragment_is_dropped(void **state)
{
	static const uint8_t header[8] = {6, 0, 0, 1};
	uint8_t octets[ROOM];

	(void)state;
	(void)with_extensions(octets, 44, header, 8);
	for (uint16_t len = 0; len < 24; len += 8) {
		octets_put16(octets + IP_AT + 4, (uint16_t)(8 + len));
		assert_int_equal(parse(octets, L4_AT + 8u + len), DROP_FRAGMENT_TINY);
	}
	octets_put16(octets + IP_AT + 4, 8 + 24);
	assert_int_equal(parse(octets, L4_AT + 8 + 24), DROP_NONE);
}

static void test_frame_v6_extension_headers_are_bounded(void **state)
{
	uint8_t chain[8 * (LIMIT_IP6_EXTENSIONS + 1)] = {0}, octets[ROOM];
	uint8_t large[LIMIT_IP6_EXTENSION_OCTETS + 8] = {0};
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(chain); i += 8)
		chain[i] = 60;
	chain[sizeof(chain) - 8] = 6;
	n = with_extensions(octets, 60, chain, sizeof(chain));
	assert_int_equal(parse(octets, n), DROP_IP6_EXTENSION);
	n = with_extensions(octets, 60, chain + 8, sizeof(chain) - 8);
	assert_int_equal(parse(octets, n), DROP_NONE);
	large[0] = 6;
	large[1] = sizeof(large) / 8 - 1;
	n = with_extensions(octets, 60, large, sizeof(large));
	assert_int_equal(parse(octets, n), DROP_IP6_EXTENSION);
	large[1]--;
	n = with_extensions(octets, 60, large, sizeof(large) - 8);
	assert_int_equal(parse(octets, n), DROP_NONE);
}

static void test_frame_v6_ping_is_answered_without_its_extensions(void **state)
{
	uint8_t octets[sizeof(scapy_ping)];
	struct frame f;

	(void)state;
	memcpy(octets, scapy_ping, sizeof(octets));
	assert_int_equal(frame_parse((struct slice){octets, sizeof(octets)}, 0, &f), DROP_NONE);
	assert_int_equal(f.kind, FRAME_ECHO);
	assert_int_equal(frame_echo_reply(&f, octets), sizeof(scapy_pong));
	assert_memory_equal(octets, scapy_pong, sizeof(scapy_pong));
	assert_int_equal(parse(octets, sizeof(scapy_pong)), DROP_ICMP_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_v6_is_built_as_others_build_it),
		cmocka_unit_test(test_frame_v6_of_others_parses),
		cmocka_unit_test(test_frame_v6_wrong_checksum_is_dropped),
		cmocka_unit_test(test_frame_v6_partial_checksum_is_completed_by_the_port),
		cmocka_unit_test(test_frame_v6_every_cut_is_refused),
		cmocka_unit_test(test_frame_v6_addresses_that_no_packet_may_have),
		cmocka_unit_test(test_frame_v6_extension_headers),
		cmocka_unit_test(test_frame_v6_fragment_is_known_by_its_header),
		cmocka_unit_test(test_frame_v6_tiny_first_fragment_is_dropped),
		cmocka_unit_test(test_frame_v6_extension_headers_are_bounded),
		cmocka_unit_test(test_frame_v6_ping_is_answered_without_its_extensions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
