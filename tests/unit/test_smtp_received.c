// The trace header: RFC 5321 4.4, and nothing in it that the peer could use to write lines of its own.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "smtp/smtp_received.h"

static struct slice slice_of(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

static struct smtp_received usual(void)
{
	return (struct smtp_received){.helo = slice_of("client.example"),
		.client = ip_addr_from_v4(0x0a0caa14),
		.fqdn = "mx.neulan.net",
		.vserver = "default",
		.queue_id = "1A2B3C",
		.esmtp = true,
		.unix_s = 1795507200};
}

static const char *written(const struct smtp_received *r)
{
	static uint8_t text[SMTP_RECEIVED_MAX_OCTETS + 1];
	struct smtp_out out = {text, 0, SMTP_RECEIVED_MAX_OCTETS};

	assert_true(smtp_received_write(&out, r));
	text[out.len] = '\0';
	return (const char *)text;
}

static void test_received_usual_client_is_as_documented(void **state)
{
	struct smtp_received r = usual();

	(void)state;
	assert_string_equal(written(&r),
		"Received: from client.example (unknown [10.12.170.20])\r\n"
		"\tby mx.neulan.net (Postern, vserver default) with ESMTP id 1A2B3C;\r\n"
		"\tTue, 24 Nov 2026 08:00:00 +0000\r\n");
}

static void test_received_everything_known_is_said(void **state)
{
	struct smtp_received r = usual();

	(void)state;
	r.client = (struct ip_addr){{0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	r.client_name = slice_of("laptop6247.neulan.net");
	r.account = slice_of("ste(ven)\\@x");
	r.only_rcpt = slice_of("steven@neulan.net");
	r.unix_s = 0;
	assert_string_equal(written(&r),
		"Received: from client.example (laptop6247.neulan.net [IPv6:2001:db8::1])\r\n"
		"\tby mx.neulan.net (Postern, vserver default) with ESMTPA id 1A2B3C\r\n"
		"\t(authenticated ste\\(ven\\)\\\\@x)\r\n"
		"\tfor <steven@neulan.net>;\r\n"
		"\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
}

static void test_received_old_client_is_smtp(void **state)
{
	struct smtp_received r = usual();

	(void)state;
	r.esmtp = false;
	assert_non_null(strstr(written(&r), ") with SMTP id 1A2B3C;"));
}

// RFC 5322 2.1.1 and 2.2: printable lines of at most 998 octets, folded lines begin with a blank.
static void expect_header(const char *text)
{
	size_t start = 0;

	for (size_t i = 0; text[i] != '\0'; i++) {
		if (text[i] == '\r') {
			assert_int_equal(text[i + 1], '\n');
			assert_true(i - start <= 998);
			start = i + 2;
			assert_true(text[start] == '\t' || text[start] == '\0');
			i++;
			continue;
		}
		assert_true(text[i] == '\t' || (text[i] >= ' ' && text[i] <= '~'));
	}
	assert_int_equal(text[start], '\0');
}

static void test_received_hostile_octets_stay_inside_and_fit(void **state)
{
	static uint8_t hostile[600];
	static char name[300];
	struct smtp_received r = usual();

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	for (int c = 0; c < 256; c++) {
		memset(hostile, c, sizeof(hostile));
		r.helo = r.client_name = r.account = r.only_rcpt =
			(struct slice){hostile, sizeof(hostile)};
		r.fqdn = r.vserver = r.queue_id = name;
		r.client = (struct ip_addr){
			{0x20, 0x01, 0x0d, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
		expect_header(written(&r));
	}
}

static void test_received_without_room_writes_nothing(void **state)
{
	struct smtp_received r = usual();
	uint32_t len = (uint32_t)strlen(written(&r));
	uint8_t room[SMTP_RECEIVED_MAX_OCTETS];

	(void)state;
	for (uint32_t cap = 0; cap < len + 3; cap++) {
		struct smtp_out out = {room, 3, cap + 3};

		assert_int_equal(smtp_received_write(&out, &r), cap >= len);
		assert_int_equal(out.len, cap >= len ? len + 3 : 3);
	}
}

static void test_received_dates_equal_those_of_libc(void **state)
{
	struct smtp_received r = usual();

	(void)state;
	srandom(1);
	for (int n = 0; n < 3000; n++) {
		char want[64];
		time_t at = n < 1500 ? (time_t)n * 86400 * 97 + 951782399 : (time_t)random() * 100;
		struct tm tm;

		r.unix_s = at;
		assert_non_null(gmtime_r(&at, &tm));
		(void)strftime(want, sizeof(want), "\t%a, %d %b %Y %H:%M:%S +0000\r\n", &tm);
		if (want[6] == '0')
			memmove(want + 6, want + 7, strlen(want + 6));
		assert_non_null(strstr(written(&r), want));
	}
	r.unix_s = INT64_MIN;
	assert_non_null(strstr(written(&r), "1 Jan 1970"));
	r.unix_s = INT64_MAX;
	assert_non_null(strstr(written(&r), "Fri, 31 Dec 9999 23:59:59 +0000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_received_usual_client_is_as_documented),
		cmocka_unit_test(test_received_everything_known_is_said),
		cmocka_unit_test(test_received_old_client_is_smtp),
		cmocka_unit_test(test_received_hostile_octets_stay_inside_and_fit),
		cmocka_unit_test(test_received_without_room_writes_nothing),
		cmocka_unit_test(test_received_dates_equal_those_of_libc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
