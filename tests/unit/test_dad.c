// An address of ours: probed, announced, disputed.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/dad.h"

static uint64_t now;

// Let time pass until the next effect; its time is in now.
static enum dad_effect next(struct dad *dad)
{
	assert_true(dad->due_us != UINT64_MAX);
	if (dad->due_us > now)
		now = dad->due_us;
	return dad_tick(dad, now);
}

static void begin(struct dad *dad, bool v6)
{
	now = 1000000;
	dad_start(dad, v6, now);
}

static void test_dad_rfc4862_one_probe_then_ours_after_a_second(void **state)
{
	struct dad dad;

	(void)state;
	begin(&dad, true);
	assert_int_equal(next(&dad), DAD_PROBE);
	now += 999999;
	assert_int_equal(dad_tick(&dad, now), DAD_NOTHING);
	assert_int_equal(dad.state, DAD_PROBING);
	assert_int_equal(next(&dad), DAD_ANNOUNCE);
	assert_int_equal(now, 2000000);
	assert_int_equal(dad.state, DAD_OWNED);
	assert_int_equal(next(&dad), DAD_ANNOUNCE);
	assert_int_equal(dad.due_us, UINT64_MAX);
	assert_int_equal(dad_tick(&dad, now + 1000000000), DAD_NOTHING);
}

static void test_dad_rfc5227_three_probes_and_two_announcements(void **state)
{
	struct dad dad;

	(void)state;
	begin(&dad, false);
	for (int i = 0; i < 3; i++)
		assert_int_equal(next(&dad), DAD_PROBE);
	assert_int_equal(next(&dad), DAD_ANNOUNCE);
	assert_true(now - 1000000 <
		    1000000); // a machine that takes an address over is heard within the second
	assert_int_equal(next(&dad), DAD_ANNOUNCE);
	assert_int_equal(dad.due_us, UINT64_MAX);
}

static void test_dad_taken_while_probed_is_tried_again_later(void **state)
{
	struct dad dad;

	(void)state;
	begin(&dad, true);
	assert_int_equal(next(&dad), DAD_PROBE);
	assert_int_equal(dad_conflict(&dad, now), DAD_NOTHING);
	assert_int_equal(dad.state, DAD_TAKEN);
	for (int i = 0; i < 3; i++) {
		uint64_t from = now;

		assert_int_equal(next(&dad), DAD_PROBE);
		assert_int_equal(now - from, DAD_RETRY_US);
		assert_int_equal(dad.state, DAD_TAKEN); // not used while it is tried
		assert_int_equal(dad_conflict(&dad, now), DAD_NOTHING);
	}
	assert_int_equal(next(&dad), DAD_PROBE);
	assert_int_equal(next(&dad), DAD_ANNOUNCE); // nobody objected
	assert_int_equal(dad.state, DAD_OWNED);
}

static void test_dad_owned_is_defended_not_too_often(void **state)
{
	struct dad dad;
	unsigned defended = 0;

	(void)state;
	begin(&dad, false);
	while (dad.due_us != UINT64_MAX)
		(void)next(&dad);
	for (int i = 0; i < 250; i++, now += 100000)
		defended += dad_conflict(&dad, now) == DAD_ANNOUNCE;
	assert_int_equal(defended, 3); // at 0, 10 and 20 of 25 seconds
	assert_int_equal(dad.state, DAD_OWNED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dad_rfc4862_one_probe_then_ours_after_a_second),
		cmocka_unit_test(test_dad_rfc5227_three_probes_and_two_announcements),
		cmocka_unit_test(test_dad_taken_while_probed_is_tried_again_later),
		cmocka_unit_test(test_dad_owned_is_defended_not_too_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
