// Replies of the next hop: what a server says, taken apart.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "deliver/reply.h"

static struct slice text(const char *s)
{
	return (struct slice){(const uint8_t *)s, strlen(s)};
}

static enum reply_result take_all(struct reply *r, struct slice in)
{
	enum reply_result result = REPLY_MORE;

	while (in.len > 0 && (result == REPLY_MORE || result == REPLY_LINE))
		result = reply_take(r, &in);
	return result;
}

static void test_reply_one_line_gives_code_and_text(void **state)
{
	struct reply r;

	(void)state;
	reply_init(&r);
	assert_int_equal(take_all(&r, text("250 2.1.0 Ok\r\n")), REPLY_END);
	assert_int_equal(r.code, 250);
	assert_string_equal(r.text, "250 2.1.0 Ok");
}

static void test_reply_code_alone_is_a_reply_rfc5321_4_2(void **state)
{
	struct reply r;

	(void)state;
	reply_init(&r);
	assert_int_equal(take_all(&r, text("354\r\n")), REPLY_END);
	assert_int_equal(r.code, 354);
}

static void test_reply_every_split_gives_the_same(void **state)
{
	const char *const whole = "250-mail.example.net\r\n250-SIZE 1000\r\n250 HELP\r\n";
	size_t n = strlen(whole);

	(void)state;
	for (size_t cut = 0; cut <= n; cut++) {
		struct reply r;
		enum reply_result result;

		reply_init(&r);
		result = take_all(&r, (struct slice){(const uint8_t *)whole, cut});
		if (cut < n)
			result =
				take_all(&r, (struct slice){(const uint8_t *)whole + cut, n - cut});
		assert_int_equal(result, REPLY_END);
		assert_string_equal(r.text, "250 mail.example.net / SIZE 1000 / HELP");
	}
}

static void test_reply_garbage_is_told(void **state)
{
	const char *const bad[] = {"HTTP/1.1 200 OK\r\n", "25 ok\r\n", "150 ok\r\n", "650 no\r\n",
		"250_ok\r\n", "\r\n", "250-a\r\n251 b\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct reply r;

		reply_init(&r);
		assert_int_equal(take_all(&r, text(bad[i])), REPLY_GARBAGE);
	}
}

static void test_reply_line_without_end_is_garbage_at_the_bound(void **state)
{
	static uint8_t a[REPLY_LINE_MAX + 1];
	struct reply r;

	(void)state;
	memset(a, '2', sizeof(a));
	reply_init(&r);
	assert_int_equal(take_all(&r, (struct slice){a, REPLY_LINE_MAX - 1}), REPLY_MORE);
	assert_int_equal(take_all(&r, (struct slice){a, 1}), REPLY_GARBAGE);
}

static void test_reply_lines_without_end_are_garbage_at_the_bound(void **state)
{
	struct reply r;

	(void)state;
	reply_init(&r);
	for (int i = 0; i < REPLY_LINES_MAX; i++)
		assert_int_equal(take_all(&r, text("250-more\r\n")), REPLY_LINE);
	assert_int_equal(take_all(&r, text("250-more\r\n")), REPLY_GARBAGE);
}

static void test_reply_control_characters_never_reach_the_text(void **state)
{
	struct reply r;

	(void)state;
	reply_init(&r);
	assert_int_equal(take_all(&r, text("550 \033[2Jno\rsuch\xff\r\n")), REPLY_END);
	assert_string_equal(r.text, "550 ?[2Jno?such?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply_one_line_gives_code_and_text),
		cmocka_unit_test(test_reply_code_alone_is_a_reply_rfc5321_4_2),
		cmocka_unit_test(test_reply_every_split_gives_the_same),
		cmocka_unit_test(test_reply_garbage_is_told),
		cmocka_unit_test(test_reply_line_without_end_is_garbage_at_the_bound),
		cmocka_unit_test(test_reply_lines_without_end_are_garbage_at_the_bound),
		cmocka_unit_test(test_reply_control_characters_never_reach_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
