// Fragments put together again, and what is not.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "net/reassembly.h"

enum { MOST = 1480 };

static uint32_t counts[DROP_COUNT];
static struct reassembly *r;
static uint8_t payload[65536], other[65536];

static void account(void *user, enum drop why, uint32_t fragments)
{
	assert_ptr_equal(user, counts);
	assert_true(fragments > 0);
	counts[why] += fragments;
}

static int setup(void **state)
{
	struct reassembly_config config = {
		.packet_octets = MOST, .key = {1, 2}, .account = account, .user = counts};

	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++) {
		payload[i] = (uint8_t)(i * 7 + i / 256);
		other[i] = (uint8_t)~payload[i];
	}
	memset(counts, 0, sizeof(counts));
	r = memset(aligned_alloc(64, reassembly_octets(&config)), 0, reassembly_octets(&config));
	r = reassembly_init(r, &config);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(r);
	return 0;
}

static struct ip_addr source(uint32_t n)
{
	return ip_addr_from_v4(0xc0000200 + n);
}

static struct reassembly_fragment piece(uint32_t id, uint32_t offset, uint32_t len, bool more)
{
	return (struct reassembly_fragment){.src = source(1),
		.dst = ip_addr_from_v4(0xc0000201),
		.id = id,
		.offset = offset,
		.more = more,
		.protocol = 6,
		.hop_limit = 60,
		.data = {payload + offset, len}};
}

static struct reassembly_packet whole;

static bool add(struct reassembly_fragment f)
{
	return reassembly_add(r, &f, 1000, &whole);
}

static void is_payload(uint32_t octets)
{
	assert_int_equal(whole.data.len, octets);
	assert_memory_equal(whole.data.at, payload, octets);
}

static void test_reassembly_any_order_gives_the_packet(void **state)
{
	static const uint8_t orders[6][3] = {
		{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (uint32_t o = 0; o < 6; o++) {
		const struct reassembly_fragment pieces[3] = {piece(o, 0, 560, true),
			piece(o, 560, 560, true), piece(o, 1120, 99, false)};

		assert_false(add(pieces[orders[o][0]]));
		assert_false(add(pieces[orders[o][1]]));
		assert_true(add(pieces[orders[o][2]]));
		is_payload(1219);
		assert_int_equal(whole.protocol, 6);
	}
	assert_int_equal(counts[DROP_NONE], 12);
	assert_int_equal(reassembly_count(r), 0);
}

// The same id twice in a row is two packets.
static void test_reassembly_id_is_used_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_false(add(piece(7, 0, 80, true)));
		assert_true(add(piece(7, 80, 40, false)));
		is_payload(120);
	}
}

static void test_reassembly_copies_are_dropped_alone(void **state)
{
	(void)state;
	assert_false(add(piece(1, 0, 80, true)));
	assert_false(add(piece(1, 0, 80, true)));
	assert_false(add(piece(1, 16, 32, true))); // part of one, with the same octets
	assert_true(add(piece(1, 80, 8, false)));
	is_payload(88);
	assert_int_equal(counts[DROP_FRAGMENT_DUPLICATE], 2);
}

static void dies(struct reassembly_fragment second)
{
	uint32_t before = counts[DROP_FRAGMENT_OVERLAP];

	assert_false(add(piece(2, 0, 80, true)));
	assert_false(add(second));
	assert_int_equal(counts[DROP_FRAGMENT_OVERLAP], before + 2);
	// What would have made it whole comes too late (RFC 5722 3).
	assert_false(add(piece(2, 80, 80, false)));
	assert_int_equal(counts[DROP_FRAGMENT_OVERLAP], before + 3);
	assert_int_equal(reassembly_count(r), 1);
	for (int i = 0; i < LIMIT_REASSEMBLIES; i++)
		reassembly_sweep(r, 1000 + 60000000);
	assert_int_equal(reassembly_count(r), 0);
	assert_int_equal(counts[DROP_FRAGMENT_TIMEOUT], 0); // nothing was left to count
}

static void test_reassembly_overlap_ends_the_packet(void **state)
{
	struct reassembly_fragment rewrite = piece(2, 0, 80, true);

	(void)state;
	rewrite.data.at = other;
	dies(rewrite);
	dies(piece(2, 72, 80, true));
	dies(piece(2, 72, 80, false));
	dies(piece(2, 40, 80, true));
}

static void test_reassembly_ends_that_differ_end_the_packet(void **state)
{
	(void)state;
	assert_false(add(piece(1, 80, 40, false)));
	assert_false(add(piece(1, 160, 40, false)));
	assert_int_equal(counts[DROP_FRAGMENT_OVERLAP], 2);
	assert_false(add(piece(2, 80, 40, false)));
	assert_false(add(piece(2, 120, 40, true))); // behind the end
	assert_int_equal(counts[DROP_FRAGMENT_OVERLAP], 4);
	assert_false(add(piece(3, 160, 40, true)));
	assert_false(add(piece(3, 80, 40, false))); // the end before what is here
	assert_int_equal(counts[DROP_FRAGMENT_OVERLAP], 6);
}

static void test_reassembly_malformed_fragments_are_dropped(void **state)
{
	struct reassembly_fragment f = piece(1, 0, 0, true);

	(void)state;
	assert_false(add(f));
	assert_false(add(piece(1, 0, 81, true))); // not a multiple of 8
	assert_false(add(piece(1, 65528, 16, false)));
	assert_int_equal(counts[DROP_IP_BAD], 3);
	assert_false(add(piece(1, 1472, 16, false)));
	assert_int_equal(counts[DROP_FRAGMENT_TOO_BIG], 1);
	assert_int_equal(reassembly_count(r), 0);
	assert_false(add(piece(1, 0, 1472, true)));
	assert_true(add(piece(1, 1472, 8, false))); // just as large as may be
}

// RFC 1858 "tiny fragment": the ports in the first one, the flags in the second; and the second written over the first.
static void test_reassembly_tiny_first_fragment_is_dropped(void **state)
{
	(void)state;
	for (uint32_t len = 8; len < 20; len += 8)
		assert_false(add(piece(1, 0, len, true)));
	assert_int_equal(counts[DROP_FRAGMENT_TINY], 2);
	assert_int_equal(reassembly_count(r), 0);
	assert_false(add(piece(2, 0, 24, true)));
	assert_false(add(piece(2, 8, 72, false))); // RFC 1858 "overlapping fragment"
	assert_int_equal(counts[DROP_FRAGMENT_OVERLAP], 2);
}

static void test_reassembly_many_tiny_fragments_cve_2018_5391_end_the_packet(void **state)
{
	(void)state;
	assert_false(add(piece(1, 0, 24, true)));
	for (uint32_t i = 1; i <= LIMIT_FRAGMENTS; i++)
		assert_false(add(piece(1, 16 + 8 * i, 8, true)));
	assert_int_equal(counts[DROP_FRAGMENT_TINY], LIMIT_FRAGMENTS + 1);
}

static void test_reassembly_time_is_over(void **state)
{
	struct reassembly_fragment late = piece(1, 80, 8, false);

	(void)state;
	assert_false(add(piece(1, 0, 80, true)));
	assert_false(add(piece(2, 0, 80, true)));
	for (int i = 0; i < LIMIT_REASSEMBLIES; i++)
		reassembly_sweep(r, 1000 + 29999999);
	assert_int_equal(reassembly_count(r), 2);
	assert_false(reassembly_add(r, &late, 1000 + 30000000, &whole)); // a new packet of its own
	assert_int_equal(counts[DROP_FRAGMENT_TIMEOUT], 1);
	for (int i = 0; i < LIMIT_REASSEMBLIES; i++)
		reassembly_sweep(r, 1000 + 30000000);
	assert_int_equal(counts[DROP_FRAGMENT_TIMEOUT], 2);
	assert_int_equal(reassembly_count(r), 1);
}

static void test_reassembly_source_has_a_bound(void **state)
{
	struct reassembly_fragment f;

	(void)state;
	for (uint32_t id = 0; id < LIMIT_REASSEMBLIES_PER_SOURCE + 5; id++)
		assert_false(add(piece(id, 0, 80, true)));
	assert_true(counts[DROP_FRAGMENT_SOURCE] >= 5);
	assert_true(reassembly_count(r) <= LIMIT_REASSEMBLIES_PER_SOURCE);
	f = piece(99, 0, 80, true);
	f.src = source(2);
	assert_false(add(f));
	f = piece(99, 80, 8, false);
	f.src = source(2);
	assert_true(add(f)); // another is served
}

// A flood of first fragments from everywhere: the newest packets are put together, everything is accounted for.
static void test_reassembly_flood_cve_2018_5391_pushes_out_the_oldest(void **state)
{
	enum { FLOOD = 20000 };
	struct reassembly_fragment f;
	uint32_t made = 0, sum = 0;

	(void)state;
	for (uint32_t n = 0; n < FLOOD; n++) {
		f = piece(n, 0, 80, true);
		f.src = source(n + 10);
		assert_false(reassembly_add(r, &f, n, &whole));
		if (n % 100 != 0)
			continue;
		f = piece(n, 80, 8, false);
		f.src = source(n + 10);
		made += reassembly_add(r, &f, n, &whole);
	}
	assert_int_equal(made, FLOOD / 100);
	assert_true(reassembly_count(r) <= LIMIT_REASSEMBLIES);
	for (int d = 0; d < DROP_COUNT; d++)
		sum += counts[d];
	assert_int_equal(sum + reassembly_count(r), FLOOD);
	assert_true(counts[DROP_FRAGMENT_PUSHED_OUT] > FLOOD / 2);
}

static void test_reassembly_v4_protocol_names_the_packet_v6_first_fragment_does(void **state)
{
	struct reassembly_fragment f = piece(1, 80, 8, false);

	(void)state;
	assert_false(add(piece(1, 0, 80, true)));
	f.protocol = 17;
	assert_false(add(f));
	assert_int_equal(reassembly_count(r), 2);
	f = piece(5, 80, 8, false);
	f.src = f.dst = (struct ip_addr){{0x20, 1, 0xd, 0xb8, [15] = 1}};
	f.protocol = 17;
	assert_false(add(f));
	f.offset = 0;
	f.more = true;
	f.protocol = 6;
	f.data = (struct slice){payload, 80};
	assert_true(add(f));
	is_payload(88);
	assert_int_equal(whole.protocol, 6);
}

static void test_reassembly_ecn_is_joined_as_rfc_3168_says(void **state)
{
	static const uint8_t codes[][3] = {
		{0, 0, 0}, {2, 2, 2}, {1, 1, 1}, {2, 3, 3}, {3, 2, 3}, {3, 3, 3}};

	(void)state;
	for (uint32_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct reassembly_fragment a = piece(i, 0, 80, true), b = piece(i, 80, 8, false);

		a.ecn = codes[i][0];
		b.ecn = codes[i][1];
		b.hop_limit = 3;
		assert_false(add(a));
		assert_true(add(b));
		assert_int_equal(whole.ecn, codes[i][2]);
		assert_int_equal(whole.hop_limit, 3);
	}
	for (uint32_t i = 0; i < 2; i++) {
		struct reassembly_fragment a = piece(9, 0, 80, true), b = piece(9, 80, 8, false);

		a.ecn = i == 0 ? 3 : 0;
		b.ecn = i == 0 ? 0 : 3;
		assert_false(add(a));
		assert_false(add(b));
		assert_int_equal(counts[DROP_FRAGMENT_ECN], 2 * (i + 1));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_reassembly_any_order_gives_the_packet),
		TEST(test_reassembly_id_is_used_again),
		TEST(test_reassembly_copies_are_dropped_alone),
		TEST(test_reassembly_overlap_ends_the_packet),
		TEST(test_reassembly_ends_that_differ_end_the_packet),
		TEST(test_reassembly_malformed_fragments_are_dropped),
		TEST(test_reassembly_tiny_first_fragment_is_dropped),
		TEST(test_reassembly_many_tiny_fragments_cve_2018_5391_end_the_packet),
		TEST(test_reassembly_time_is_over),
		TEST(test_reassembly_source_has_a_bound),
		TEST(test_reassembly_flood_cve_2018_5391_pushes_out_the_oldest),
		TEST(test_reassembly_v4_protocol_names_the_packet_v6_first_fragment_does),
		TEST(test_reassembly_ecn_is_joined_as_rfc_3168_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
