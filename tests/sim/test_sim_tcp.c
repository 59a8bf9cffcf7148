// TCP against itself over links of every kind. What sim_tcp_run() checks by itself: each octet, once, in order; every
// connection ends on both sides; all slots, blocks and timers come back.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "sim/sim_tcp.h"

static struct sim_tcp_result run(struct sim_tcp_config config)
{
	struct sim_tcp_result r = sim_tcp_run(&config);

	print_message("  %u orderly %u reset %u aborted %u timed out, %llu segments, %llu octets, "
		      "%llu ms virtual, %llu+%llu retransmits\n",
		r.orderly, r.reset, r.aborted, r.timed_out, (unsigned long long)r.segments,
		(unsigned long long)r.octets, (unsigned long long)r.virtual_us / 1000,
		(unsigned long long)r.counters[0].retransmits,
		(unsigned long long)r.counters[1].retransmits);
	return r;
}

static void test_sim_clean_link_all_end_orderly_and_nothing_is_resent(void **state)
{
	(void)state;
	struct sim_tcp_result r = run((struct sim_tcp_config){
		.link = {.seed = 1, .delay_us = 1000},
		.conns = 3000,
		.at_once = 100,
		.octets_max = 100000,
		.blocks = 40000,
	});

	assert_int_equal(r.orderly, 6000);
	assert_int_equal(r.counters[0].retransmits + r.counters[1].retransmits, 0);
}

static void test_sim_lossy_link_all_end_orderly(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct sim_tcp_result r = run((struct sim_tcp_config){
			.link = {.seed = seed,
				.delay_us = 20000,
				.jitter_us = 3000,
				.loss_pct = 3,
				.duplicate_pct = 2,
				.reorder_pct = 5,
				.reorder_us = 8000},
			.conns = 1500,
			.at_once = 200,
			.octets_max = 200000,
			.blocks = 60000,
			.lazy_apps = true,
		});

		assert_int_equal(r.timed_out, 0);
		assert_true(r.counters[0].fast_retransmits > 0);
	}
}

static void test_sim_terrible_link_nothing_is_wrong_or_stuck(void **state)
{
	(void)state;
	for (uint64_t seed = 11; seed <= 13; seed++)
		run((struct sim_tcp_config){
			.link = {.seed = seed,
				.delay_us = 60000,
				.jitter_us = 60000,
				.loss_pct = 25,
				.duplicate_pct = 20,
				.reorder_pct = 30,
				.reorder_us = 300000},
			.conns = 800,
			.at_once = 300,
			.octets_max = 20000,
			.blocks = 30000,
			.lazy_apps = true,
			.aborts = true,
		});
}

static void test_sim_small_window_lazy_reader_all_end_orderly(void **state)
{
	(void)state;
	struct sim_tcp_result r = run((struct sim_tcp_config){
		.link = {.seed = 21, .delay_us = 5000, .loss_pct = 1},
		.conns = 1000,
		.at_once = 100,
		.octets_max = 60000,
		.blocks = 30000,
		.receive_window = 3000,
		.lazy_apps = true,
	});

	assert_int_equal(r.orderly, 2000);
}

static void test_sim_few_blocks_nobody_starves(void **state)
{
	(void)state;
	struct sim_tcp_result r = run((struct sim_tcp_config){
		.link = {.seed = 31, .delay_us = 5000, .loss_pct = 2},
		.conns = 1000,
		.at_once = 100,
		.octets_max = 60000,
		.blocks = 300,
		.lazy_apps = true,
	});

	assert_true(r.counters[0].no_buffer + r.counters[1].no_buffer > 0);
	assert_int_equal(r.orderly, 2000);
}

static void test_sim_few_slots_time_wait_gives_way(void **state)
{
	(void)state;
	struct sim_tcp_result r = run((struct sim_tcp_config){
		.link = {.seed = 41, .delay_us = 1000},
		.conns = 2000,
		.at_once = 20,
		.octets_max = 3000,
		.blocks = 4000,
		.slots = 100,
	});

	assert_int_equal(r.orderly, 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sim_clean_link_all_end_orderly_and_nothing_is_resent),
		cmocka_unit_test(test_sim_lossy_link_all_end_orderly),
		cmocka_unit_test(test_sim_terrible_link_nothing_is_wrong_or_stuck),
		cmocka_unit_test(test_sim_small_window_lazy_reader_all_end_orderly),
		cmocka_unit_test(test_sim_few_blocks_nobody_starves),
		cmocka_unit_test(test_sim_few_slots_time_wait_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
