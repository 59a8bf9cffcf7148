// postern-lookup's questions over a resolver that answers what the test wants, in the order it wants.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "lookup/ask.h"
#include "lookup/dns_name.h"

enum {
	ASKED = 32,
};

static struct {
	struct resolver resolver;
	struct {
		char name[DNS_NAME_OCTETS];
		enum resolver_type type;
		resolver_fn *fn;
		void *user;
	} asked[ASKED];
	unsigned count, answers;
	struct lookup_answer answer;
	struct ask *ask;
} b;

static void on_ask(
	struct resolver *r, const char *name, enum resolver_type type, resolver_fn *fn, void *user)
{
	(void)r;
	assert_true(b.count < ASKED);
	snprintf(b.asked[b.count].name, DNS_NAME_OCTETS, "%s", name);
	b.asked[b.count].type = type;
	b.asked[b.count].fn = fn;
	b.asked[b.count++].user = user;
}

static void on_answer(void *user, const struct lookup_answer *answer)
{
	(void)user;
	b.answer = *answer;
	b.answers++;
}

static void ask(enum lookup_kind kind, const char *what)
{
	struct lookup_question q = {.kind = kind, .token = 77};

	memset(&b, 0, sizeof(b));
	b.resolver.ask = on_ask;
	if (kind == LOOKUP_CLIENT || kind == LOOKUP_POINTER)
		assert_true(ip_addr_parse(what, &q.address));
	else
		snprintf(q.name, sizeof(q.name), "%s", what);
	assert_true(ask_is_valid(&q));
	b.ask = ask_start(&(struct ask_owner){&b.resolver, on_answer, NULL}, &q, 12345);
	assert_non_null(b.ask);
	assert_int_equal(b.answers, 0);
}

// The n-th DNS question gets this.
static void reply(unsigned n, struct resolver_answer answer)
{
	assert_true(n < b.count);
	b.asked[n].fn(b.asked[n].user, &answer);
}

static struct slice wire(const char *octets, size_t len)
{
	return (struct slice){(const uint8_t *)octets, len};
}

#define WIRE(text) wire(text, sizeof(text) - 1)
#define FOUND(...)                                                                                 \
	((struct resolver_answer){.status = RESOLVER_FOUND,                                        \
		.ttl_s = 60,                                                                       \
		.count = sizeof((struct slice[]){__VA_ARGS__}) / sizeof(struct slice),             \
		.records = {__VA_ARGS__}})

static const struct resolver_answer none = {.status = RESOLVER_NONE, .ttl_s = 30},
				    no_name = {.status = RESOLVER_NONE,
					    .no_name = true,
					    .ttl_s = 30},
				    failed = {.status = RESOLVER_FAILED};

#define LAPTOP "\012laptop6247\006neulan\003net\0"
#define OTHER  "\005other\007EXAMPLE\003com\0"

static void test_client_confirmed_name_is_found(void **state)
{
	(void)state;
	ask(LOOKUP_CLIENT, "10.12.9.47");
	assert_string_equal(b.asked[0].name, "47.9.12.10.in-addr.arpa");
	reply(0, FOUND(WIRE(OTHER), WIRE(LAPTOP)));
	assert_int_equal(b.count, 3);
	assert_string_equal(b.asked[1].name, "other.example.com");
	assert_int_equal(b.asked[2].type, RESOLVER_A);
	reply(2, FOUND(WIRE("\x0a\x0c\x09\x2f")));
	reply(1, FOUND(WIRE("\x0a\x0c\x09\x30")));
	assert_int_equal(b.answer.status, LOOKUP_FOUND);
	assert_int_equal(b.answer.count, 1);
	assert_string_equal(b.answer.items[0].name, "laptop6247.neulan.net");
	assert_int_equal(b.answer.ttl_s, 60);
	assert_int_equal(b.answer.token, 77);
}

static void test_client_with_a_name_that_nobody_tells_is_partial(void **state)
{
	(void)state;
	ask(LOOKUP_CLIENT, "10.12.9.47");
	reply(0, FOUND(WIRE(OTHER), WIRE(LAPTOP)));
	reply(2, FOUND(WIRE("\x0a\x0c\x09\x2f")));
	reply(1, failed);
	assert_int_equal(b.answer.status, LOOKUP_FOUND);
	assert_int_equal(b.answer.count, 1);
	assert_true(b.answer.partial && !b.answer.cut);
}

static void test_client_with_too_many_names_is_cut(void **state)
{
	struct resolver_answer many = {.status = RESOLVER_FOUND, .ttl_s = 60};

	(void)state;
	for (; many.count < ASK_NAMES + 1; many.count++)
		many.records[many.count] = WIRE(LAPTOP);
	ask(LOOKUP_CLIENT, "10.12.9.47");
	reply(0, many);
	assert_int_equal(b.count, 1 + ASK_NAMES);
	for (unsigned i = 1; i <= ASK_NAMES; i++)
		reply(i, FOUND(WIRE("\x0a\x0c\x09\x2f")));
	assert_int_equal(b.answer.count, ASK_NAMES);
	assert_true(b.answer.cut && !b.answer.partial);
}

static void test_pointer_is_not_confirmed(void **state)
{
	(void)state;
	ask(LOOKUP_POINTER, "10.12.9.47");
	reply(0, FOUND(WIRE(OTHER), WIRE("\003a b\003net\0")));
	assert_int_equal(b.count, 1);
	assert_int_equal(b.answer.status, LOOKUP_FOUND);
	assert_int_equal(b.answer.count, 1);
	assert_string_equal(b.answer.items[0].name, "other.example.com");
	ask(LOOKUP_POINTER, "10.12.9.47");
	reply(0, failed);
	assert_int_equal(b.answer.status, LOOKUP_DEFER);
}

static void test_client_liar_has_no_name(void **state)
{
	(void)state;
	ask(LOOKUP_CLIENT, "10.12.9.47");
	reply(0, FOUND(WIRE(LAPTOP)));
	reply(1, FOUND(WIRE("\x0a\x0c\x09\x30")));
	assert_int_equal(b.answer.status, LOOKUP_NONE);
	assert_int_equal(b.answer.count, 0);
}

static void test_client_failing_step_is_defer_unless_another_name_is_confirmed(void **state)
{
	(void)state;
	ask(LOOKUP_CLIENT, "10.12.9.47");
	reply(0, failed);
	assert_int_equal(b.answer.status, LOOKUP_DEFER);
	ask(LOOKUP_CLIENT, "10.12.9.47");
	reply(0, FOUND(WIRE(LAPTOP), WIRE(OTHER)));
	reply(1, failed);
	reply(2, none);
	assert_int_equal(b.answer.status, LOOKUP_DEFER);
	ask(LOOKUP_CLIENT, "10.12.9.47");
	reply(0, FOUND(WIRE(LAPTOP), WIRE(OTHER)));
	reply(1, failed);
	reply(2, FOUND(WIRE("\x0a\x0c\x09\x2f")));
	assert_int_equal(b.answer.status, LOOKUP_FOUND);
}

static void test_client_v6_is_confirmed_by_aaaa(void **state)
{
	(void)state;
	ask(LOOKUP_CLIENT, "2001:db8::1");
	assert_string_equal(b.asked[0].name,
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
	reply(0, FOUND(WIRE(LAPTOP)));
	assert_int_equal(b.asked[1].type, RESOLVER_AAAA);
	reply(1, FOUND(WIRE("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01")));
	assert_int_equal(b.answer.status, LOOKUP_FOUND);
}

static void test_client_names_that_are_none_are_left_out(void **state)
{
	(void)state;
	ask(LOOKUP_CLIENT, "10.12.9.47");
	reply(0, FOUND(WIRE("\003a b\003net\0"), WIRE("\003abc"), WIRE("\0"), WIRE("\100x\0")));
	assert_int_equal(b.count, 1);
	assert_int_equal(b.answer.status, LOOKUP_NONE);
}

static void test_mx_is_sorted(void **state)
{
	(void)state;
	ask(LOOKUP_MX, "example.com");
	reply(0, FOUND(WIRE("\0\024" OTHER), WIRE("\0\012" LAPTOP)));
	assert_int_equal(b.answer.status, LOOKUP_FOUND);
	assert_int_equal(b.answer.count, 2);
	assert_string_equal(b.answer.items[0].name, "laptop6247.neulan.net");
	assert_int_equal(b.answer.items[1].preference, 20);
}

static void test_mx_null_none_implicit_and_failed_differ(void **state)
{
	(void)state;
	ask(LOOKUP_MX, "example.com");
	reply(0, FOUND(WIRE("\0\0\0")));
	assert_int_equal(b.answer.status, LOOKUP_NULL_MX);
	ask(LOOKUP_MX, "example.com");
	reply(0, no_name);
	assert_int_equal(b.answer.status, LOOKUP_NONE);
	ask(LOOKUP_MX, "example.com");
	reply(0, none);
	assert_int_equal(b.answer.status, LOOKUP_FOUND);
	assert_true(b.answer.implicit);
	assert_string_equal(b.answer.items[0].name, "example.com");
	ask(LOOKUP_MX, "example.com");
	reply(0, failed);
	assert_int_equal(b.answer.status, LOOKUP_DEFER);
}

static void test_mx_more_than_fit_keeps_the_best(void **state)
{
	struct resolver_answer many = {
		.status = RESOLVER_FOUND, .ttl_s = 60, .count = RESOLVER_RECORDS};
	static char records[RESOLVER_RECORDS][8];

	(void)state;
	for (unsigned i = 0; i < RESOLVER_RECORDS; i++) {
		const unsigned p = RESOLVER_RECORDS - i;
		const char record[] = {0, (char)p, 2, 'm', (char)('a' + p % 26), 0};

		memcpy(records[i], record, sizeof(record));
		many.records[i] = wire(records[i], sizeof(record));
	}
	ask(LOOKUP_MX, "example.com");
	reply(0, many);
	assert_int_equal(b.answer.count, LOOKUP_ITEMS);
	for (unsigned i = 0; i < LOOKUP_ITEMS; i++)
		assert_int_equal(b.answer.items[i].preference, i + 1);
}

static void test_host_has_v6_first(void **state)
{
	(void)state;
	ask(LOOKUP_HOST, "mx.example.com");
	assert_int_equal(b.asked[0].type, RESOLVER_AAAA);
	reply(0, FOUND(WIRE("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"),
			 WIRE("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01")));
	assert_int_equal(b.answers, 0);
	reply(1, FOUND(WIRE("\xcb\0\x71\x19"), WIRE("\x01\x02\x03")));
	assert_int_equal(b.answer.status, LOOKUP_FOUND);
	assert_int_equal(b.answer.count, 2);
	assert_false(ip_addr_is_v4(&b.answer.items[0].address));
	assert_true(ip_addr_is_v4(&b.answer.items[1].address));
	ask(LOOKUP_HOST, "mx.example.com");
	reply(0, failed);
	reply(1, none);
	assert_int_equal(b.answer.status, LOOKUP_DEFER);
}

static void test_given_up_is_deferred_once(void **state)
{
	(void)state;
	ask(LOOKUP_HOST, "mx.example.com");
	ask_give_up(b.ask);
	assert_int_equal(b.answer.status, LOOKUP_DEFER);
	reply(0, FOUND(WIRE("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01")));
	reply(1, none); // frees it
	assert_int_equal(b.answers, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_confirmed_name_is_found),
		cmocka_unit_test(test_client_liar_has_no_name),
		cmocka_unit_test(test_client_with_a_name_that_nobody_tells_is_partial),
		cmocka_unit_test(test_client_with_too_many_names_is_cut),
		cmocka_unit_test(test_pointer_is_not_confirmed),
		cmocka_unit_test(
			test_client_failing_step_is_defer_unless_another_name_is_confirmed),
		cmocka_unit_test(test_client_v6_is_confirmed_by_aaaa),
		cmocka_unit_test(test_client_names_that_are_none_are_left_out),
		cmocka_unit_test(test_mx_is_sorted),
		cmocka_unit_test(test_mx_null_none_implicit_and_failed_differ),
		cmocka_unit_test(test_mx_more_than_fit_keeps_the_best),
		cmocka_unit_test(test_host_has_v6_first),
		cmocka_unit_test(test_given_up_is_deferred_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
