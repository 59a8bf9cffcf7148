// The wire itself: what it does to a frame follows from its seed, and is what it was told to do.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "net/frame.h"
#include "net/icmp.h"
#include "sim/sim_link.h"
#include "sim/sim_router.h"

enum { MS = 1000, OCTETS = 1000, MANY = 20000 };

static uint8_t plain[OCTETS];

static uint32_t built(bool v6, uint8_t ecn, uint32_t payload, uint8_t *frame)
{
	static uint8_t text[1460];
	struct segment s = {.src_port = 1234, .dst_port = 25, .ecn = ecn, .part_count = 1};
	struct frame_route route = {
		.src_mac = {{2, 0, 0, 0, 0, 1}}, .dst_mac = {{2, 0, 0, 0, 0, 2}}};

	assert_true(ip_addr_parse(v6 ? "2001:db8::1" : "192.0.2.7", &s.src));
	assert_true(ip_addr_parse(v6 ? "2001:db8::2" : "192.0.2.8", &s.dst));
	s.flags = SEGMENT_ACK;
	s.parts[0] = (struct slice){text, payload};
	s.payload_octets = payload;
	return frame_build(&s, &route, frame, 2000);
}

static void test_link_delay_and_rate_are_exact(void **state)
{
	struct sim_link link;
	struct sim_link_packet p;

	(void)state;
	// 8 Mbit/s: a millisecond for each frame.
	sim_link_init(&link, &(struct sim_link_config){.delay_us = 50 * MS, .kbit_s = 8000});
	for (int i = 0; i < 3; i++)
		sim_link_send(&link, plain, OCTETS, 1, 7 * MS);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(sim_link_next_us(&link), (57 + i) * MS);
		assert_false(sim_link_receive(&link, (57 + i) * MS - 1, &p));
		assert_true(sim_link_receive(&link, (57 + i) * MS, &p));
		assert_int_equal(p.to, 1);
		free(p.frame);
	}
	// The other way has a queue of its own.
	sim_link_send(&link, plain, OCTETS, 0, 8 * MS);
	assert_int_equal(sim_link_next_us(&link), 59 * MS);
	sim_link_free(&link);
}

static void test_link_full_queue_drops_the_newest(void **state)
{
	struct sim_link link;

	(void)state;
	sim_link_init(&link, &(struct sim_link_config){.kbit_s = 8000, .queue_octets = 5000});
	for (int i = 0; i < 8; i++)
		sim_link_send(&link, plain, OCTETS, 0, 0);
	assert_int_equal(link.counters.overflowed, 3);
	// Two milliseconds later there is room for two.
	for (int i = 0; i < 3; i++)
		sim_link_send(&link, plain, OCTETS, 0, 2 * MS);
	assert_int_equal(link.counters.overflowed, 4);
	sim_link_free(&link);
}

static uint64_t fate(const struct sim_link_config *config, uint64_t *lost)
{
	struct sim_link link;
	struct sim_link_packet p;
	uint64_t sum = 0, at = 0;

	sim_link_init(&link, config);
	for (int i = 0; i < MANY; i++)
		sim_link_send(&link, plain, OCTETS, i & 1, 0);
	while (sim_link_receive(&link, UINT64_MAX, &p)) {
		for (uint32_t i = 0; i < p.octets; i++)
			sum = sum * 31 + p.frame[i];
		sum = sum * 31 + p.due_us + ++at;
		free(p.frame);
	}
	*lost = link.counters.lost;
	assert_int_equal(link.counters.sent + link.counters.doubled,
		link.counters.arrived + link.counters.lost + link.counters.overflowed +
			link.counters.too_big);
	sim_link_free(&link);
	return sum;
}

static void test_link_same_seed_same_fate(void **state)
{
	struct sim_link_config config = {.seed = 5,
		.jitter_us = 1000,
		.loss_ppm = 10000,
		.duplicate_ppm = 10000,
		.corrupt_ppm = 10000,
		.reorder_ppm = 10000,
		.reorder_us = 5000};
	uint64_t lost, lost_again, lost_other;
	uint64_t sum = fate(&config, &lost);

	(void)state;
	assert_int_equal(fate(&config, &lost_again), sum);
	assert_in_range(lost, MANY / 100 * 7 / 10, MANY / 100 * 13 / 10);
	// What is lost does not depend on what else the link does.
	config.corrupt_ppm = config.jitter_us = config.duplicate_ppm = 0;
	assert_int_not_equal(fate(&config, &lost_again), sum);
	assert_int_equal(lost, lost_again);
	config.seed = 6;
	assert_int_not_equal(fate(&config, &lost_other), sum);
}

static void test_link_every_corruption_is_caught(void **state)
{
	uint8_t frame[2000];
	struct sim_link link;
	struct sim_link_packet p;
	struct frame f;
	uint32_t octets = built(false, SEGMENT_ECN_NONE, 700, frame);

	(void)state;
	sim_link_init(&link, &(struct sim_link_config){.seed = 9, .corrupt_ppm = 1000000});
	for (int i = 0; i < MANY; i++)
		sim_link_send(&link, frame, octets, 0, 0);
	assert_int_equal(link.counters.corrupted, MANY);
	while (sim_link_receive(&link, 0, &p)) {
		assert_int_not_equal(
			frame_parse((struct slice){p.frame, p.octets}, 0, &f), DROP_NONE);
		free(p.frame);
	}
	sim_link_free(&link);
}

static void test_link_rfc3168_5_long_queue_marks_who_asked_for_it(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		uint8_t frame[2000], ecn = (uint8_t)(i >> 1);
		uint32_t octets = built(i & 1, ecn, 900, frame);
		struct sim_link link;
		struct sim_link_packet p;
		struct frame f;

		sim_link_init(&link, &(struct sim_link_config){.kbit_s = 8000, .mark_octets = 1});
		sim_link_send(&link, frame, octets, 0, 0);
		sim_link_send(&link, frame, octets, 0, 0);
		for (int k = 0; k < 2; k++) {
			assert_true(sim_link_receive(&link, UINT64_MAX, &p));
			assert_int_equal(
				frame_parse((struct slice){p.frame, p.octets}, 0, &f), DROP_NONE);
			assert_int_equal(
				f.ip.ecn, k == 0 || ecn == SEGMENT_ECN_NONE ? ecn : SEGMENT_ECN_CE);
			free(p.frame);
		}
		assert_int_equal(link.counters.marked, ecn != SEGMENT_ECN_NONE);
		sim_link_free(&link);
	}
}

// RFC 1191 3, RFC 4443 3.2: what the router says has good checksums, the MTU, and the beginning of the packet.
static void test_link_hole_in_the_path_is_told_to_the_sender(void **state)
{
	(void)state;
	for (int v6 = 0; v6 < 2; v6++) {
		uint8_t frame[2000];
		uint32_t octets = built(v6, SEGMENT_ECN_NONE, 1400, frame);
		struct sim_link link;
		struct sim_link_packet p;
		struct ip_packet ip;
		enum icmp_kind kind;
		struct slice l3;

		sim_link_init(&link, &(struct sim_link_config){
					     .delay_us = MS, .mtu = 1300, .mtu_is_told = true});
		sim_link_send(&link, frame, octets, 1, 0);
		assert_true(sim_link_receive(&link, MS, &p));
		assert_int_equal(p.to, 0);
		l3 = (struct slice){p.frame + 14, p.octets - 14};
		assert_int_equal(
			v6 ? ip_parse_v6(l3, &ip) : ip_parse_v4(l3, false, &ip), DROP_NONE);
		assert_int_equal(icmp_parse(&ip, &kind), DROP_NONE);
		assert_int_equal(ip.l4.at[0], v6 ? 2 : 3);
		assert_int_equal(ip.l4.at[6] << 8 | ip.l4.at[7], 1300);
		assert_memory_equal(ip.l4.at + 8, frame + 14, v6 ? 1232 : 28);
		free(p.frame);
		assert_false(sim_link_receive(&link, UINT64_MAX, &p));
		sim_link_free(&link);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_delay_and_rate_are_exact),
		cmocka_unit_test(test_link_full_queue_drops_the_newest),
		cmocka_unit_test(test_link_same_seed_same_fate),
		cmocka_unit_test(test_link_every_corruption_is_caught),
		cmocka_unit_test(test_link_rfc3168_5_long_queue_marks_who_asked_for_it),
		cmocka_unit_test(test_link_hole_in_the_path_is_told_to_the_sender),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
