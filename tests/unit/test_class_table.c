// The lcores' table against the trie, with EAL but neither root nor huge pages.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_eal.h>
#include <stdio.h>
#include <time.h>

#include "policy/class_table.h"
#include "tests/unit/policy_world.h"

static void compare(
	const struct class_table *table, const struct snapshot *snapshot, address_key key)
{
	const struct ip_addr addr = address_key_addr(key);

	assert_int_equal(class_table_lookup(table, &addr), snapshot_class_of(snapshot, &addr));
}

static void test_class_table_random_lists_equal_the_trie(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct policy_world world;
		struct class_table *table;

		policy_world_init(&world, seed, 200);
		struct snapshot *snapshot = snapshot_build(&world.config, seed);
		assert_non_null(snapshot);
		assert_int_equal(class_table_build(snapshot, &table), ERR_OK);
		for (uint32_t i = 0; i < 20000; i++)
			compare(table, snapshot, policy_world_address(&world));
		class_table_free(table);
		snapshot_free(snapshot);
		policy_world_free(&world);
	}
}

// 60 % single addresses, 30 % /24, 10 % shorter, and 200,000 of v6, half /64 and half /48.
static struct config_prefix big_prefix(struct policy_world *world, uint32_t i)
{
	const uint32_t host = (uint32_t)policy_world_random(world);
	const address_key wide = (address_key)(policy_world_random(world) >> 3 | UINT64_C(1) << 61)
				 << 64;

	if (i % 6 == 5)
		return policy_world_prefix(wide, i % 12 < 6 ? 64 : 48);
	const unsigned len = i % 10 < 6 ? 32 : i % 10 < 9 ? 24 : 16 + i % 7;

	return policy_world_prefix(ADDRESS_KEY_V4_FIRST | host, 96 + len);
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void test_class_table_a_million_prefixes_build_and_agree(void **state)
{
	enum {
		COUNT = 1200000,
	};
	struct policy_world world;
	struct class_table *table;
	struct timespec start;

	(void)state;
	policy_world_init(&world, 1, 1);
	struct config_list *relay = &world.vservers[1].relay;
	free(relay->prefixes);
	relay->prefixes = calloc(COUNT, sizeof(relay->prefixes[0]));
	relay->prefix_count = COUNT;
	for (uint32_t i = 0; i < COUNT; i++)
		relay->prefixes[i] = big_prefix(&world, i);
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	struct snapshot *snapshot = snapshot_build(&world.config, 1);
	const double trie_s = seconds_since(&start);
	assert_int_equal(class_table_build(snapshot, &table), ERR_OK);
	print_message("%d prefixes: snapshot %.2f s, with table %.2f s, %u classes\n", COUNT,
		trie_s, seconds_since(&start), snapshot->class_count);
	for (uint32_t i = 0; i < 400000; i++)
		compare(table, snapshot, policy_world_address(&world));
	struct class_table *next; // a reload has the old and the new at once
	assert_int_equal(class_table_build(snapshot, &next), ERR_OK);
	print_message("octets of a table: %zu\n", class_table_octets(table));
	assert_true(2 * class_table_octets(table) < 128 << 20);
	class_table_free(next);
	class_table_free(table);
	snapshot_free(snapshot);
	policy_world_free(&world);
}

// Networks of a few providers, of their customers, and of single machines, in each other; what listens below /64 as well.
static struct config_prefix customer_prefix(struct policy_world *world)
{
	static const uint8_t lens[] = {44, 48, 56, 60, 63, 64, 65, 96, 112, 127, 128};
	const uint64_t bits = policy_world_random(world);
	const uint64_t upper = UINT64_C(0x20010db800000000) | bits % 3 << 34 |
			       (bits >> 8) % 16 << 20 | (bits >> 16) % 16 << 8 | (bits >> 24) % 8;
	const uint64_t lower = (bits >> 32) % 4 << 62 | (bits >> 40) % 4 << 16 | (bits >> 48) % 8;

	return policy_world_prefix(
		(address_key)upper << 64 | lower, lens[policy_world_random(world) % sizeof(lens)]);
}

static void test_class_table_v6_prefixes_of_all_lengths_equal_the_trie(void **state)
{
	enum {
		COUNT = 100,
	};
	struct policy_world world;
	struct class_table *table;

	(void)state;
	policy_world_init(&world, 11, COUNT);
	for (uint32_t v = 0; v < world.config.vserver_count; v++) {
		for (uint32_t i = 0; i < COUNT; i++) {
			world.vservers[v].relay.prefixes[i] = customer_prefix(&world);
			world.vservers[v].connections.prefixes[i] = customer_prefix(&world);
		}
	}
	struct snapshot *snapshot = snapshot_build(&world.config, 1);
	assert_int_equal(class_table_build(snapshot, &table), ERR_OK);
	assert_in_range(snapshot->class_count, 16, 64);
	for (uint32_t i = 0; i < 200000; i++)
		compare(table, snapshot, policy_world_address(&world));
	class_table_free(table);
	snapshot_free(snapshot);
	policy_world_free(&world);
}

static void test_class_table_too_little_memory_is_reported(void **state)
{
	struct class_table *tables[64];
	struct policy_world world;
	unsigned built = 0;

	(void)state;
	policy_world_init(&world, 3, 1);
	free(world.vservers[0].relay.prefixes);
	world.vservers[0].relay.prefix_count = 200000;
	world.vservers[0].relay.prefixes = calloc(200000, sizeof(struct config_prefix));
	for (uint32_t i = 0; i < 200000; i++)
		world.vservers[0].relay.prefixes[i] = big_prefix(&world, i);
	struct snapshot *snapshot = snapshot_build(&world.config, 1);
	while (built < 64 && class_table_build(snapshot, &tables[built]) == ERR_OK)
		built++;
	assert_in_range(built, 2, 63); // old and new fit, endlessly many do not
	while (built > 0)
		class_table_free(tables[--built]);
	assert_int_equal(class_table_build(snapshot, &tables[0]), ERR_OK);
	class_table_free(tables[0]);
	snapshot_free(snapshot);
	policy_world_free(&world);
}

int main(void)
{
	char *eal[] = {(char[]){"test"}, (char[]){"--no-huge"}, (char[]){"--no-shconf"},
		(char[]){"--no-pci"}, (char[]){"-m"}, (char[]){"256"}, (char[]){"-l"},
		(char[]){"0"}, (char[]){"--no-telemetry"}, (char[]){"--log-level=*:error"}};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_class_table_random_lists_equal_the_trie),
		cmocka_unit_test(test_class_table_v6_prefixes_of_all_lengths_equal_the_trie),
		cmocka_unit_test(test_class_table_a_million_prefixes_build_and_agree),
		cmocka_unit_test(test_class_table_too_little_memory_is_reported),
	};

	if (rte_eal_init(sizeof(eal) / sizeof(eal[0]), eal) < 0)
		return 77; // the runner's word for skipped: no EAL here
	return cmocka_run_group_tests(tests, NULL, NULL);
}
