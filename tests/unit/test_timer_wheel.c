// base/timer_wheel: nothing fires early, nothing is lost, whatever fire() does to its neighbours.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/timer_wheel.h"

enum { TIMERS = 500 };

struct bench {
	struct timer_wheel wheel;
	struct timer timers[TIMERS];
	uint64_t fired_us[TIMERS];
	uint32_t fired[TIMERS];
	struct timer *cancel_on_fire, *again_on_fire;
	uint64_t again_us;
};

static struct bench bench;

static int reset(void **state)
{
	(void)state;
	bench = (struct bench){0};
	timer_wheel_init(&bench.wheel, 1000000);
	return 0;
}

static void fire(void *owner, struct timer *timer, uint64_t now_us)
{
	struct bench *b = owner;
	size_t i = (size_t)(timer - b->timers);

	assert_null(timer->next);
	b->fired[i]++;
	b->fired_us[i] = now_us;
	if (b->cancel_on_fire != NULL)
		timer_wheel_cancel(&b->wheel, b->cancel_on_fire);
	if (b->again_on_fire == timer)
		timer_wheel_arm(&b->wheel, timer, b->again_us);
}

static uint32_t run(uint64_t now_us, uint32_t budget)
{
	return timer_wheel_run(&bench.wheel, now_us, budget, fire, &bench);
}

static void test_timer_wheel_due_in_the_past_fires_at_the_next_run(void **state)
{
	(void)state;
	timer_wheel_arm(&bench.wheel, &bench.timers[0], 5);
	assert_int_equal(timer_wheel_next_us(&bench.wheel, 1000000, 99), 1000000);
	assert_int_equal(run(1000000, 10), 1);
	timer_wheel_arm(&bench.wheel, &bench.timers[0], 1000000);
	assert_int_equal(run(1000001, 10), 1);
}

static void test_timer_wheel_never_fires_early_nor_a_tick_late(void **state)
{
	(void)state;
	timer_wheel_arm(&bench.wheel, &bench.timers[0], 1000700);
	assert_int_equal(run(1000699, 10), 0);
	assert_int_equal(run(1000700, 10), 1);
}

static void test_timer_wheel_later_deadline_moves_nothing(void **state)
{
	(void)state;
	timer_wheel_arm(&bench.wheel, &bench.timers[0], 1100000);
	uint32_t slot = bench.timers[0].slot;

	timer_wheel_arm(&bench.wheel, &bench.timers[0], 9000000);
	assert_int_equal(bench.timers[0].slot, slot);
	assert_int_equal(run(8999999, 10), 0);
	assert_int_equal(run(9000000, 10), 1);
}

static void test_timer_wheel_earlier_deadline_is_kept(void **state)
{
	(void)state;
	timer_wheel_arm(&bench.wheel, &bench.timers[0], 9000000);
	timer_wheel_arm(&bench.wheel, &bench.timers[0], 1100000);
	assert_int_equal(run(1099000, 10), 0);
	assert_int_equal(run(1100000, 10), 1);
	assert_int_equal(bench.wheel.count, 0);
}

static void test_timer_wheel_cancelled_neighbour_does_not_fire(void **state)
{
	(void)state;
	// Entries meet in one list, the one armed last in front: 2 fires first and takes 1 away.
	for (size_t i = 0; i < 3; i++)
		timer_wheel_arm(&bench.wheel, &bench.timers[i], 1100000);
	bench.cancel_on_fire = &bench.timers[1];
	assert_int_equal(run(1200000, 10), 2);
	assert_int_equal(bench.fired[1], 0);
	assert_int_equal(bench.wheel.count, 0);
}

static void test_timer_wheel_armed_in_fire_for_the_past_waits_for_the_next_run(void **state)
{
	(void)state;
	timer_wheel_arm(&bench.wheel, &bench.timers[0], 1100000);
	bench.again_on_fire = &bench.timers[0];
	bench.again_us = 1;
	for (uint32_t round = 1; round < 5; round++) {
		assert_int_equal(run(1100000, 100), 1);
		assert_int_equal(bench.fired[0], round);
	}
}

static void test_timer_wheel_small_budget_skips_nothing(void **state)
{
	uint32_t sum = 0, calls = 0;

	(void)state;
	for (size_t i = 0; i < TIMERS; i++)
		timer_wheel_arm(&bench.wheel, &bench.timers[i], 1100000 + (i % 7) * 900);
	while (sum < TIMERS) {
		sum += run(1200000, 7);
		assert_true(++calls <= TIMERS / 7 + 1);
		if (sum < TIMERS)
			assert_int_equal(timer_wheel_next_us(&bench.wheel, 1200000, 50), 1200000);
	}
	for (size_t i = 0; i < TIMERS; i++)
		assert_int_equal(bench.fired[i], 1);
}

static void test_timer_wheel_after_a_long_sleep_everything_due_fires_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < TIMERS; i++)
		timer_wheel_arm(&bench.wheel, &bench.timers[i], 1000000 + i * 1000000);
	assert_int_equal(run(400 * 1000000ULL, 100000), 400);
	assert_int_equal(bench.wheel.count, TIMERS - 400);
}

static void test_timer_wheel_next_is_never_after_the_first_deadline(void **state)
{
	(void)state;
	timer_wheel_arm(&bench.wheel, &bench.timers[0], 1500123);
	uint64_t now_us = 1000000;
	int wakes = 0;

	assert_int_equal(timer_wheel_next_us(&bench.wheel, now_us, 100), now_us + 100);
	while (bench.fired[0] == 0) {
		now_us = timer_wheel_next_us(&bench.wheel, now_us, 10000000);
		assert_true(now_us <= 1500123);
		run(now_us, 10);
		assert_true(++wakes < 5);
	}
	assert_int_equal(bench.fired_us[0], 1500123);
}

// Entries that hang elsewhere than before.
static uint32_t moved_since(uint32_t slots[TIMERS])
{
	uint32_t moved = 0;

	for (size_t i = 0; i < TIMERS; i++) {
		moved += bench.timers[i].slot != slots[i];
		slots[i] = bench.timers[i].slot;
	}
	return moved;
}

// Five minutes away, and moved once on the way there.
static void test_timer_wheel_far_deadlines_are_moved_once(void **state)
{
	uint32_t slots[TIMERS], moved = 0;

	(void)state;
	for (size_t i = 0; i < TIMERS; i++)
		timer_wheel_arm(&bench.wheel, &bench.timers[i], 301000000 + i * 3000);
	moved_since(slots);
	for (uint64_t now_us = 1000000; now_us < 300000000; now_us += 10000) {
		run(now_us, 10);
		moved += moved_since(slots);
	}
	// They were spread over 2 s: no run had more than its budget.
	assert_in_range(moved, TIMERS / 2, TIMERS);
	run(303000000, 100000);
	for (size_t i = 0; i < TIMERS; i++)
		assert_int_equal(bench.fired[i], 1);
}

static void test_timer_wheel_far_deadline_moved_near_fires_in_time(void **state)
{
	(void)state;
	for (uint64_t step_us = 1000; step_us < 10000000; step_us += 77777) {
		reset(NULL);
		timer_wheel_arm(&bench.wheel, &bench.timers[0], 9000000);
		timer_wheel_arm(&bench.wheel, &bench.timers[1], 5000000000);
		run(1000000 + step_us, 0);
		timer_wheel_arm(&bench.wheel, &bench.timers[1], 1000000 + step_us + 5000);
		assert_int_equal(
			run(1000000 + step_us + 4999, 10), 1000000 + step_us + 4999 >= 9000000);
		assert_int_equal(bench.fired[1], 0);
		run(1000000 + step_us + 5000, 10);
		assert_int_equal(bench.fired[1], 1);
	}
}

// A budget that is too small for a while makes deadlines late, and loses none.
static void test_timer_wheel_starved_for_hours_loses_nothing(void **state)
{
	uint64_t now_us = 1000000;
	unsigned seed = 3;

	(void)state;
	for (size_t i = 0; i < TIMERS; i++)
		timer_wheel_arm(&bench.wheel, &bench.timers[i],
			1000000 + (uint64_t)rand_r(&seed) % 9000 * 1000000);
	for (int i = 0; i < 200; i++, now_us += 20000000)
		run(now_us, (uint32_t)rand_r(&seed) % 4);
	now_us = 10000000000;
	run(now_us, 100000);
	run(now_us, 100000);
	for (size_t i = 0; i < TIMERS; i++)
		assert_int_equal(bench.fired[i], 1);
	assert_int_equal(bench.wheel.count, 0);
}

struct range {
	uint64_t far_us, near_us, step_us;
	int steps;
};

// Random arming and cancelling against a plain table of deadlines.
static void agrees_with_a_plain_table(const struct range *range)
{
	uint64_t now_us = 1000000, due_us[TIMERS] = {0};
	unsigned seed = 7;

	for (int step = 0; step < range->steps; step++) {
		size_t i = (size_t)rand_r(&seed) % TIMERS;
		uint64_t within_us = rand_r(&seed) % 4 == 0 ? range->far_us : range->near_us;

		if (rand_r(&seed) % 5 == 0) {
			timer_wheel_cancel(&bench.wheel, &bench.timers[i]);
			due_us[i] = 0;
		} else {
			due_us[i] = now_us + ((uint64_t)rand_r(&seed) << 10) % within_us;
			timer_wheel_arm(&bench.wheel, &bench.timers[i], due_us[i]);
		}
		now_us += (uint64_t)rand_r(&seed) % range->step_us;
		run(now_us, 100000);
		for (size_t k = 0; k < TIMERS; k++) {
			bool due = due_us[k] != 0 && due_us[k] <= now_us;

			assert_int_equal(bench.fired[k], due);
			bench.fired[k] = 0;
			if (due)
				due_us[k] = 0;
		}
	}
}

static void test_timer_wheel_random_use_agrees_with_a_plain_table(void **state)
{
	(void)state;
	agrees_with_a_plain_table(&(struct range){20000000, 50000, 2000, 20000});
}

static void test_timer_wheel_random_use_over_days_agrees_with_a_plain_table(void **state)
{
	(void)state;
	agrees_with_a_plain_table(&(struct range){20000000000, 6000000, 40000000, 20000});
}

static void test_timer_wheel_random_use_over_hours_agrees_with_a_plain_table(void **state)
{
	(void)state;
	agrees_with_a_plain_table(&(struct range){300000000, 4000000, 300000, 20000});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			test_timer_wheel_due_in_the_past_fires_at_the_next_run, reset),
		cmocka_unit_test_setup(test_timer_wheel_never_fires_early_nor_a_tick_late, reset),
		cmocka_unit_test_setup(test_timer_wheel_later_deadline_moves_nothing, reset),
		cmocka_unit_test_setup(test_timer_wheel_earlier_deadline_is_kept, reset),
		cmocka_unit_test_setup(test_timer_wheel_cancelled_neighbour_does_not_fire, reset),
		cmocka_unit_test_setup(
			test_timer_wheel_armed_in_fire_for_the_past_waits_for_the_next_run, reset),
		cmocka_unit_test_setup(test_timer_wheel_small_budget_skips_nothing, reset),
		cmocka_unit_test_setup(
			test_timer_wheel_after_a_long_sleep_everything_due_fires_once, reset),
		cmocka_unit_test_setup(
			test_timer_wheel_next_is_never_after_the_first_deadline, reset),
		cmocka_unit_test_setup(test_timer_wheel_far_deadlines_are_moved_once, reset),
		cmocka_unit_test_setup(
			test_timer_wheel_far_deadline_moved_near_fires_in_time, reset),
		cmocka_unit_test_setup(test_timer_wheel_starved_for_hours_loses_nothing, reset),
		cmocka_unit_test_setup(
			test_timer_wheel_random_use_agrees_with_a_plain_table, reset),
		cmocka_unit_test_setup(
			test_timer_wheel_random_use_over_hours_agrees_with_a_plain_table, reset),
		cmocka_unit_test_setup(
			test_timer_wheel_random_use_over_days_agrees_with_a_plain_table, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
