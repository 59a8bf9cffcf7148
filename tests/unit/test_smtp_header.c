// Counting Received: lines in any pieces.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "smtp/smtp_header.h"

static uint32_t count_in_pieces(const char *text, size_t piece)
{
	uint16_t header_state = 0;
	uint32_t count = 0;
	size_t len = strlen(text);

	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;

		count += smtp_header_count_received(
			&header_state, (struct slice){(const uint8_t *)text + at, n});
	}
	return count;
}

static void expect(const char *text, uint32_t want)
{
	for (size_t piece = 1; piece <= strlen(text); piece++)
		assert_int_equal(count_in_pieces(text, piece), want);
}

static void test_header_received_lines_are_counted_in_any_case(void **state)
{
	(void)state;
	expect("Received: a\r\nReCeIvEd:b\r\nreceived \t: c\r\n", 3);
	expect("Received:", 1);
}

static void test_header_other_lines_are_not_counted(void **state)
{
	(void)state;
	expect("Received-SPF: x\r\nX-Received: y\r\nReceive: z\r\nReceivedd: "
	       "z\r\nRec\r\n\tReceived: folded\r\n Received: a\r\n",
		0);
	expect("Received x: y\r\nReceived\r\n: y\r\nrrReceived: x\r\nRe\rceived: x\r\n", 0);
}

static void test_header_ends_at_the_first_empty_line(void **state)
{
	(void)state;
	expect("Received: a\r\n\r\nReceived: b\r\n", 1);
	expect("\r\nReceived: b\r\n", 0);
	expect(" \r\nReceived: b\r\n", 1);
	expect("Received\r\nReceived: b\r\n", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_received_lines_are_counted_in_any_case),
		cmocka_unit_test(test_header_other_lines_are_not_counted),
		cmocka_unit_test(test_header_ends_at_the_first_empty_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
