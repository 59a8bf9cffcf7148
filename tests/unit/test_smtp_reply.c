// Replies: every row is a well-formed line, whatever the peer gave as its argument.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/smtp_reply.h"

static struct slice slice_of(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

static void expect_line(const uint8_t *at, uint32_t len, char separator)
{
	assert_true(len >= 6 && len <= 512);
	for (int i = 0; i < 3; i++)
		assert_true(at[i] >= '0' && at[i] <= '9');
	assert_int_equal(at[3], separator);
	for (uint32_t i = 4; i < len - 2; i++)
		assert_true(at[i] >= ' ' && at[i] <= '~');
	assert_memory_equal(at + len - 2, "\r\n", 2);
}

static void test_reply_every_row_is_a_line_with_any_argument(void **state)
{
	uint8_t hostile[2000];

	(void)state;
	for (size_t i = 0; i < sizeof(hostile); i++)
		hostile[i] = (uint8_t)i;
	for (int r = SMTP_REPLY_NONE + 1; r < SMTP_REPLY_COUNT; r++) {
		uint8_t room[SMTP_REPLY_MAX_OCTETS];
		struct smtp_out out = {room, 0, sizeof(room)};
		uint32_t first;

		smtp_reply_write(
			&out, (enum smtp_reply)r, (struct slice){hostile, sizeof(hostile)});
		expect_line(room, out.len, ' ');
		assert_int_equal((room[0] - '0') * 100 + (room[1] - '0') * 10 + room[2] - '0',
			smtp_reply_code((enum smtp_reply)r));
		first = out.len;
		smtp_reply_write_more(&out, (enum smtp_reply)r, (struct slice){NULL, 0});
		expect_line(room + first, out.len - first, '-');
	}
}

// RFC 2034: the class of the enhanced code is that of the reply.
static void test_reply_rfc2034_enhanced_class_is_that_of_the_code(void **state)
{
	(void)state;
	for (int r = SMTP_REPLY_NONE + 1; r < SMTP_REPLY_COUNT; r++) {
		char text[200];
		uint16_t code = smtp_reply_code((enum smtp_reply)r);

		smtp_reply_print(text, sizeof(text), (enum smtp_reply)r, slice_of("x"));
		if (strlen(text) > 5 && text[5] == '.')
			assert_int_equal(text[4], text[0]);
		else
			assert_true(code < 400);
	}
}

static void test_reply_argument_is_cut_and_the_rest_kept(void **state)
{
	uint8_t room[SMTP_REPLY_MAX_OCTETS];
	struct smtp_out out = {room, 0, sizeof(room)};
	uint8_t longest[600];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	smtp_reply_write(&out, SMTP_REPLY_QUEUED, (struct slice){longest, sizeof(longest)});
	assert_int_equal(out.len, 512);
	assert_memory_equal(room + 512 - 27, " Queued mail for delivery\r\n", 27);
}

static void test_reply_print_is_the_line_without_crlf(void **state)
{
	char text[64];

	(void)state;
	smtp_reply_print(text, sizeof(text), SMTP_REPLY_RELAY_DENIED, slice_of("a\r\n\xff@b"));
	assert_string_equal(text, "550 5.7.1 Unable to relay for a???@b");
	smtp_reply_print(text, 8, SMTP_REPLY_RELAY_DENIED, slice_of("a@b"));
	assert_string_equal(text, "550 5.7");
	smtp_reply_print(text, 1, SMTP_REPLY_OK, slice_of(""));
	assert_string_equal(text, "");
	smtp_reply_print(text, sizeof(text), SMTP_REPLY_NONE, slice_of("x"));
	assert_string_equal(text, "");
}

// Scripts and other servers read these: a change of one is a decision.
static void test_reply_texts_are_those_agreed(void **state)
{
	static const struct {
		enum smtp_reply reply;
		const char *text;
	} rows[] = {
		{SMTP_REPLY_GREETING, "220 X ESMTP Postern"},
		{SMTP_REPLY_BYE, "221 2.0.0 X closing connection"},
		{SMTP_REPLY_HELO, "250 X"},
		{SMTP_REPLY_EHLO_PIPELINING, "250 PIPELINING"},
		{SMTP_REPLY_EHLO_SIZE, "250 SIZE X"},
		{SMTP_REPLY_EHLO_8BITMIME, "250 8BITMIME"},
		{SMTP_REPLY_EHLO_ENHANCED, "250 ENHANCEDSTATUSCODES"},
		{SMTP_REPLY_MAIL_OK, "250 2.1.0 X....Sender OK"},
		{SMTP_REPLY_RCPT_OK, "250 2.1.5 X"},
		{SMTP_REPLY_QUEUED, "250 2.6.0 X Queued mail for delivery"},
		{SMTP_REPLY_VRFY,
			"252 2.1.5 Cannot VRFY user, but will take a message for it and try"},
		{SMTP_REPLY_HELP, "214 2.0.0 See RFC 5321"},
		{SMTP_REPLY_DATA, "354 Start mail input; end with <CRLF>.<CRLF>"},
		{SMTP_REPLY_DEFER_RESOURCES, "452 4.3.1 Not enough resources now, try again"},
		{SMTP_REPLY_TOO_MANY_RCPTS, "452 4.5.3 Too many recipients"},
		{SMTP_REPLY_LINE_TOO_LONG, "500 5.5.2 Line too long"},
		{SMTP_REPLY_BAD_SEQUENCE, "503 5.5.1 Bad sequence of commands"},
		{SMTP_REPLY_RELAY_DENIED, "550 5.7.1 Unable to relay for X"},
		{SMTP_REPLY_MAIL_LOOP, "554 5.4.6 Too many hops: mail loop"},
		{SMTP_REPLY_NO_VALID_RCPTS, "554 5.5.1 No valid recipients"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[200];

		smtp_reply_print(text, sizeof(text), rows[i].reply, slice_of("X"));
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply_every_row_is_a_line_with_any_argument),
		cmocka_unit_test(test_reply_rfc2034_enhanced_class_is_that_of_the_code),
		cmocka_unit_test(test_reply_texts_are_those_agreed),
		cmocka_unit_test(test_reply_argument_is_cut_and_the_rest_kept),
		cmocka_unit_test(test_reply_print_is_the_line_without_crlf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
