// Cookies alone: everything that goes in comes out, in both families; nothing else does. What a connection made of one does is told
// by tests/dialog/cookie_*.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "tcp/tcp_conn.h"
#include "tcp/tcp_cookie.h"

static struct tcp_keys keys;
static const uint64_t life_us = 1000000ULL * LIMIT_TCP_COOKIE_KEY_S;

static int setup(void **state)
{
	struct siphash_key secret = {5, 6};

	(void)state;
	tcp_key_init(&keys, &secret);
	return 0;
}

static struct segment syn_from(const char *src, const char *dst)
{
	struct segment syn = {
		.src_port = 40000, .dst_port = 25, .seq = 0xfffffff0, .flags = SEGMENT_SYN};

	assert_true(ip_addr_parse(src, &syn.src) && ip_addr_parse(dst, &syn.dst));
	return syn;
}

// The ACK that a peer sends in answer to cookie.
static struct segment ack_of(
	const struct segment *syn, const struct tcp_offer *offer, struct tcp_cookie cookie)
{
	struct segment ack = *syn;

	ack.flags = SEGMENT_ACK;
	ack.seq = syn->seq + 1;
	ack.ack = cookie.isn + 1;
	ack.options.has_timestamp = (offer->flags & TCP_F_TIMESTAMPS) != 0;
	ack.options.tsecr = cookie.tsval;
	return ack;
}

static bool reads(const struct segment *ack, uint64_t now_us)
{
	struct tcp_offer offer;
	struct tcp_cookie cookie;

	return tcp_cookie_read(&keys, ack, now_us, &offer, &cookie);
}

static void check_round_trip(const struct segment *syn, struct tcp_offer in, uint16_t mss_out)
{
	struct tcp_cookie cookie = tcp_cookie_make(&keys, syn, &in, 1000), back;
	struct segment ack = ack_of(syn, &in, cookie);
	struct tcp_offer out;

	assert_true(tcp_cookie_read(&keys, &ack, 1000 + life_us, &out, &back));
	assert_int_equal(out.mss, mss_out);
	assert_int_equal(back.isn, cookie.isn);
	assert_int_equal(back.ts_offset, cookie.ts_offset);
	if ((in.flags & TCP_F_TIMESTAMPS) == 0) {
		assert_int_equal(out.flags, 0);
		return;
	}
	assert_int_equal(out.flags, in.flags);
	if (in.flags & TCP_F_SCALE)
		assert_int_equal(out.scale, in.scale);
}

static void check_all_options(const struct segment *syn)
{
	for (uint32_t bits = 0; bits < 16; bits++) {
		struct tcp_offer offer = {.mss = 1460};

		offer.flags = (bits & 1 ? TCP_F_TIMESTAMPS : 0) | (bits & 2 ? TCP_F_SACK : 0) |
			      (bits & 4 ? TCP_F_ECN : 0) | (bits & 8 ? TCP_F_SCALE : 0);
		for (offer.scale = 0; offer.scale <= 14; offer.scale++)
			check_round_trip(syn, offer, 1460);
	}
}

static void test_tcp_cookie_carries_options_in_both_families(void **state)
{
	struct segment v4 = syn_from("192.0.2.1", "10.12.170.5");
	struct segment v6 = syn_from("2001:db8::1", "2001:db8:12::5");

	(void)state;
	check_all_options(&v4);
	check_all_options(&v6);
}

static void test_tcp_cookie_mss_is_the_largest_class_not_beyond(void **state)
{
	static const struct {
		uint16_t in, out;
	} rows[] = {{64, 64}, {535, 64}, {536, 536}, {1219, 536}, {1220, 1220}, {1380, 1360},
		{1439, 1400}, {1440, 1440}, {1460, 1460}, {8939, 1460}, {8960, 8940},
		{65535, 8940}};
	struct segment syn = syn_from("192.0.2.1", "10.12.170.5");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_round_trip(&syn, (struct tcp_offer){.mss = rows[i].in}, rows[i].out);
}

static void test_tcp_cookie_timestamp_never_runs_ahead(void **state)
{
	struct segment syn = syn_from("192.0.2.1", "10.12.170.5");

	(void)state;
	for (uint64_t now_us = 0; now_us < 200000; now_us += 1000) {
		struct tcp_offer offer = {
			.flags = TCP_F_TIMESTAMPS | TCP_F_SCALE, .scale = (uint8_t)(now_us % 15)};
		struct tcp_cookie cookie = tcp_cookie_make(&keys, &syn, &offer, now_us);
		uint32_t behind = tcp_tuple_clock(now_us, cookie.ts_offset) - cookie.tsval;

		assert_in_range(behind, 0, 63);
	}
}

static void test_tcp_cookie_is_read_under_two_keys_and_no_more(void **state)
{
	struct segment syn = syn_from("192.0.2.1", "10.12.170.5");
	struct tcp_offer offer = {.mss = 1460, .flags = TCP_F_TIMESTAMPS};

	(void)state;
	for (int timestamps = 0; timestamps < 2; timestamps++) {
		offer.flags = timestamps ? TCP_F_TIMESTAMPS : 0;

		// Made at the end of a period: the next one reads it.
		struct segment late =
			ack_of(&syn, &offer, tcp_cookie_make(&keys, &syn, &offer, life_us - 1));

		assert_true(reads(&late, life_us - 1));
		assert_true(reads(&late, 2 * life_us - 1));
		assert_false(reads(&late, 2 * life_us));

		// Asleep for many periods, the keys of the two last ones are there at once.
		struct segment now =
			ack_of(&syn, &offer, tcp_cookie_make(&keys, &syn, &offer, 50 * life_us));

		assert_true(reads(&now, 51 * life_us));
		assert_false(reads(&now, 70 * life_us));
		setup(NULL);
	}
}

static void test_tcp_cookie_bound_to_tuple_and_number(void **state)
{
	struct segment syn = syn_from("192.0.2.1", "10.12.170.5");
	struct tcp_offer offer = {.mss = 1460};
	struct segment good = ack_of(&syn, &offer, tcp_cookie_make(&keys, &syn, &offer, 0)), bad;

	(void)state;
	assert_true(reads(&good, 0));
	bad = good;
	bad.src_port++;
	assert_false(reads(&bad, 0));
	bad = good;
	bad.dst_port++;
	assert_false(reads(&bad, 0));
	bad = good;
	bad.src.octets[15]++;
	assert_false(reads(&bad, 0));
	bad = good;
	bad.dst.octets[15]++;
	assert_false(reads(&bad, 0));
	bad = good;
	bad.seq++;
	assert_false(reads(&bad, 0));
	bad = good;
	bad.ack += 8;
	assert_false(reads(&bad, 0));
}

static void test_tcp_cookie_guessed_is_refused(void **state)
{
	struct segment syn = syn_from("192.0.2.1", "10.12.170.5"), ack = syn;
	struct tcp_offer none = {0};
	uint32_t taken = 0;

	(void)state;
	ack = ack_of(&syn, &none, (struct tcp_cookie){0});
	for (uint32_t i = 0; i < 1000000; i++) {
		ack.ack = i * 4099;
		taken += reads(&ack, 0);
	}
	// 16 of 2^32 numbers are good.
	assert_int_equal(taken, 0);
}

static void test_tcp_cookie_echo_outside_its_life_is_refused(void **state)
{
	struct segment syn = syn_from("192.0.2.1", "10.12.170.5");
	struct tcp_offer offer = {.mss = 1460, .flags = TCP_F_TIMESTAMPS};
	struct segment ack = ack_of(&syn, &offer, tcp_cookie_make(&keys, &syn, &offer, 100000));

	(void)state;
	assert_true(reads(&ack, 100000));
	ack.options.tsecr += 1000; // of the future
	assert_false(reads(&ack, 100000));
	ack.options.tsecr -= 1000 + 1000 * (2 * LIMIT_TCP_COOKIE_KEY_S + 1);
	assert_false(reads(&ack, 100000));
	// A firewall that takes timestamps away has taken them from the SYN as well.
	ack.options.has_timestamp = false;
	assert_true(reads(&ack, 100000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
		T(test_tcp_cookie_carries_options_in_both_families),
		T(test_tcp_cookie_mss_is_the_largest_class_not_beyond),
		T(test_tcp_cookie_timestamp_never_runs_ahead),
		T(test_tcp_cookie_is_read_under_two_keys_and_no_more),
		T(test_tcp_cookie_bound_to_tuple_and_number),
		T(test_tcp_cookie_guessed_is_refused),
		T(test_tcp_cookie_echo_outside_its_life_is_refused),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
