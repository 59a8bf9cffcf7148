// Lines of commands: RFC 5321 2.3.8, and that a split never changes what is found.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "smtp/smtp_line.h"

static struct slice slice_of(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

// Every refusal leaves the input where it was.
static void expect(struct slice in, enum err want)
{
	struct slice line = {NULL, 0};
	const struct slice before = in;

	assert_int_equal(smtp_line_take(&in, &line), want);
	assert_ptr_equal(in.at, before.at);
	assert_int_equal(in.len, before.len);
}

static void test_line_complete_is_taken_without_crlf(void **state)
{
	struct slice in = slice_of("NOOP\r\n\r\nQUIT\r\n"), line;

	(void)state;
	assert_int_equal(smtp_line_take(&in, &line), ERR_OK);
	assert_int_equal(line.len, 4);
	assert_memory_equal(line.at, "NOOP", 4);
	assert_int_equal(smtp_line_take(&in, &line), ERR_OK);
	assert_int_equal(line.len, 0);
	assert_int_equal(in.len, 6);
}

static void test_line_incomplete_asks_for_more(void **state)
{
	(void)state;
	expect((struct slice){NULL, 0}, ERR_MORE);
	for (size_t cut = 0; cut < 6; cut++)
		expect((struct slice){(const uint8_t *)"NOOP\r\n", cut}, ERR_MORE);
}

static void test_line_rfc5321_2_3_8_bare_octets_are_refused(void **state)
{
	(void)state;
	expect(slice_of("NOOP\nQUIT\r\n"), ERR_LINE_BARE_LF);
	expect(slice_of("\n"), ERR_LINE_BARE_LF);
	expect(slice_of("NO\rOP\r\n"), ERR_LINE_BARE_CR);
	expect(slice_of("NO\rO"), ERR_LINE_BARE_CR);
	expect(slice_of("\r\r\n"), ERR_LINE_BARE_CR);
	expect((struct slice){(const uint8_t *)"NO\0OP\r\n", 7}, ERR_LINE_NUL);
	expect((struct slice){(const uint8_t *)"\0", 1}, ERR_LINE_NUL);
}

static void test_line_without_end_is_too_long_at_the_limit(void **state)
{
	uint8_t text[LIMIT_COMMAND_READ_OCTETS + 1];
	struct slice in = {text, LIMIT_COMMAND_READ_OCTETS}, line;

	(void)state;
	memset(text, 'A', sizeof(text));
	expect((struct slice){text, LIMIT_COMMAND_READ_OCTETS - 1}, ERR_MORE);
	expect(in, ERR_LINE_TOO_LONG);
	text[LIMIT_COMMAND_READ_OCTETS - 1] = '\r';
	text[LIMIT_COMMAND_READ_OCTETS] = '\n';
	expect((struct slice){text, sizeof(text)}, ERR_LINE_TOO_LONG);
	text[LIMIT_COMMAND_READ_OCTETS - 2] = '\r';
	text[LIMIT_COMMAND_READ_OCTETS - 1] = '\n';
	assert_int_equal(smtp_line_take(&in, &line), ERR_OK);
	assert_int_equal(line.len, LIMIT_COMMAND_READ_OCTETS - 2);
}

// Five octets of these five, all of them: what a prefix says must agree with what the whole says.
static void test_line_every_short_input_is_split_invariant(void **state)
{
	static const uint8_t octets[] = {'A', '\r', '\n', '\0', ' '};

	(void)state;
	for (unsigned n = 0; n < 5 * 5 * 5 * 5 * 5; n++) {
		uint8_t text[5];
		struct slice whole = {text, sizeof(text)}, line;
		enum err all;

		for (unsigned i = 0, left = n; i < sizeof(text); i++, left /= 5)
			text[i] = octets[left % 5];
		all = smtp_line_take(&whole, &line);
		for (size_t cut = 0; cut < sizeof(text); cut++) {
			struct slice part = {text, cut};
			enum err first = smtp_line_take(&part, &line);

			assert_true(first == ERR_MORE || first == all);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_complete_is_taken_without_crlf),
		cmocka_unit_test(test_line_incomplete_asks_for_more),
		cmocka_unit_test(test_line_rfc5321_2_3_8_bare_octets_are_refused),
		cmocka_unit_test(test_line_without_end_is_too_long_at_the_limit),
		cmocka_unit_test(test_line_every_short_input_is_split_invariant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
