// ICMP errors: what they quote and what they say, from the octets of other implementations.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net/icmp_error.h"

// Linux, "frag needed, mtu 1400": router 10.12.170.1 to 10.12.170.5, about 1500 octets to 198.51.100.7:40000.
static const uint8_t v4[] = {3, 4, 0, 0, 0, 0, 0x05, 0x78,                                //
	0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 63, 6, 0, 0, 10, 12, 170, 5, 198, 51, 100, 7, //
	0, 25, 0x9c, 0x40, 0x11, 0x22, 0x33, 0x44};

// Linux, "packet too big, mtu 1280": to 2001:db8::5, about 1500 octets to 2001:db8:1::7.
static const uint8_t v6[] = {2, 0, 0, 0, 0, 0, 5, 0,            //
	0x60, 0, 0, 0, 0x05, 0xb4, 6, 63,                       //
	0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, //
	0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, //
	0, 25, 0x9c, 0x40, 0x11, 0x22, 0x33, 0x44};

static uint8_t octets[128];

static struct ip_packet packet(bool is_v4)
{
	struct ip_packet ip = {.protocol = is_v4 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_ICMP6,
		.l4 = {octets, is_v4 ? sizeof(v4) : sizeof(v6)}};

	memcpy(octets, is_v4 ? v4 : v6, ip.l4.len);
	assert_true(ip_addr_parse(is_v4 ? "10.12.170.5" : "2001:db8::5", &ip.dst));
	return ip;
}

static void test_icmp_error_v4_too_big(void **state)
{
	struct ip_packet ip = packet(true);
	struct icmp_error e;
	char text[IP_ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(icmp_error_parse(&ip, &e), DROP_NONE);
	assert_int_equal(e.kind, ICMP_ERROR_TOO_BIG);
	assert_int_equal(e.mtu, 1400);
	assert_int_equal(e.quoted_octets, 1500);
	assert_string_equal(ip_addr_print(&e.peer, text), "198.51.100.7");
	assert_true(ip_addr_eq(&e.local, &ip.dst));
	assert_int_equal(e.local_port, 25);
	assert_int_equal(e.peer_port, 40000);
	assert_int_equal(e.seq, 0x11223344);
}

static void test_icmp_error_v6_too_big(void **state)
{
	struct ip_packet ip = packet(false);
	struct icmp_error e;
	char text[IP_ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(icmp_error_parse(&ip, &e), DROP_NONE);
	assert_int_equal(e.kind, ICMP_ERROR_TOO_BIG);
	assert_int_equal(e.mtu, 1280);
	assert_int_equal(e.quoted_octets, 1500);
	assert_string_equal(ip_addr_print(&e.peer, text), "2001:db8:1::7");
	assert_int_equal(e.peer_port, 40000);
	assert_int_equal(e.seq, 0x11223344);
}

// -1: of no use.
static int kind_of(bool is_v4, uint8_t type, uint8_t code)
{
	struct ip_packet ip = packet(is_v4);
	struct icmp_error e;

	octets[0] = type;
	octets[1] = code;
	return icmp_error_parse(&ip, &e) == DROP_NONE ? (int)e.kind : -1;
}

// RFC 1122 4.2.3.9, RFC 4443, RFC 5461.
static void test_icmp_error_kinds(void **state)
{
	static const struct {
		bool v4;
		uint8_t type, code;
		int kind;
	} rows[] = {
		{true, 3, 0, ICMP_ERROR_SOFT},
		{true, 3, 1, ICMP_ERROR_SOFT},
		{true, 3, 2, ICMP_ERROR_HARD},
		{true, 3, 3, ICMP_ERROR_HARD},
		{true, 3, 5, ICMP_ERROR_SOFT},
		{true, 3, 13, ICMP_ERROR_HARD},
		{true, 11, 0, ICMP_ERROR_SOFT},
		{true, 12, 0, ICMP_ERROR_SOFT},
		{true, 4, 0, -1}, // source quench
		{true, 5, 1, -1}, // redirect
		{true, 0, 0, -1}, // echo reply
		{false, 1, 0, ICMP_ERROR_SOFT},
		{false, 1, 1, ICMP_ERROR_HARD},
		{false, 1, 4, ICMP_ERROR_HARD},
		{false, 3, 0, ICMP_ERROR_SOFT},
		{false, 4, 0, ICMP_ERROR_SOFT},
		{false, 4, 1, ICMP_ERROR_HARD},
		{false, 129, 0, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(kind_of(rows[i].v4, rows[i].type, rows[i].code), rows[i].kind);
}

static void test_icmp_error_of_any_length_is_read_within_it(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		struct ip_packet ip = packet(f == 0);
		size_t whole = ip.l4.len;
		struct icmp_error e;

		for (ip.l4.len = 8; ip.l4.len < whole; ip.l4.len++)
			assert_int_equal(icmp_error_parse(&ip, &e), DROP_ICMP_BAD);
	}
}

static void bad(struct ip_packet ip, size_t at, uint8_t value)
{
	struct icmp_error e;

	octets[at] = value;
	assert_int_equal(icmp_error_parse(&ip, &e), DROP_ICMP_BAD);
}

static void test_icmp_error_about_what_we_never_send_is_dropped(void **state)
{
	(void)state;
	bad(packet(true), 8 + 9, 17);   // UDP
	bad(packet(true), 8 + 15, 6);   // from another address
	bad(packet(true), 8 + 6, 0x20); // a fragment
	bad(packet(true), 8, 0x44);     // a header too short
	bad(packet(true), 8, 0x65);     // v6 in v4
	bad(packet(false), 8 + 6, 44);  // extension headers
	bad(packet(false), 8 + 23, 6);  // from another address
	bad(packet(false), 8, 0x45);    // v4 in v6
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_icmp_error_v4_too_big),
		cmocka_unit_test(test_icmp_error_v6_too_big),
		cmocka_unit_test(test_icmp_error_kinds),
		cmocka_unit_test(test_icmp_error_of_any_length_is_read_within_it),
		cmocka_unit_test(test_icmp_error_about_what_we_never_send_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
