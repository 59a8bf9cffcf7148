// Frames and ARP: what is parsed, what is refused and under which name, and that build and parse agree.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net/arp.h"
#include "net/checksum.h"
#include "net/frame.h"

enum { ROOM = 2048 };

static struct segment sample(void)
{
	static const uint8_t text[] = "EHLO client.example\r\n";
	struct segment s = {.src = ip_addr_from_v4(0x0a0caa14),
		.dst = ip_addr_from_v4(0x0a0caa4a),
		.src_port = 40000,
		.dst_port = 25,
		.seq = 0xfffffff0,
		.ack = 77,
		.window = 512,
		.flags = SEGMENT_ACK | SEGMENT_PSH,
		.part_count = 2};

	s.options.has_timestamp = true;
	s.options.tsval = 0x01020304;
	s.options.tsecr = 0x05060708;
	s.ecn = SEGMENT_ECN_ECT0;
	s.parts[0] = (struct slice){text, 5};
	s.parts[1] = (struct slice){text + 5, sizeof(text) - 6};
	s.payload_octets = sizeof(text) - 1;
	return s;
}

static const struct frame_route route = {.src_mac = {{2, 0, 0, 0, 0, 1}},
	.dst_mac = {{2, 0, 0, 0, 0, 2}},
	.sums = FRAME_SUMS_SOFTWARE};

static uint32_t build_sample(uint8_t out[ROOM])
{
	struct segment s = sample();
	uint32_t n = frame_build(&s, &route, out, ROOM);

	assert_int_not_equal(n, 0);
	return n;
}

static enum drop parse(const uint8_t *octets, size_t len)
{
	struct frame f;

	return frame_parse((struct slice){octets, len}, 0, &f);
}

static void test_frame_built_segment_parses_to_itself(void **state)
{
	uint8_t octets[ROOM];
	uint32_t n = build_sample(octets);
	struct segment s = sample();
	struct frame f;

	(void)state;
	octets[n] = 0xaa; // Ethernet padding is not payload
	assert_int_equal(frame_parse((struct slice){octets, n + 1}, 0, &f), DROP_NONE);
	assert_int_equal(f.kind, FRAME_TCP);
	assert_true(ip_addr_eq(&f.tcp.src, &s.src) && ip_addr_eq(&f.tcp.dst, &s.dst));
	assert_int_equal(f.tcp.src_port, s.src_port);
	assert_int_equal(f.tcp.dst_port, s.dst_port);
	assert_int_equal(f.tcp.seq, s.seq);
	assert_int_equal(f.tcp.ack, s.ack);
	assert_int_equal(f.tcp.window, s.window);
	assert_int_equal(f.tcp.flags, s.flags);
	assert_int_equal(f.tcp.options.tsval, s.options.tsval);
	assert_int_equal(f.tcp.options.tsecr, s.options.tsecr);
	assert_int_equal(f.tcp.ecn, SEGMENT_ECN_ECT0);
	assert_int_equal(f.tcp.payload_octets, s.payload_octets);
	assert_memory_equal(f.tcp.parts[0].at, "EHLO client.example\r\n", s.payload_octets);
}

static void test_frame_syn_options_round_trip(void **state)
{
	uint8_t octets[ROOM];
	struct segment s = sample();
	struct frame f;
	uint32_t n;

	(void)state;
	s.flags = SEGMENT_SYN;
	s.part_count = 0;
	s.payload_octets = 0;
	s.options.has_mss = s.options.has_scale = s.options.sack_permitted = true;
	s.options.mss = 1460;
	s.options.scale = 9;
	n = frame_build(&s, &route, octets, ROOM);
	assert_int_equal(frame_parse((struct slice){octets, n}, 0, &f), DROP_NONE);
	assert_true(
		f.tcp.options.has_mss && f.tcp.options.has_scale && f.tcp.options.sack_permitted);
	assert_int_equal(f.tcp.options.mss, 1460);
	assert_int_equal(f.tcp.options.scale, 9);
	// Twenty octets, SACK-permitted in front of the timestamp: as Linux lays them.
	assert_int_equal(n, FRAME_ETHER_OCTETS + 20 + 20 + 20);
	assert_memory_equal(octets + FRAME_ETHER_OCTETS + 40, "\2\4\x05\xb4\4\2\x08\x0a", 8);
	assert_memory_equal(octets + n - 4, "\1\3\3\x09", 4);
}

static void test_frame_sack_blocks_round_trip(void **state)
{
	uint8_t octets[ROOM];
	struct segment s = sample();
	struct frame f;
	uint32_t n;

	(void)state;
	s.options.sack_count = 2;
	s.options.sacks[0] = (struct segment_sack){10, 20};
	s.options.sacks[1] = (struct segment_sack){30, 0xffffffff};
	n = frame_build(&s, &route, octets, ROOM);
	assert_int_equal(frame_parse((struct slice){octets, n}, 0, &f), DROP_NONE);
	assert_int_equal(f.tcp.options.sack_count, 2);
	assert_int_equal(f.tcp.options.sacks[1].left, 30);
	assert_int_equal(f.tcp.options.sacks[1].right, 0xffffffff);
}

static void test_frame_too_large_for_room_is_not_built(void **state)
{
	uint8_t octets[ROOM];
	struct segment s = sample();

	(void)state;
	assert_int_equal(
		frame_build(&s, &route, octets, FRAME_HEADERS_MAX + s.payload_octets - 1), 0);
}

// One octet changed in a good frame, and the name under which it is dropped.
static void test_frame_each_damage_has_its_name(void **state)
{
	static const struct {
		size_t at;
		uint8_t to;
		enum drop why;
	} damages[] = {
		{12, 0x86, DROP_ETH_TYPE}, {14, 0x65, DROP_IP_BAD}, // version 6 in an IPv4 frame
		{14, 0x44, DROP_IP_BAD},                            // header length below 20
		{16, 0xff, DROP_IP_BAD},                            // longer than the frame
		{22, 1, DROP_IP_CHECKSUM},                          // time to live
		{23, 17, DROP_IP_CHECKSUM},                         // UDP, header sum not made good
		{50, 0, DROP_TCP_CHECKSUM},                         // checksum of TCP itself
		{70, 'x', DROP_TCP_CHECKSUM},                       // payload
	};

	(void)state;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		uint8_t octets[ROOM];
		uint32_t n = build_sample(octets);

		assert_int_not_equal(octets[damages[i].at], damages[i].to);
		octets[damages[i].at] = damages[i].to;
		assert_int_equal(parse(octets, n), damages[i].why);
	}
}

static void fix_ip_sum(uint8_t *octets)
{
	uint16_t sum;

	memset(octets + 24, 0, 2);
	sum = (uint16_t)~checksum_fold(checksum_add(0, octets + 14, 20));
	memcpy(octets + 24, &sum, 2);
}

static void test_frame_header_fields_with_good_sum_have_their_names(void **state)
{
	static const struct {
		size_t at;
		uint8_t to;
		enum drop why;
	} fields[] = {
		{23, 17, DROP_IP_PROTOCOL}, {26, 127, DROP_IP_SOURCE}, {26, 0, DROP_IP_SOURCE},
		{26, 224, DROP_IP_SOURCE},
		{29, 0x4a, DROP_IP_SOURCE}, // the source is the destination ("land")
	};

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		uint8_t octets[ROOM];
		uint32_t n = build_sample(octets);

		octets[fields[i].at] = fields[i].to;
		fix_ip_sum(octets);
		assert_int_equal(parse(octets, n), fields[i].why);
	}
}

// Fragments are put together before anybody looks into them (reassembly.h).
static void test_frame_v4_fragment_is_known_by_offset_or_more(void **state)
{
	static const struct {
		uint8_t high, low;
		uint16_t offset;
		bool more;
	} rows[] = {{0x20, 0, 0, true}, {0x20, 3, 24, true}, {0, 1, 8, false},
		{0x1f, 0xff, 65528, false}, {0x60, 0, 0, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t octets[ROOM];
		uint32_t n = build_sample(octets);
		struct frame f;

		octets[18] = 0xab;
		octets[19] = 0xcd;
		octets[20] = rows[i].high;
		octets[21] = rows[i].low;
		fix_ip_sum(octets);
		assert_int_equal(frame_parse((struct slice){octets, n}, 0, &f), DROP_NONE);
		assert_int_equal(f.kind, FRAME_FRAGMENT);
		assert_int_equal(f.ip.fragment.id, 0xabcd);
		assert_int_equal(f.ip.fragment.offset, rows[i].offset);
		assert_int_equal(f.ip.fragment.more, rows[i].more);
		assert_int_equal(f.ip.l4.len, n - 34);
	}
}

static void test_frame_every_cut_is_refused(void **state)
{
	uint8_t octets[ROOM];
	uint32_t n = build_sample(octets);

	(void)state;
	assert_int_equal(parse(octets, 13), DROP_ETH_SHORT);
	for (uint32_t cut = 0; cut < n; cut++)
		assert_int_not_equal(parse(octets, cut), DROP_NONE);
}

static void test_frame_option_of_length_zero_or_one_is_bad(void **state)
{
	(void)state;
	for (uint8_t len = 0; len < 2; len++) {
		uint8_t octets[ROOM];
		uint32_t n = build_sample(octets);
		struct frame f;

		octets[54] = 8;
		octets[55] = len;
		// The port vouches for the sum: the parser itself must not loop.
		assert_int_equal(frame_parse((struct slice){octets, n}, FRAME_TCP_SUM_GOOD, &f),
			DROP_TCP_BAD);
	}
}

static void test_frame_data_offset_below_five_is_bad(void **state)
{
	uint8_t octets[ROOM];
	uint32_t n = build_sample(octets);
	struct frame f;

	(void)state;
	octets[46] = 0x40;
	assert_int_equal(
		frame_parse((struct slice){octets, n}, FRAME_TCP_SUM_GOOD, &f), DROP_TCP_BAD);
}

// RFC 9293 3.9.2 (MUST-50): NOP, NOP, NOP, end: skipped, and TCP stands behind them.
static void test_frame_ip_options_are_skipped(void **state)
{
	uint8_t octets[ROOM], out[ROOM + 4] = {0};
	uint32_t n = build_sample(octets);
	struct frame f;

	(void)state;
	memcpy(out, octets, 34);
	memset(out + 34, 1, 3);
	memcpy(out + 38, octets + 34, n - 34);
	out[14] = 0x46;
	out[17] = (uint8_t)(out[17] + 4);
	assert_int_equal(frame_parse((struct slice){out, n + 4}, FRAME_IP_SUM_GOOD, &f), DROP_NONE);
	assert_int_equal(f.kind, FRAME_TCP);
	assert_memory_equal(f.tcp.parts[0].at, "EHLO client.example\r\n", 21);
}

static uint32_t build_ping(uint8_t out[ROOM])
{
	uint32_t n = 14 + 20 + 8 + 5;
	uint16_t sum;

	(void)build_sample(out);
	out[17] = 20 + 8 + 5;
	out[23] = 1;
	fix_ip_sum(out);
	memset(out + 34, 0, 13);
	out[34] = 8;
	memcpy(out + 42, "hello", 5);
	sum = (uint16_t)~checksum_fold(checksum_add(0, out + 34, 13));
	memcpy(out + 36, &sum, 2);
	return n;
}

static void test_frame_ping_is_answered_in_place(void **state)
{
	uint8_t octets[ROOM];
	uint32_t n = build_ping(octets);
	struct frame f;

	(void)state;
	assert_int_equal(frame_parse((struct slice){octets, n}, 0, &f), DROP_NONE);
	assert_int_equal(f.kind, FRAME_ECHO);
	assert_int_equal(frame_echo_reply(&f, octets), n);
	assert_int_equal(octets[34], 0);
	assert_memory_equal(octets, route.src_mac.octets, 6);
	assert_memory_equal(octets + 30, "\x0a\x0c\xaa\x14", 4);
	assert_int_equal(checksum_fold(checksum_add(0, octets + 34, 13)), 0xffff);
	assert_int_equal(checksum_fold(checksum_add(0, octets + 14, 20)), 0xffff);
	assert_int_equal(parse(octets, n), DROP_ICMP_BAD); // a reply is nothing we asked for
}

// RFC 9293 3.9.2.2 (MUST-55), RFC 6633.
static void test_frame_icmp_source_quench_is_dropped(void **state)
{
	uint8_t octets[ROOM];
	uint32_t n = build_ping(octets);
	uint16_t sum;

	(void)state;
	octets[34] = 4;
	memset(octets + 36, 0, 2);
	sum = (uint16_t)~checksum_fold(checksum_add(0, octets + 34, 13));
	memcpy(octets + 36, &sum, 2);
	assert_int_equal(parse(octets, n), DROP_ICMP_BAD);
}

static void test_checksum_parts_add_up_to_the_whole(void **state)
{
	uint8_t data[97];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + 11);
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		uint64_t sum = checksum_add(0, data, cut);

		if (cut % 2 == 0)
			sum = checksum_add(sum, data + cut, sizeof(data) - cut);
		else
			sum = checksum_add_odd(sum, data + cut, sizeof(data) - cut);
		assert_int_equal(
			checksum_fold(sum), checksum_fold(checksum_add(0, data, sizeof(data))));
	}
}

static const struct mac mac_a = {{2, 0, 0, 0, 0, 0xa}}, mac_b = {{2, 0, 0, 0, 0, 0xb}};

static void test_arp_request_and_reply_round_trip(void **state)
{
	uint8_t octets[ARP_FRAME_OCTETS];
	struct frame f;
	struct arp arp;

	(void)state;
	assert_int_equal(arp_build_request(octets, &(struct arp_ask){.sender_mac = mac_a,
							   .sender = 0x0a000001,
							   .target = 0x0a000002}),
		ARP_FRAME_OCTETS);
	assert_int_equal(frame_parse((struct slice){octets, sizeof(octets)}, 0, &f), DROP_NONE);
	assert_int_equal(arp_parse(&f, &arp), DROP_NONE);
	assert_true(arp.request && arp.sender == 0x0a000001 && arp.target == 0x0a000002);
	assert_int_equal(arp_build_reply(octets, mac_b, 0x0a000002, &arp), ARP_FRAME_OCTETS);
	assert_int_equal(frame_parse((struct slice){octets, sizeof(octets)}, 0, &f), DROP_NONE);
	assert_int_equal(arp_parse(&f, &arp), DROP_NONE);
	assert_true(!arp.request && arp.sender == 0x0a000002 && arp.target == 0x0a000001);
	assert_memory_equal(arp.sender_mac.octets, mac_b.octets, 6);
}

static void test_arp_request_to_one_names_it(void **state)
{
	uint8_t octets[ARP_FRAME_OCTETS];
	struct frame f;

	(void)state;
	(void)arp_build_request(octets, &(struct arp_ask){.sender_mac = mac_a, .dst_mac = &mac_b});
	assert_int_equal(frame_parse((struct slice){octets, sizeof(octets)}, 0, &f), DROP_NONE);
	assert_memory_equal(f.dst_mac.octets, mac_b.octets, 6);
}

static void test_arp_malformed_is_dropped(void **state)
{
	static const size_t at[] = {
		14, 17, 18, 19, 20, 21, 22}; // types, lengths, operation, group sender address

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint8_t octets[ARP_FRAME_OCTETS];
		struct frame f;
		struct arp arp;

		(void)arp_build_request(octets,
			&(struct arp_ask){
				.sender_mac = mac_a, .sender = 0x0a000001, .target = 0x0a000002});
		octets[at[i]] = 0xff;
		assert_int_equal(
			frame_parse((struct slice){octets, sizeof(octets)}, 0, &f), DROP_NONE);
		assert_int_equal(arp_parse(&f, &arp), DROP_ARP_BAD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_built_segment_parses_to_itself),
		cmocka_unit_test(test_frame_syn_options_round_trip),
		cmocka_unit_test(test_frame_sack_blocks_round_trip),
		cmocka_unit_test(test_frame_too_large_for_room_is_not_built),
		cmocka_unit_test(test_frame_each_damage_has_its_name),
		cmocka_unit_test(test_frame_header_fields_with_good_sum_have_their_names),
		cmocka_unit_test(test_frame_v4_fragment_is_known_by_offset_or_more),
		cmocka_unit_test(test_frame_every_cut_is_refused),
		cmocka_unit_test(test_frame_option_of_length_zero_or_one_is_bad),
		cmocka_unit_test(test_frame_data_offset_below_five_is_bad),
		cmocka_unit_test(test_frame_ip_options_are_skipped),
		cmocka_unit_test(test_frame_ping_is_answered_in_place),
		cmocka_unit_test(test_frame_icmp_source_quench_is_dropped),
		cmocka_unit_test(test_checksum_parts_add_up_to_the_whole),
		cmocka_unit_test(test_arp_request_and_reply_round_trip),
		cmocka_unit_test(test_arp_request_to_one_names_it),
		cmocka_unit_test(test_arp_malformed_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
