// Single values: what is taken, what is refused and with which hint.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "config/schema.h"
#include "config/utf8.h"
#include "config/value.h"

static void test_value_numbers_carry_their_units(void **state)
{
	uint64_t value;

	(void)state;
	assert_null(value_octets("512MiB", &value));
	assert_true(value == 512 << 20);
	assert_null(value_octets("2 GiB", &value));
	assert_true(value == UINT64_C(2) << 30);
	assert_null(value_octets("65536", &value));
	assert_null(value_duration("5m", &value));
	assert_true(value == 300);
	assert_null(value_duration("2d", &value));
	assert_true(value == 172800);
	assert_null(value_number("0", &value));
}

static void test_value_numbers_without_sense_are_refused(void **state)
{
	static const char *const octets[] = {"", "MiB", "5MB", "5mib", "-5", "1.5MiB", "0x10",
		"18446744073709551616", "17179869184GiB"};
	static const char *const durations[] = {"", "5", "5 min", "m", "1h30m", "-5s"};
	uint64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(octets) / sizeof(octets[0]); i++)
		assert_non_null(value_octets(octets[i], &value));
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++)
		assert_non_null(value_duration(durations[i], &value));
	assert_non_null(value_number("+1", &value));
	assert_non_null(value_number("1 ", &value));
}

static void test_value_prefix_prints_as_it_was_read(void **state)
{
	static const char *const texts[] = {"10.12.8.0/24", "0.0.0.0/0", "10.12.8.7", "::/0",
		"2001:db8::/32", "2001:db8::1", "::/95", "128.0.0.0/1"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[VALUE_PREFIX_TEXT_MAX];
		struct value_why why;
		struct ip_addr addr;
		uint8_t len;

		assert_null(value_prefix(texts[i], &addr, &len, &why));
		assert_string_equal(value_prefix_print(&addr, len, text), texts[i]);
	}
}

static void test_value_prefix_says_what_was_meant(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"10.12.8.1/24", "expected 10.12.8.0/24 for the subnet or 10.12.8.1 for"},
		{"2001:db8::1/64", "expected 2001:db8::/64 for the subnet or 2001:db8::1 for"},
		{"::ffff:10.0.0.1", "expected it as IPv4, 10.0.0.1"},
		{"::ffff:0:0/96", "expected it as IPv4, 0.0.0.0/0"},
		{"10.0.0.0/", "expected a prefix length behind the slash"},
		{"10.0.0.0/8/8", "expected a prefix length behind the slash"},
		{"10.0.0.0/-1", "expected a prefix length behind the slash"},
		{"10.0.0.0 /8", "expected an address or subnet"},
		{"0x0a000001", "is a name: expected an address or subnet"},
		{"167772161", "expected an address or subnet"},
		{"10.0.0.1.5", "expected an address or subnet"},
		{"1:2:3:4:5:6:7:8:9", "expected an address or subnet"},
		{"2001:db8::/129", "at most 128"},
		{"", "expected an address or subnet"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct value_why why;
		struct ip_addr addr;
		uint8_t len;
		const char *wrong = value_prefix(cases[i].text, &addr, &len, &why);

		assert_non_null(wrong);
		assert_non_null(strstr(wrong, cases[i].says));
	}
}

static void test_value_endpoint_takes_host_and_port_apart(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} cases[] = {
		{"10.0.0.1", "10.0.0.1", 25},
		{"10.0.0.1:587", "10.0.0.1", 587},
		{"mx.example.net:26", "mx.example.net", 26},
		{"[2001:db8::1]:26", "2001:db8::1", 26},
		{"[2001:db8::1]", "2001:db8::1", 25},
		{"2001:db8::1", "2001:db8::1", 25},
	};
	uint16_t port;
	const char *host;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		port = 25;
		assert_null(value_endpoint(cases[i].text, &host, &len, &port));
		assert_int_equal(len, strlen(cases[i].host));
		assert_memory_equal(host, cases[i].host, len);
		assert_int_equal(port, cases[i].port);
	}
	assert_non_null(value_endpoint("[::1", &host, &len, &port));
	assert_non_null(value_endpoint("[::1]x", &host, &len, &port));
	assert_non_null(value_endpoint("h:", &host, &len, &port));
	assert_non_null(value_endpoint("h:65536", &host, &len, &port));
}

static void test_value_domain_takes_names_only(void **state)
{
	static const char *const good[] = {"neulan.net", ".neulan.net", "*",
		"xn--bcher-kva.example", "a", "1and1.com", "localhost"};
	static const char *const bad[] = {"", ".", "..", "a..b", "a.", "-a.net", "a-.net",
		"a_b.net", "a b.net", "*.a.net", "10.0.0.1", "a.1", "b\xc3\xbc.net", ".*", "a/b"};
	char longest[256];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_null(value_domain(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(value_domain(bad[i]));
	memset(longest, 'a', 64);
	longest[64] = '\0';
	assert_non_null(value_domain(longest));
	longest[63] = '\0';
	assert_null(value_domain(longest));
	memset(longest, 'a', 255);
	longest[255] = '\0';
	for (size_t i = 50; i < 255; i += 50)
		longest[i] = '.';
	assert_non_null(value_domain(longest));
	assert_null(value_domain(longest + 2)); // 253
}

static void test_schema_nearest_finds_slips_and_nothing_else(void **state)
{
	(void)state;
	assert_string_equal(
		schema_nearest(SCHEMA_SECTION_TOP, "virtual_server"), "virtual_servers");
	assert_string_equal(schema_nearest(SCHEMA_SECTION_TOP, "own-networks"), "own_networks");
	assert_null(schema_nearest(SCHEMA_SECTION_TOP, "x"));
	assert_null(schema_nearest(SCHEMA_SECTION_TOP, ""));
	assert_null(
		schema_nearest(SCHEMA_SECTION_TOP, "something completely different from all keys"));
}

static void test_schema_rows_are_unique_and_have_a_sentence(void **state)
{
	(void)state;
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];

		assert_ptr_equal(schema_find(row->section, row->key), row);
		assert_true(strlen(row->sentence) > 10);
		assert_true(row->least <= row->most);
	}
}

static void test_utf8_takes_well_formed_printable_text_only(void **state)
{
	static const char *const bad[] = {"\x80", "\xc0\xaf", "\xc1\x81", "\xe0\x9f\xbf",
		"\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3",
		"\xc3\x28", "\x01", "\x7f", "\xc2\x85", "\xe2\x80\xa8", "\rx"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(utf8_take(bad[i], strlen(bad[i])), 0);
	assert_int_equal(utf8_take("a", 1), 1);
	assert_int_equal(utf8_take("\r\n", 2), 1);
	assert_int_equal(utf8_take("\xc3\xbc", 2), 2);
	assert_int_equal(utf8_take("\xe2\x82\xac", 3), 3);
	assert_int_equal(utf8_take("\xf0\x9f\x93\xa7", 4), 4);
	assert_int_equal(utf8_take("", 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_numbers_carry_their_units),
		cmocka_unit_test(test_value_numbers_without_sense_are_refused),
		cmocka_unit_test(test_value_prefix_prints_as_it_was_read),
		cmocka_unit_test(test_value_prefix_says_what_was_meant),
		cmocka_unit_test(test_value_endpoint_takes_host_and_port_apart),
		cmocka_unit_test(test_value_domain_takes_names_only),
		cmocka_unit_test(test_schema_nearest_finds_slips_and_nothing_else),
		cmocka_unit_test(test_schema_rows_are_unique_and_have_a_sentence),
		cmocka_unit_test(test_utf8_takes_well_formed_printable_text_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
