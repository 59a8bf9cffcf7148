// Set arithmetic, held against asking each address one by one.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "config/address_set.h"
#include "config/value.h"
#include "tests/unit/policy_world.h"

static struct config_prefix prefix(const char *text)
{
	struct config_prefix p = {.text = text};
	struct value_why why;

	assert_null(value_prefix(text, &p.addr, &p.len, &why));
	return p;
}

static bool collect(void *user, const struct ip_addr *addr, uint8_t len)
{
	char text[VALUE_PREFIX_TEXT_MAX];

	(void)strcat(user, value_prefix_print(addr, len, text));
	(void)strcat(user, " ");
	return true;
}

static void expect_prefixes(const char *const *in, uint32_t count, const char *want)
{
	struct arena *arena = arena_create(1 << 16);
	struct config_prefix prefixes[8];
	char got[512] = "";

	for (uint32_t i = 0; i < count; i++)
		prefixes[i] = prefix(in[i]);
	address_set_each_prefix(address_set_of_prefixes(arena, prefixes, count), collect, got);
	assert_string_equal(got, want);
	arena_free(arena);
}

static void test_address_set_halves_make_the_whole(void **state)
{
	const char *const halves[] = {"128.0.0.0/1", "0.0.0.0/1"};
	const char *const v6[] = {"::/1", "8000::/1"};

	(void)state;
	expect_prefixes(halves, 2, "0.0.0.0/0 ");
	expect_prefixes(v6, 2, "::/0 ");
}

static void test_address_set_prefixes_are_fewest(void **state)
{
	const char *const in[] = {"10.0.0.0/25", "10.0.0.128/25", "10.0.1.0/24", "10.0.1.7",
		"2001:db8::/33", "2001:db8:8000::/33", "10.0.2.1"};

	(void)state;
	expect_prefixes(in, 7, "10.0.0.0/23 10.0.2.1 2001:db8::/32 ");
}

static void test_address_set_v6_around_the_mapped_block_says_nothing_of_v4(void **state)
{
	const char *const all_v6[] = {"::/0"}, *const both[] = {"::/0", "0.0.0.0/0"};
	const char *const some[] = {"::/64", "192.0.2.1"};

	(void)state;
	expect_prefixes(all_v6, 1, "::/0 ");
	expect_prefixes(both, 2, "0.0.0.0/0 ::/0 ");
	expect_prefixes(some, 2, "192.0.2.1 ::/64 ");
}

static void test_address_set_counts_are_exact(void **state)
{
	struct arena *arena = arena_create(1 << 16);
	const struct address_set all = address_set_all(arena);
	const struct config_prefix some[] = {prefix("10.0.0.0/8"), prefix("::/0")};
	const struct address_set v6 = address_set_of_prefixes(arena, some, 2);

	(void)state;
	assert_true(address_set_count_v4(all) == UINT64_C(1) << 32);
	assert_true(address_set_count_v6(all) == 0 - ((address_key)1 << 32));
	assert_true(address_set_count_v4(v6) == 1 << 24);
	assert_true(address_set_count_v6(v6) == address_set_count_v6(all));
	arena_free(arena);
}

struct sum {
	struct address_set set;
	address_key v4, v6;
	bool inside;
};

static bool add_up(void *user, const struct ip_addr *addr, uint8_t len)
{
	struct address_range ranges[2];
	struct sum *sum = user;
	const unsigned count = address_set_ranges_of(addr, len, ranges);

	for (unsigned i = 0; i < count; i++) {
		const address_key octets = ranges[i].last - ranges[i].first + 1;

		sum->inside &= address_set_has(sum->set, ranges[i].first) &&
			       address_set_has(sum->set, ranges[i].last);
		if (ip_addr_is_v4(addr))
			sum->v4 += octets;
		else
			sum->v6 += octets;
	}
	return true;
}

// Prefixes printed for a set lie in it and have as many addresses together.
static void expect_prefixes_cover(struct address_set set)
{
	struct sum sum = {.set = set, .inside = true};

	address_set_each_prefix(set, add_up, &sum);
	assert_true(sum.inside);
	assert_true(sum.v4 == address_set_count_v4(set) && sum.v6 == address_set_count_v6(set));
}

static void test_address_set_arithmetic_equals_brute_force(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct arena *arena = arena_create(1 << 20);
		struct policy_world world;

		policy_world_init(&world, seed, 1 + (uint32_t)seed);
		const struct config_list *x = &world.vservers[0].connections,
					 *y = &world.vservers[0].relay;
		const struct address_set a =
			address_set_of_prefixes(arena, x->prefixes, x->prefix_count);
		const struct address_set b =
			address_set_of_prefixes(arena, y->prefixes, y->prefix_count);
		const struct address_set both = address_set_intersect(arena, a, b),
					 either = address_set_union(arena, a, b),
					 less = address_set_subtract(arena, a, b);

		expect_prefixes_cover(either);
		expect_prefixes_cover(less);
		for (unsigned i = 0; i < 2000; i++) {
			const address_key key = policy_world_address(&world);
			const bool in_a = policy_world_listed(x, key),
				   in_b = policy_world_listed(y, key);

			assert_int_equal(address_set_has(a, key), in_a);
			assert_int_equal(address_set_has(both, key), in_a && in_b);
			assert_int_equal(address_set_has(either, key), in_a || in_b);
			assert_int_equal(address_set_has(less, key), in_a && !in_b);
		}
		arena_free(arena);
		policy_world_free(&world);
	}
}

static void test_address_set_first_in_is_clipped(void **state)
{
	struct arena *arena = arena_create(1 << 16);
	const struct config_prefix some[] = {prefix("10.0.0.0/24"), prefix("10.0.2.0/24")};
	const struct address_set set = address_set_of_prefixes(arena, some, 2);
	const address_key ten = address_key_of(&some[0].addr);
	struct address_range run;

	(void)state;
	assert_true(address_set_first_in(set, (struct address_range){ten + 10, ten + 20}, &run));
	assert_true(run.first == ten + 10 && run.last == ten + 20);
	assert_true(address_set_first_in(set, (struct address_range){ten + 300, ten + 600}, &run));
	assert_true(run.first == ten + 512 && run.last == ten + 600);
	assert_false(address_set_first_in(set, (struct address_range){ten + 256, ten + 511}, &run));
	assert_false(address_set_first_in(set, (struct address_range){ten + 768, ten + 999}, &run));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_set_halves_make_the_whole),
		cmocka_unit_test(test_address_set_prefixes_are_fewest),
		cmocka_unit_test(test_address_set_v6_around_the_mapped_block_says_nothing_of_v4),
		cmocka_unit_test(test_address_set_counts_are_exact),
		cmocka_unit_test(test_address_set_arithmetic_equals_brute_force),
		cmocka_unit_test(test_address_set_first_in_is_clipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
