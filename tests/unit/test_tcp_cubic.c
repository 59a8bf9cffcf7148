// CUBIC against its formulas in floating point (RFC 9438), and against what its figures promise.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "tcp/tcp_cubic.h"

enum { MSS = 1460, RTT_US = 100000 };

// A round trip in which the whole window is acknowledged, segment by segment.
static uint32_t round_trip(struct tcp_cubic *c, uint32_t cwnd, uint64_t *now_us, uint32_t rtt_us)
{
	uint32_t segments = cwnd / MSS;

	for (uint32_t i = 0; i < segments; i++) {
		*now_us += rtt_us / segments;
		cwnd = tcp_cubic_grow(
			c, cwnd, MSS, &(struct tcp_cubic_now){MSS, rtt_us, (uint32_t)*now_us});
	}
	return cwnd;
}

static void test_cubic_cut_leaves_seven_tenths(void **state)
{
	struct tcp_cubic c = {0};

	(void)state;
	assert_int_equal(tcp_cubic_cut(&c, 100 * MSS, 100 * MSS, MSS), 70 * MSS);
	assert_int_equal(c.w_max, 100 * MSS);
	// Less was in flight than the window allowed.
	assert_int_equal(tcp_cubic_cut(&c, 200 * MSS, 50 * MSS, MSS), 35 * MSS);
	assert_int_equal(c.w_max, 200 * MSS);
	// Fast convergence: cut again before the old window was reached.
	assert_int_equal(tcp_cubic_cut(&c, 100 * MSS, 100 * MSS, MSS), 70 * MSS);
	assert_int_equal(c.w_max, 85 * MSS);
	assert_int_equal(tcp_cubic_cut(&c, 2 * MSS, MSS, MSS), 2 * MSS);
}

static void test_cubic_window_follows_the_cube(void **state)
{
	struct tcp_cubic c = {0};
	uint64_t now_us = 0xfff00000; // the clock wraps on the way
	uint32_t cwnd = tcp_cubic_cut(&c, 1000 * MSS, 1000 * MSS, MSS);
	double k_s = cbrt(300 / 0.4), start_us = (double)now_us;

	(void)state;
	for (int i = 0; i < 150; i++) {
		cwnd = round_trip(&c, cwnd, &now_us, RTT_US);

		double t_s = ((double)now_us - start_us) / 1e6;
		double want = 0.4 * pow(t_s - k_s, 3) + 1000;

		// It aims one round trip ahead and gets there by eighths.
		assert_true(fabs(cwnd / (double)MSS - want) < 12);
	}
	// Past the plateau it has gone on.
	assert_true(cwnd > 1050 * MSS);
}

static void test_cubic_small_window_grows_as_reno_would(void **state)
{
	struct tcp_cubic c = {0};
	uint64_t now_us = 5000000;
	uint32_t cwnd = tcp_cubic_cut(&c, 20 * MSS, 20 * MSS, MSS);

	(void)state;
	assert_int_equal(cwnd, 14 * MSS);
	// 10 ms: the cube is slow; alpha is 0.53 segments a round trip until the old window, then 1.
	for (int i = 0; i < 10; i++)
		cwnd = round_trip(&c, cwnd, &now_us, 10000);
	assert_true(cwnd >= 18 * MSS && cwnd <= 20 * MSS);
	for (int i = 0; i < 13; i++)
		cwnd = round_trip(&c, cwnd, &now_us, 10000);
	assert_true(cwnd >= 27 * MSS && cwnd <= 32 * MSS);
}

static void test_cubic_never_shrinks_and_never_more_than_half_again(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int trial = 0; trial < 2000; trial++) {
		struct tcp_cubic c = {0};
		uint32_t cwnd = 2 * MSS + (uint32_t)(random >> 40) % 4000000;
		uint32_t now_us = (uint32_t)random;

		cwnd = tcp_cubic_cut(&c, cwnd, cwnd, MSS);
		for (int i = 0; i < 50; i++) {
			uint32_t acked = MSS * (1 + (uint32_t)(random >> 50) % 8), next;

			random = random * 6364136223846793005U + 1442695040888963407U;
			now_us += (uint32_t)(random >> 33) % 100000000;
			next = tcp_cubic_grow(
				&c, cwnd, acked, &(struct tcp_cubic_now){MSS, RTT_US, now_us});
			assert_true(next >= cwnd);
			assert_true(next <= cwnd + cwnd / 2 + 8 * acked + MSS);
			cwnd = next < 100000000 ? next : 100000000;
		}
	}
}

static void test_cubic_pause_does_not_count(void **state)
{
	struct tcp_cubic c = {0};
	uint64_t now_us = 1000000;
	uint32_t cwnd = tcp_cubic_cut(&c, 1000 * MSS, 1000 * MSS, MSS), before;

	(void)state;
	cwnd = before = round_trip(&c, cwnd, &now_us, RTT_US);
	tcp_cubic_pause(&c);
	now_us += 60000000;
	cwnd = round_trip(&c, cwnd, &now_us, RTT_US);
	// A minute of growth would have carried it far beyond the old window.
	assert_true(cwnd < before + 30 * MSS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cubic_cut_leaves_seven_tenths),
		cmocka_unit_test(test_cubic_window_follows_the_cube),
		cmocka_unit_test(test_cubic_small_window_grows_as_reno_would),
		cmocka_unit_test(test_cubic_never_shrinks_and_never_more_than_half_again),
		cmocka_unit_test(test_cubic_pause_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
