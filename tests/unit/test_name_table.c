// name_table: what is known of clients, who waits, and what is forgotten first.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/name_table.h"

enum {
	ENTRIES = 8,
	WAITERS = 5,
};

static struct name_table *make(void)
{
	static const struct siphash_key key = {1, 2};
	void *memory = calloc(1, name_table_octets(ENTRIES, WAITERS));

	assert_non_null(memory);
	return name_table_init(memory, ENTRIES, WAITERS, &key);
}

static struct name_entry *take(struct name_table *t, uint32_t client)
{
	const struct ip_addr addr = ip_addr_from_v4(client);

	return name_table_take(t, &addr, false);
}

static struct name_entry *find(struct name_table *t, uint32_t client)
{
	const struct ip_addr addr = ip_addr_from_v4(client);

	return name_table_find(t, &addr, false);
}

static struct name_answer answer_to(const struct name_table *t, const struct name_entry *e)
{
	return (struct name_answer){.entry = name_table_index(t, e),
		.serial = e->serial,
		.status = NAME_FOUND,
		.count = 1,
		.text = "a.example.net"};
}

static void test_name_table_full_forgets_what_was_used_first(void **state)
{
	struct name_table *t = make();

	(void)state;
	for (uint32_t i = 0; i < ENTRIES; i++)
		assert_non_null(take(t, i));
	assert_non_null(take(t, 0)); // used again
	assert_non_null(take(t, 100));
	assert_non_null(find(t, 0));
	assert_null(find(t, 1));
	for (uint32_t i = 2; i < ENTRIES; i++)
		assert_non_null(find(t, i));
	free(t);
}

static void test_name_table_open_questions_are_never_forgotten(void **state)
{
	struct name_table *t = make();
	struct name_entry *first;
	struct name_answer answer;

	(void)state;
	first = take(t, 0);
	for (uint32_t i = 0; i < ENTRIES; i++)
		name_table_ask(t, take(t, i));
	assert_null(take(t, 100));
	answer = answer_to(t, first);
	assert_ptr_equal(name_table_answer(t, &answer, 77), first);
	assert_int_equal(first->until_us, 77);
	assert_string_equal(first->text, "a.example.net");
	assert_non_null(take(t, 100));
	assert_null(find(t, 0));
	// Late or twice: for an entry that is somebody else's by now.
	assert_null(name_table_answer(t, &answer, 77));
	answer.entry = ENTRIES;
	assert_null(name_table_answer(t, &answer, 77));
	free(t);
}

static void test_name_table_plain_and_confirmed_are_apart(void **state)
{
	struct name_table *t = make();
	const struct ip_addr addr = ip_addr_from_v4(5);

	(void)state;
	assert_ptr_not_equal(name_table_take(t, &addr, true), name_table_take(t, &addr, false));
	assert_true(name_table_find(t, &addr, true)->plain);
	free(t);
}

static void test_name_table_waiters_are_bounded_and_come_back(void **state)
{
	struct name_table *t = make();
	struct name_entry *e = take(t, 1), *other = take(t, 2);
	uint32_t conn, generation, seen = 0;

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < WAITERS; i++)
			assert_true(name_table_wait(t, i % 2 ? e : other, i, 10 + i));
		assert_false(name_table_wait(t, e, 99, 99));
		name_table_unwait(t, e, 3);
		name_table_unwait(t, e, 3); // not there any more
		seen = 0;
		while (name_table_next_waiter(t, e, &conn, &generation) ||
			name_table_next_waiter(t, other, &conn, &generation)) {
			assert_int_equal(generation, 10 + conn);
			seen |= UINT32_C(1) << conn;
		}
		assert_int_equal(seen, 0x17);
	}
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_table_full_forgets_what_was_used_first),
		cmocka_unit_test(test_name_table_open_questions_are_never_forgotten),
		cmocka_unit_test(test_name_table_plain_and_confirmed_are_apart),
		cmocka_unit_test(test_name_table_waiters_are_bounded_and_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
