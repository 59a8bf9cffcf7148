// Neighbour discovery: the octets another implementation makes, and what RFC 4861 7.1 wants refused.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net/checksum.h"
#include "net/nd.h"
#include "tests/addr.h"

enum {
	IP_AT = 14,
	HOP_LIMIT_AT = IP_AT + 7,
	SRC_AT = IP_AT + 8,
	DST_AT = IP_AT + 24,
	TYPE_AT = IP_AT + 40,
	FLAGS_AT = TYPE_AT + 4,
	TARGET_AT = TYPE_AT + 8,
	OPTION_AT = TYPE_AT + 24,
};

// Made by Scapy: who has ::20, asked by ::5; the answer about ::5 to ::20; ::5 announced to all; and whether ::5 is free.
static const uint8_t scapy_ns[86] = {0x33, 0x33, 0xff, 0x00, 0x00, 0x20, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x01, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, 0x20, 0x01, 0x0d,
	0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0xff, 0x02,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xff, 0x00, 0x00, 0x20, 0x87,
	0x00, 0x1b, 0xc3, 0x00, 0x00, 0x00, 0x00, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x12, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00,
	0x01};
static const uint8_t scapy_na[86] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x01, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, 0x20, 0x01, 0x0d,
	0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x20, 0x01,
	0x0d, 0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x88,
	0x00, 0x8a, 0x17, 0x60, 0x00, 0x00, 0x00, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x12, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00,
	0x01};
static const uint8_t scapy_announce[86] = {0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x00,
	0x00, 0x00, 0x01, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, 0x20, 0x01,
	0x0d, 0xb8, 0x00, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0xff,
	0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
	0x88, 0x00, 0xf8, 0xfe, 0x20, 0x00, 0x00, 0x00, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x12, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x01};
static const uint8_t scapy_probe[86] = {0x33, 0x33, 0xff, 0x00, 0x00, 0x05, 0x02, 0x00, 0x00, 0x00,
	0x00, 0x01, 0x86, 0xdd, 0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0x02,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xff, 0x00, 0x00, 0x05, 0x87,
	0x00, 0x35, 0xbe, 0x00, 0x00, 0x00, 0x00, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x12, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0e, 0x01, 0x01, 0x02, 0x03, 0x04, 0x05,
	0x06};

static const struct mac our_mac = {{2, 0, 0, 0, 0, 1}}, their_mac = {{2, 0, 0, 0, 0, 2}};

static void test_nd_messages_are_built_as_others_build_them(void **state)
{
	uint8_t out[ND_FRAME_OCTETS_MAX];
	struct ip_addr we = addr("2001:db8:12::5"), they = addr("2001:db8:12::20");
	struct nd_advert advert = {.mac = our_mac,
		.target = we,
		.dst = &they,
		.dst_mac = their_mac,
		.overrides = true};

	(void)state;
	assert_int_equal(
		nd_build_solicit(
			out, &(struct nd_solicit){.src_mac = our_mac, .src = we, .target = they}),
		sizeof(scapy_ns));
	assert_memory_equal(out, scapy_ns, sizeof(scapy_ns));
	assert_int_equal(nd_build_solicit(out, &(struct nd_solicit){.src_mac = our_mac,
						       .target = we,
						       .nonce = {1, 2, 3, 4, 5, 6}}),
		sizeof(scapy_probe));
	assert_memory_equal(out, scapy_probe, sizeof(scapy_probe));
	assert_int_equal(nd_build_advert(out, &advert), sizeof(scapy_na));
	assert_memory_equal(out, scapy_na, sizeof(scapy_na));
	advert.dst = NULL;
	assert_int_equal(nd_build_advert(out, &advert), sizeof(scapy_announce));
	assert_memory_equal(out, scapy_announce, sizeof(scapy_announce));
}

static void test_nd_question_to_one_goes_to_its_mac_and_address(void **state)
{
	uint8_t out[ND_FRAME_OCTETS_MAX];
	struct ip_addr they = addr("2001:db8:12::20");
	uint32_t n = nd_build_solicit(out, &(struct nd_solicit){.src_mac = our_mac,
						   .src = addr("2001:db8:12::5"),
						   .target = they,
						   .dst_mac = &their_mac});
	struct frame f;

	(void)state;
	assert_int_equal(frame_parse((struct slice){out, n}, 0, &f), DROP_NONE);
	assert_memory_equal(f.dst_mac.octets, their_mac.octets, 6);
	assert_true(ip_addr_eq(&f.ip.dst, &they));
}

static enum drop parse(const uint8_t *octets, size_t len, struct nd *nd)
{
	struct frame f;
	enum drop why = frame_parse((struct slice){octets, len}, 0, &f);

	if (why != DROP_NONE)
		return why;
	assert_int_equal(f.kind, FRAME_ND);
	return nd_parse(&f, nd);
}

static void test_nd_messages_of_others_are_understood(void **state)
{
	struct ip_addr we = addr("2001:db8:12::5"), they = addr("2001:db8:12::20");
	struct nd nd;

	(void)state;
	assert_int_equal(parse(scapy_ns, sizeof(scapy_ns), &nd), DROP_NONE);
	assert_true(nd.solicitation && nd.has_mac && !nd.has_nonce);
	assert_true(ip_addr_eq(&nd.target, &they));
	assert_memory_equal(nd.mac.octets, our_mac.octets, 6);
	assert_int_equal(parse(scapy_na, sizeof(scapy_na), &nd), DROP_NONE);
	assert_true(!nd.solicitation && nd.has_mac && nd.solicited && nd.overrides);
	assert_true(ip_addr_eq(&nd.target, &we));
	assert_int_equal(parse(scapy_probe, sizeof(scapy_probe), &nd), DROP_NONE);
	assert_true(nd.solicitation && !nd.has_mac && nd.has_nonce && nd.nonce[5] == 6);
	assert_int_equal(parse(scapy_announce, sizeof(scapy_announce), &nd), DROP_NONE);
	assert_true(!nd.solicited && nd.overrides);
}

static void fix_sum(uint8_t *octets, size_t len)
{
	struct ip_addr src, dst;
	uint64_t sum;
	uint16_t folded;

	memcpy(src.octets, octets + SRC_AT, 16);
	memcpy(dst.octets, octets + DST_AT, 16);
	memset(octets + TYPE_AT + 2, 0, 2);
	sum = checksum_pseudo(&src, &dst, IP_PROTOCOL_ICMP6, (uint16_t)(len - TYPE_AT));
	folded = (uint16_t)~checksum_fold(checksum_add(sum, octets + TYPE_AT, len - TYPE_AT));
	memcpy(octets + TYPE_AT + 2, &folded, 2);
}

static void test_nd_each_rule_of_rfc_4861_7_1(void **state)
{
	static const struct {
		const uint8_t *octets;
		size_t at;
		uint8_t to;
		enum drop why;
	} cases[] = {
		{scapy_ns, HOP_LIMIT_AT, 254, DROP_ICMP_BAD}, // somebody beyond a router
		{scapy_na, HOP_LIMIT_AT, 64, DROP_ICMP_BAD},
		{scapy_ns, TYPE_AT + 1, 1, DROP_ICMP_BAD}, // code
		{scapy_ns, TARGET_AT, 0xff, DROP_ND_BAD},  // a group as target
		{scapy_na, TARGET_AT, 0xff, DROP_ND_BAD},
		{scapy_ns, OPTION_AT + 1, 0, DROP_ND_BAD},     // length 0
		{scapy_ns, OPTION_AT + 1, 2, DROP_ND_BAD},     // beyond the message
		{scapy_ns, OPTION_AT + 2, 3, DROP_ND_BAD},     // a group as MAC address
		{scapy_announce, FLAGS_AT, 0x60, DROP_ND_BAD}, // solicited, to all
		{scapy_probe, DST_AT + 15, 6, DROP_ND_BAD},    // not the group of its target
		{scapy_probe, OPTION_AT, 1, DROP_ND_BAD},      // a probe with a MAC address
		{scapy_ns, OPTION_AT, 77, DROP_NONE},          // an option nobody knows
		{scapy_ns, TYPE_AT, 134, DROP_ND_IGNORED},     // router advertisement
		{scapy_ns, TYPE_AT, 137, DROP_ND_IGNORED},     // redirect
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t octets[86];
		enum drop why;
		struct nd nd;

		memcpy(octets, cases[i].octets, sizeof(octets));
		octets[cases[i].at] = cases[i].to;
		fix_sum(octets, sizeof(octets));
		why = parse(octets, sizeof(octets), &nd);
		if (why != cases[i].why)
			fail_msg("case %zu: %s", i, drop_name(why));
	}
}

static void test_nd_wrong_checksum_is_dropped(void **state)
{
	uint8_t octets[sizeof(scapy_na)];
	struct nd nd;

	(void)state;
	memcpy(octets, scapy_na, sizeof(octets));
	octets[OPTION_AT + 7] ^= 1;
	assert_int_equal(parse(octets, sizeof(octets), &nd), DROP_ICMP_BAD);
}

static void test_nd_short_messages_are_refused(void **state)
{
	(void)state;
	for (uint8_t len = 0; len < 32; len++) {
		uint8_t octets[sizeof(scapy_ns)];
		enum drop why;
		struct nd nd;

		memcpy(octets, scapy_ns, sizeof(octets));
		octets[IP_AT + 5] = len;
		fix_sum(octets, TYPE_AT + (size_t)len);
		why = parse(octets, sizeof(octets), &nd);
		assert_int_equal(why, len == 24 ? DROP_NONE
				      : len < 8 ? DROP_ICMP_BAD
						: DROP_ND_BAD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nd_messages_are_built_as_others_build_them),
		cmocka_unit_test(test_nd_question_to_one_goes_to_its_mac_and_address),
		cmocka_unit_test(test_nd_messages_of_others_are_understood),
		cmocka_unit_test(test_nd_each_rule_of_rfc_4861_7_1),
		cmocka_unit_test(test_nd_wrong_checksum_is_dropped),
		cmocka_unit_test(test_nd_short_messages_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
