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
		r.orderly, r.reset, r.aborted, r.timed_out, (unsigned long long)r.link.sent,
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
				.loss_ppm = 30000,
				.duplicate_ppm = 20000,
				.reorder_ppm = 50000,
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
				.loss_ppm = 250000,
				.duplicate_ppm = 200000,
				.reorder_ppm = 300000,
				.reorder_us = 300000},
			.conns = 800,
			.at_once = 300,
			.octets_max = 20000,
			.blocks = 30000,
			.lazy_apps = true,
			.aborts = true,
			.keepalive = true,
		});
}

static void test_sim_small_window_lazy_reader_all_end_orderly(void **state)
{
	(void)state;
	struct sim_tcp_result r = run((struct sim_tcp_config){
		.link = {.seed = 21, .delay_us = 5000, .loss_ppm = 10000},
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
		.link = {.seed = 31, .delay_us = 5000, .loss_ppm = 20000},
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

// What a queue holds and then drops is found out by everybody, shared and used.
static void test_sim_narrow_link_is_filled(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct sim_tcp_result r = run((struct sim_tcp_config){
			.link = {.seed = 51,
				.delay_us = 20000,
				.kbit_s = 20000,
				.queue_octets = 100000},
			.conns = 200,
			.at_once = 20,
			.octets_max = 500000,
			.blocks = 40000,
			.v6 = v6 != 0,
		});
		// Both ways are busy for most of the time.
		uint64_t mbit_s = r.octets * 8 / r.busy_us;

		print_message("  %llu Mbit/s of 20 each way, %llu frames overflowed\n",
			(unsigned long long)mbit_s, (unsigned long long)r.link.overflowed);
		assert_int_equal(r.orderly, 400);
		assert_true(r.link.overflowed > 0);
		assert_in_range(mbit_s, 20, 40);
	}
}

static void test_sim_corruption_never_reaches_the_application(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct sim_tcp_result r = run((struct sim_tcp_config){
			.link = {.seed = 61, .delay_us = 5000, .corrupt_ppm = 20000},
			.conns = 2000,
			.at_once = 100,
			.octets_max = 50000,
			.blocks = 40000,
			.v6 = v6 != 0,
		});

		assert_int_equal(r.orderly, 4000);
		// Of IPv6 a few header fields are covered by no checksum, and matter to nobody here.
		assert_in_range(
			r.bad_frames, r.link.corrupted * (v6 ? 19 : 20) / 20, r.link.corrupted);
		assert_true(r.link.corrupted > 300);
	}
}

static void test_sim_peer_behind_a_narrow_mtu_says_its_mss(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct sim_tcp_result r = run((struct sim_tcp_config){
			.link = {.seed = 71, .delay_us = 5000, .mtu = 1352},
			.conns = 500,
			.at_once = 50,
			.octets_max = 50000,
			.blocks = 40000,
			.server_mss = 1312,
			.v6 = v6 != 0,
		});

		assert_int_equal(r.orderly, 1000);
		assert_int_equal(r.link.too_big, 0);
	}
}

// Who is told of a hole in the path finds a way at once, who is not told after a while (RFC 8201, RFC 4821).
static void test_sim_mtu_hole_is_walked_around(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		struct sim_tcp_result r = run((struct sim_tcp_config){
			.link = {.seed = 81,
				.delay_us = 5000,
				.mtu = 1400,
				.mtu_is_told = way >= 2},
			.conns = 300,
			.at_once = 50,
			.octets_max = 20000,
			.blocks = 40000,
			.v6 = way % 2 != 0,
		});

		assert_true(r.link.too_big > 0);
		assert_int_equal(r.link.told > 0, way >= 2);
		assert_int_equal(r.told, r.link.told);
		assert_int_equal(r.bad_frames, 0);
		assert_int_equal(r.orderly, 600);
	}
}

static void test_sim_everything_at_once_over_both_families(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		struct sim_tcp_result r = run((struct sim_tcp_config){
			.link = {.seed = 91,
				.delay_us = 30000,
				.jitter_us = 5000,
				.loss_ppm = 10000,
				.duplicate_ppm = 5000,
				.corrupt_ppm = 5000,
				.reorder_ppm = 20000,
				.reorder_us = 15000,
				.kbit_s = 100000,
				.queue_octets = 200000,
				.mark_octets = 50000},
			.conns = 3000,
			.at_once = 300,
			.octets_max = 50000,
			.blocks = 40000,
			.lazy_apps = true,
			.v6 = v6 != 0,
		});

		assert_int_equal(r.orderly, 6000);
		assert_int_equal(r.marks_heard > 0, r.link.marked > 0);
	}
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
		cmocka_unit_test(test_sim_narrow_link_is_filled),
		cmocka_unit_test(test_sim_corruption_never_reaches_the_application),
		cmocka_unit_test(test_sim_peer_behind_a_narrow_mtu_says_its_mss),
		cmocka_unit_test(test_sim_mtu_hole_is_walked_around),
		cmocka_unit_test(test_sim_everything_at_once_over_both_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
