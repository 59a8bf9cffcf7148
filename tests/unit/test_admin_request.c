// The control socket's requests: what is one, and that nothing else is.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "control/admin_request.h"

static bool parse(const char *text, struct admin_request *request, char *why)
{
	return admin_request_parse(
		(struct slice){(const uint8_t *)text, strlen(text)}, request, why);
}

static void test_admin_request_good_ones_are_taken(void **state)
{
	struct admin_request request;
	char why[ADMIN_REQUEST_WHY_MAX];

	(void)state;
	assert_true(parse("{\"verb\": \"status\"}", &request, why));
	assert_string_equal(request.verb, "status");
	assert_int_equal(json_object_size(request.args), 0);
	admin_request_free(&request);
	assert_true(parse("{\"args\": {\"name\": \"x\"}, \"verb\": \"get\"}", &request, why));
	assert_string_equal(json_string_value(json_object_get(request.args, "name")), "x");
	admin_request_free(&request);
	// Brackets in a string are no nesting.
	assert_true(parse(
		"{\"verb\": \"get\", \"args\": {\"name\": \"[[[[[[[[[[{\\\"[\"}}", &request, why));
	admin_request_free(&request);
}

static void test_admin_request_everything_else_is_refused_with_a_reason(void **state)
{
	const char *const texts[] = {"", " ", "x", "{", "[]", "null", "\"status\"", "{}",
		"{\"verb\": 5}", "{\"verb\": \"\"}", "{\"verb\": \"a b\"}",
		"{\"verb\": \"STATUS\"}",
		"{\"verb\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
		"{\"verb\": \"get\", \"args\": []}", "{\"verb\": \"get\", \"more\": 1}",
		"{\"verb\": \"get\", \"args\": {}, \"more\": 1}",
		"{\"verb\": \"get\", \"verb\": \"set\"}", "{\"verb\": \"get\\u0000\"}",
		"{\"verb\": \"get\"} {\"verb\": \"set\"}", "{\"verb\": \"\xff\"}",
		"{\"verb\": \"get\", \"args\": {\"a\": 1e999}}"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct admin_request request;
		char why[ADMIN_REQUEST_WHY_MAX] = "";

		assert_false(parse(texts[i], &request, why));
		assert_true(strlen(why) > 0);
		assert_null(request.args);
	}
}

static void test_admin_request_deep_nesting_is_refused_unparsed(void **state)
{
	static char text[60000];
	struct admin_request request;
	char why[ADMIN_REQUEST_WHY_MAX];

	(void)state;
	memset(text, '[', sizeof(text) - 1);
	assert_false(parse(text, &request, why));
	assert_string_equal(why, "nested too deep");
}

static void test_admin_request_response_is_one_line(void **state)
{
	char *line = admin_request_response(1, "a\nb\x1b\xff", json_pack("{s:s}", "k", "v\n"));
	json_t *root;

	(void)state;
	assert_non_null(line);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	root = json_loads(line, 0, NULL);
	assert_non_null(root);
	assert_true(json_is_false(json_object_get(root, "ok")));
	assert_int_equal(json_integer_value(json_object_get(root, "exit")), 1);
	assert_string_equal(json_string_value(json_object_get(root, "text")), "a\nb\x1b?");
	json_decref(root);
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_admin_request_good_ones_are_taken),
		cmocka_unit_test(test_admin_request_everything_else_is_refused_with_a_reason),
		cmocka_unit_test(test_admin_request_deep_nesting_is_refused_unparsed),
		cmocka_unit_test(test_admin_request_response_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
