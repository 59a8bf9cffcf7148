// Addresses: every class that could be routed twice, crossed with spellings of it; and what must be let through.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "smtp/smtp_address.h"

struct row {
	enum smtp_address_form form;
	const char *text;
};

static const struct row rows[] = {
	{SMTP_ADDRESS_PLAIN, "<a@neulan.net>"},
	{SMTP_ADDRESS_PLAIN, "<first.last+tag@sub.neulan.net>"},
	{SMTP_ADDRESS_PLAIN, "<#$&'*+-/=?^_`{|}~@neulan.net>"},
	{SMTP_ADDRESS_PLAIN, "<postmaster@foreign.example>"},
	{SMTP_ADDRESS_PLAIN, "<u@neulan.net.foreign.example>"},
	{SMTP_ADDRESS_PLAIN, "<u@xn--nulan-9ra.net>"},
	{SMTP_ADDRESS_PLAIN, "<u@3com.example>"},
	{SMTP_ADDRESS_PLAIN, "<u@1.2.3.4.example>"},
	{SMTP_ADDRESS_PLAIN, "<u@mail_out.example>"},
	{SMTP_ADDRESS_PLAIN, "<\"first last\"@neulan.net>"},
	{SMTP_ADDRESS_PLAIN, "<\"a\\b\"@neulan.net>"},
	{SMTP_ADDRESS_PLAIN, "<\"..\"@neulan.net>"},
	{SMTP_ADDRESS_PLAIN, "<srs@neulan.net>"},
	{SMTP_ADDRESS_PLAIN, "<srs01@neulan.net>"},
	{SMTP_ADDRESS_PLAIN, "<imceast@neulan.net>"},
	{SMTP_ADDRESS_NULL_PATH, "<>"},
	{SMTP_ADDRESS_POSTMASTER, "<postmaster>"},
	{SMTP_ADDRESS_POSTMASTER, "<POSTmaster>"},

	{SMTP_ADDRESS_SYNTAX, ""},
	{SMTP_ADDRESS_SYNTAX, "a@neulan.net"},
	{SMTP_ADDRESS_SYNTAX, "<a@neulan.net"},
	{SMTP_ADDRESS_SYNTAX, "<<a@neulan.net>>"},
	{SMTP_ADDRESS_SYNTAX, "<a b@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "< a@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<.a@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<a.@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<a..b@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<a(comment)@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<a\\b@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<\"\"@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<\"a\"b@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<\"a\".\"b\"@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<\"a\\\"@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<a\"b\"@neulan.net>"},
	{SMTP_ADDRESS_SYNTAX, "<a@>"},
	{SMTP_ADDRESS_SYNTAX, "<mailto:a@neulan.net>"},
	{SMTP_ADDRESS_UNQUALIFIED, "<a>"},
	{SMTP_ADDRESS_UNQUALIFIED, "<\"postmaster\">"},
	{SMTP_ADDRESS_UNQUALIFIED, "<postmaster.>"},

	{SMTP_ADDRESS_PERCENT, "<u%foreign.example@neulan.net>"},
	{SMTP_ADDRESS_PERCENT, "<u%foreign.example>"},
	{SMTP_ADDRESS_PERCENT, "<u%neulan.net@foreign.example>"},
	{SMTP_ADDRESS_PERCENT, "<u@neulan.net%foreign.example>"},
	{SMTP_ADDRESS_PERCENT, "<u%a%b@neulan.net>"},
	{SMTP_ADDRESS_PERCENT, "<%@neulan.net>"},
	{SMTP_ADDRESS_PERCENT, "<u%40foreign.example@neulan.net>"},
	{SMTP_ADDRESS_BANG, "<foreign.example!u@neulan.net>"},
	{SMTP_ADDRESS_BANG, "<foreign.example!u>"},
	{SMTP_ADDRESS_BANG, "<a!b!u@neulan.net>"},
	{SMTP_ADDRESS_BANG, "<u@foreign!neulan.net>"},
	{SMTP_ADDRESS_SOURCE_ROUTE, "<@neulan.net:u@foreign.example>"},
	{SMTP_ADDRESS_SOURCE_ROUTE, "<@a.example,@b.example:u@neulan.net>"},
	{SMTP_ADDRESS_SOURCE_ROUTE, "<@neulan.net>"},
	{SMTP_ADDRESS_SOURCE_ROUTE, "<@>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"u@foreign.example\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"u\\@foreign.example\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"u%foreign.example\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"foreign!u\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"@a:u\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"a\\\"b\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"a\\\\\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"a>b\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"|prog\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"/file\"@neulan.net>"},
	{SMTP_ADDRESS_QUOTED_AT, "<\"a,b\"@neulan.net>"},
	{SMTP_ADDRESS_DOUBLE_AT, "<u@foreign.example@neulan.net>"},
	{SMTP_ADDRESS_DOUBLE_AT, "<u@@neulan.net>"},
	{SMTP_ADDRESS_DOUBLE_AT, "<u@neulan.net@>"},
	{SMTP_ADDRESS_DOUBLE_AT, "<\"u\"@foreign.example@neulan.net>"},
	{SMTP_ADDRESS_DOUBLE_AT, "<a@b c@d>"},
	{SMTP_ADDRESS_ENCAPSULATED, "<IMCEASMTP-u+40foreign+2Eexample@neulan.net>"},
	{SMTP_ADDRESS_ENCAPSULATED, "<imceaex-_O=X@neulan.net>"},
	{SMTP_ADDRESS_ENCAPSULATED, "<\"IMCEA\\SMTP-u+40x\"@neulan.net>"},
	{SMTP_ADDRESS_ENCAPSULATED, "<SRS0=hh=tt=foreign.example=u@neulan.net>"},
	{SMTP_ADDRESS_ENCAPSULATED, "<srs0+hh=tt=foreign.example=u@neulan.net>"},
	{SMTP_ADDRESS_ENCAPSULATED, "<SRS1-hh=a.example==hh=tt=b.example=u@neulan.net>"},
	{SMTP_ADDRESS_ENCAPSULATED, "<\"SRS0=hh=tt=foreign.example=u\"@neulan.net>"},
	{SMTP_ADDRESS_ENCAPSULATED, "</S=user/O=org/C=us/@neulan.net>"},
	{SMTP_ADDRESS_ENCAPSULATED, "<|prog@neulan.net>"},
	{SMTP_ADDRESS_LITERAL, "<u@[192.0.2.1]>"},
	{SMTP_ADDRESS_LITERAL, "<u@[IPv6:2001:db8::1]>"},
	{SMTP_ADDRESS_LITERAL, "<u@[IPv6:::ffff:192.0.2.1]>"},
	{SMTP_ADDRESS_LITERAL, "<u@[x-tag:content]>"},
	{SMTP_ADDRESS_LITERAL, "<u@[neulan.net]>"},
	{SMTP_ADDRESS_LITERAL, "<u@[]>"},
	{SMTP_ADDRESS_LITERAL, "<u@[192.0.2.1>"},
	{SMTP_ADDRESS_LITERAL, "<u@192.0.2.1>"},
	{SMTP_ADDRESS_LITERAL, "<u@127.1>"},
	{SMTP_ADDRESS_LITERAL, "<u@2130706433>"},
	{SMTP_ADDRESS_LITERAL, "<u@0177.0.0.1>"},
	{SMTP_ADDRESS_LITERAL, "<u@0x7f.1>"},
	{SMTP_ADDRESS_LITERAL, "<u@0x7F000001>"},
	{SMTP_ADDRESS_LITERAL, "<u@127.0.0.0x1>"},
	{SMTP_ADDRESS_LITERAL, "<u@::1>"},
	{SMTP_ADDRESS_LITERAL, "<u@2001:db8::1>"},
	{SMTP_ADDRESS_LITERAL, "<u@::ffff:192.0.2.1>"},
	{SMTP_ADDRESS_PERCENT, "<u@[fe80::1%eth0]>"},
	{SMTP_ADDRESS_DOMAIN, "<u@neulan.net:25>"},
	{SMTP_ADDRESS_DOMAIN, "<u@-neulan.net>"},
	{SMTP_ADDRESS_DOMAIN, "<u@neulan-.net>"},
	{SMTP_ADDRESS_DOMAIN, "<u@.neulan.net>"},
	{SMTP_ADDRESS_DOMAIN, "<u@neulan..net>"},
	{SMTP_ADDRESS_DOMAIN, "<u@neulan.net/x>"},
	{SMTP_ADDRESS_DOMAIN, "<u@neulan.net >"},
	{SMTP_ADDRESS_DOMAIN, "<u@\"neulan.net\">"},
	{SMTP_ADDRESS_DOMAIN, "<u@(x)neulan.net>"},
	{SMTP_ADDRESS_TRAILING_DOT, "<u@neulan.net.>"},
	{SMTP_ADDRESS_TRAILING_DOT, "<u@neulan.net..>"},
	{SMTP_ADDRESS_TRAILING_DOT, "<u@192.0.2.1.>"},
	{SMTP_ADDRESS_TRAILING_DOT, "<u@.>"},
	{SMTP_ADDRESS_CONTROL, "<u@neulan.net\x01>"},
	{SMTP_ADDRESS_CONTROL, "<u\t@neulan.net>"},
	{SMTP_ADDRESS_CONTROL, "<u\x7f@neulan.net>"},
	{SMTP_ADDRESS_CONTROL, "<\"u\r\n\"@neulan.net>"},
	{SMTP_ADDRESS_NOT_ASCII, "<\xc3\xbc@neulan.net>"},
	{SMTP_ADDRESS_NOT_ASCII, "<u@n\xc3\xa9ulan.net>"},
	{SMTP_ADDRESS_NOT_ASCII, "<u\xef\xbc\xa0"
				 "foreign.example@neulan.net>"},
	{SMTP_ADDRESS_NOT_ASCII, "<u@neulan\xe3\x80\x82net>"},
	{SMTP_ADDRESS_NOT_ASCII, "<u\xff@neulan.net>"},
	{SMTP_ADDRESS_SEVERAL, "<a@neulan.net>,<b@foreign.example>"},
	{SMTP_ADDRESS_SEVERAL, "<a@neulan.net><b@foreign.example>"},
	{SMTP_ADDRESS_SEVERAL, "<a@neulan.net,b@foreign.example>"},
	{SMTP_ADDRESS_SEVERAL, "<a@neulan.net;b@foreign.example>"},
	{SMTP_ADDRESS_SEVERAL, "<group:a@neulan.net;>"},
	{SMTP_ADDRESS_SEVERAL, "<a@neulan.net>x"},
};

static struct slice slice_of(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

static bool is_filled(enum smtp_address_form form)
{
	return form == SMTP_ADDRESS_PLAIN || form == SMTP_ADDRESS_NULL_PATH ||
	       form == SMTP_ADDRESS_POSTMASTER || form == SMTP_ADDRESS_ENCAPSULATED;
}

static void expect_form(struct slice in, enum smtp_address_form want)
{
	struct smtp_path path, before;
	struct slice rest = {NULL, 77};
	enum smtp_address_form got;

	memset(&path, 0x5a, sizeof(path));
	before = path;
	got = smtp_address_parse(in, &path, &rest);
	if (got != want)
		print_error("%.*s: %s, want %s\n", (int)in.len, (const char *)in.at,
			smtp_address_form_text(got), smtp_address_form_text(want));
	assert_int_equal(got, want);
	assert_int_equal(rest.len == 77 && rest.at == NULL, !is_filled(want));
	assert_int_equal(memcmp(&path, &before, sizeof(path)) == 0, !is_filled(want));
}

static void test_address_every_class_and_spelling_has_its_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_form(slice_of(rows[i].text), rows[i].form);
}

static void test_address_every_form_is_provoked(void **state)
{
	bool seen[SMTP_ADDRESS_FORM_COUNT] = {[SMTP_ADDRESS_TOO_LONG] = true};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		seen[rows[i].form] = true;
	for (int i = 0; i < SMTP_ADDRESS_FORM_COUNT; i++) {
		assert_true(seen[i]);
		assert_true(strlen(smtp_address_form_text((enum smtp_address_form)i)) > 0);
	}
	assert_true(strlen(smtp_address_form_text(SMTP_ADDRESS_FORM_COUNT)) > 0);
}

// No spelling of letters turns a refused recipient into an accepted one.
static void test_address_case_does_not_matter(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[128];
		size_t len = strlen(rows[i].text);

		for (size_t k = 0; k < len; k++) {
			char c = rows[i].text[k];

			text[k] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
		}
		expect_form((struct slice){(const uint8_t *)text, len}, rows[i].form);
	}
}

static void test_address_nul_is_a_control_anywhere(void **state)
{
	static const char text[] = "<u@neulan.net>";

	(void)state;
	for (size_t at = 1; at + 2 < sizeof(text); at++) {
		uint8_t octets[sizeof(text)];

		memcpy(octets, text, sizeof(text));
		octets[at] = '\0';
		expect_form((struct slice){octets, sizeof(text) - 1}, SMTP_ADDRESS_CONTROL);
	}
}

static void test_address_limits_are_exact(void **state)
{
	char text[400], label[64], local[LIMIT_LOCAL_PART_OCTETS + 1];

	(void)state;
	memset(label, 'x', 63);
	label[63] = '\0';
	memset(local, 'x', LIMIT_LOCAL_PART_OCTETS);
	local[LIMIT_LOCAL_PART_OCTETS] = '\0';
	(void)snprintf(text, sizeof(text), "<%s@neulan.net>", local);
	expect_form(slice_of(text), SMTP_ADDRESS_PLAIN);
	(void)snprintf(text, sizeof(text), "<a%s@neulan.net>", local);
	expect_form(slice_of(text), SMTP_ADDRESS_TOO_LONG);
	(void)snprintf(text, sizeof(text), "<\"%s\"@neulan.net>", local + 2);
	expect_form(slice_of(text), SMTP_ADDRESS_PLAIN);
	(void)snprintf(text, sizeof(text), "<\"%s\"@neulan.net>", local + 1);
	expect_form(slice_of(text), SMTP_ADDRESS_TOO_LONG);
	(void)snprintf(text, sizeof(text), "<a@%s.net>", label);
	expect_form(slice_of(text), SMTP_ADDRESS_PLAIN);
	(void)snprintf(text, sizeof(text), "<a@x%s.net>", label);
	expect_form(slice_of(text), SMTP_ADDRESS_DOMAIN);
	(void)snprintf(text, sizeof(text), "<%.61s@%s.%s.%s.a>", label, label, label, label);
	assert_int_equal(strlen(text), 257);
	expect_form(slice_of(text), SMTP_ADDRESS_TOO_LONG);
	(void)snprintf(text, sizeof(text), "<%.60s@%s.%s.%s.a>", label, label, label, label);
	expect_form(slice_of(text), SMTP_ADDRESS_PLAIN);
}

static void test_address_parts_are_where_they_are_said_to_be(void **state)
{
	struct smtp_path path;
	struct slice rest;

	(void)state;
	assert_int_equal(smtp_address_parse(slice_of("<Steven@Neulan.NET> SIZE=1"), &path, &rest),
		SMTP_ADDRESS_PLAIN);
	assert_int_equal(path.len, 17);
	assert_memory_equal(path.text, "Steven@neulan.net", 17);
	assert_int_equal(path.local_len, 6);
	assert_int_equal(path.domain_at, 7);
	assert_int_equal(path.domain_len, 10);
	assert_int_equal(rest.len, 7);
	assert_memory_equal(rest.at, " SIZE=1", 7);

	assert_int_equal(smtp_address_parse(slice_of("<PostMaster>"), &path, &rest),
		SMTP_ADDRESS_POSTMASTER);
	assert_int_equal(path.local_len, 10);
	assert_int_equal(path.domain_len, 0);
	assert_memory_equal(path.text, "PostMaster", 10);

	assert_int_equal(smtp_address_parse(slice_of("<>"), &path, &rest), SMTP_ADDRESS_NULL_PATH);
	assert_int_equal(path.len, 0);
	assert_int_equal(rest.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_every_class_and_spelling_has_its_form),
		cmocka_unit_test(test_address_every_form_is_provoked),
		cmocka_unit_test(test_address_case_does_not_matter),
		cmocka_unit_test(test_address_nul_is_a_control_anywhere),
		cmocka_unit_test(test_address_limits_are_exact),
		cmocka_unit_test(test_address_parts_are_where_they_are_said_to_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
