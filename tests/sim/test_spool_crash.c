// The spool's promises on a disk that forgets what was not synced: the power goes at every operation of random work; and
// each sync that the code does is left out once, which must be noticed.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sim/spool_world.h"

enum {
	STEPS = 60,
	STEPS_AFTER = 25,
	SEEDS = 12,
	SEEDS_MAX = 400, // until a missing sync must have shown
	RUNS = 3,
	SITES = 64,
};

// What one trial does: work until the crash, then more runs that crash at random, each recovering from the one before.
struct trial {
	uint64_t seed, crash_at;
	bool kill;   // the processes die, the page cache lives
	bool faults; // disk errors as well
	const struct disk_sim_site *skip;
};

static void restart(struct spool_world *world, const struct trial *trial)
{
	spool_world_stop(world);
	world->was_cut = world->was_cut || !trial->kill;
	if (trial->kill)
		disk_sim_kill(world->sim);
	else
		disk_sim_power_cycle(world->sim);
	disk_sim_set_space(world->sim, UINT64_MAX);
}

static void add_sites(struct disk_sim_site sites[SITES], const struct disk_sim *sim)
{
	const struct disk_sim_site *site;

	for (uint32_t i = 0; (site = disk_sim_site(sim, i)) != NULL; i++) {
		uint32_t at = 0;

		while (sites[at].caller != NULL && memcmp(&sites[at], site, sizeof(*site)) != 0)
			at++;
		assert_true(at + 1 < SITES);
		sites[at] = *site;
	}
}

// The first violation, or NULL. sites: filled with the sites seen, when given.
static const char *run_trial(const struct trial *trial, struct disk_sim_site *sites)
{
	struct spool_world *world = spool_world_new(trial->seed);
	const char *violation;

	world->faults = trial->faults;
	disk_sim_skip(world->sim, trial->skip);
	disk_sim_crash_at(world->sim, trial->crash_at);
	spool_world_run(world, STEPS);
	for (int run = 1; run < RUNS && world->violation == NULL; run++) {
		restart(world, trial);
		disk_sim_crash_at(world->sim,
			disk_sim_ops(world->sim) + 1 + (trial->seed + trial->crash_at * 7) % 60);
		spool_world_run(world, STEPS_AFTER);
	}
	if (world->violation == NULL) {
		restart(world, trial);
		world->faults = false;
		spool_world_run(world, 0);
	}
	violation = world->violation;
	if (sites != NULL)
		add_sites(sites, world->sim);
	spool_world_free(world);
	return violation;
}

// Operations of the first run when nothing happens to it.
static uint64_t count_ops(uint64_t seed)
{
	struct spool_world *world = spool_world_new(seed);
	uint64_t ops;

	spool_world_run(world, STEPS);
	ops = disk_sim_ops(world->sim);
	spool_world_free(world);
	return ops;
}

static void expect_kept(const struct trial *trial)
{
	const char *violation = run_trial(trial, NULL);

	if (violation != NULL)
		fail_msg("seed %llu, operation %llu: %s", (unsigned long long)trial->seed,
			(unsigned long long)trial->crash_at, violation);
}

static void test_spool_power_cut_at_every_operation_keeps_promises(void **state)
{
	uint64_t trials = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		uint64_t ops = count_ops(seed);

		for (uint64_t op = 1; op <= ops + 1; op++, trials++)
			expect_kept(&(struct trial){.seed = seed, .crash_at = op});
	}
	print_message("%llu power cuts\n", (unsigned long long)trials);
}

static void test_spool_kill_at_every_operation_keeps_promises(void **state)
{
	(void)state;
	for (uint64_t seed = 101; seed <= 100 + SEEDS / 2; seed++) {
		uint64_t ops = count_ops(seed);

		for (uint64_t op = 1; op <= ops + 1; op++)
			expect_kept(&(struct trial){.seed = seed, .crash_at = op, .kill = true});
	}
}

static void test_spool_disk_errors_keep_promises(void **state)
{
	(void)state;
	for (uint64_t seed = 1000; seed < 1300; seed++) {
		expect_kept(&(struct trial){.seed = seed, .faults = true});
		expect_kept(&(struct trial){.seed = seed, .faults = true, .kill = true});
		expect_kept(&(struct trial){.seed = seed, .faults = true, .crash_at = seed % 97});
	}
}

static const char *find_violation(const struct disk_sim_site *skip, uint64_t *trials)
{
	for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
		for (uint64_t op = 7; op < 120; op += 11) {
			const struct trial trial = {.seed = seed, .crash_at = op, .skip = skip};
			const char *violation = run_trial(&trial, NULL);

			++*trials;
			if (violation != NULL)
				return violation;
		}
	}
	return NULL;
}

static void test_spool_any_sync_left_out_is_noticed(void **state)
{
	struct disk_sim_site sites[SITES];
	uint32_t count = 0;

	(void)state;
	memset(sites, 0, sizeof(sites));
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		(void)run_trial(&(struct trial){.seed = seed}, sites);
	while (sites[count].caller != NULL)
		count++;
	// DIR and its parent; header, directory of a new segment, end of a segment, commit, removal; directory of a new
	// outcome file, outcomes, data and directory of a compaction.
	assert_true(count >= 11);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t trials = 0;
		const char *violation = find_violation(&sites[i], &trials);

		print_message("without %s of '%s' (%p): %s, %llu trials\n",
			sites[i].is_dir ? "sync_dir" : "sync_data", sites[i].directory,
			sites[i].caller, violation != NULL ? violation : "NOT NOTICED",
			(unsigned long long)trials);
		assert_non_null(violation);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spool_power_cut_at_every_operation_keeps_promises),
		cmocka_unit_test(test_spool_kill_at_every_operation_keeps_promises),
		cmocka_unit_test(test_spool_disk_errors_keep_promises),
		cmocka_unit_test(test_spool_any_sync_left_out_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
