// The outcome log on a simulated disk.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "sim/spool_rig.h"
#include "spool/outcome_log.h"

struct replayed {
	uint32_t count;
	uint64_t ids[32];
	size_t text_octets;
};

static void on_entry(void *user, const struct spool_outcome_entry *entry)
{
	struct replayed *replayed = user;

	replayed->ids[replayed->count++ % 32] = entry->id;
	replayed->text_octets = strlen(entry->text);
}

static struct outcome_log *open_log(struct spool_rig *rig, struct replayed *replayed)
{
	struct outcome_log *log = NULL;

	*replayed = (struct replayed){.count = 0};
	assert_int_equal(
		outcome_log_open(disk_sim_disk(rig->sim), "spool", on_entry, replayed, &log),
		ERR_OK);
	return log;
}

static void put_outcome(struct outcome_log *log, uint64_t id, const char *text)
{
	const struct spool_outcome_entry entry = {
		.id = id, .outcome = {.kind = SPOOL_DELIVERED}, .text = text};

	outcome_log_put(log, &entry);
}

static int is_odd(void *user, uint64_t id)
{
	(void)user;
	return (int)(id % 2);
}

static void test_outcome_log_replays_and_compacts(void **state)
{
	struct spool_rig *rig = *state;
	struct replayed replayed;
	struct outcome_log *log = open_log(rig, &replayed);
	char text[3000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (uint64_t id = 1; id <= 6; id++)
		put_outcome(log, id, id == 6 ? text : NULL);
	assert_int_equal(outcome_log_sync(log), ERR_OK);
	outcome_log_close(log);
	log = open_log(rig, &replayed);
	assert_int_equal(replayed.count, 6);
	assert_int_equal(replayed.text_octets, LIMIT_OUTCOME_TEXT_OCTETS);
	put_outcome(log, 7, "gone with it: compaction syncs first");
	assert_int_equal(outcome_log_compact(log, is_odd, NULL), ERR_OK);
	put_outcome(log, 9, "");
	assert_int_equal(outcome_log_sync(log), ERR_OK);
	outcome_log_close(log);
	log = open_log(rig, &replayed);
	assert_int_equal(replayed.count, 5);
	assert_true(replayed.ids[0] == 1 && replayed.ids[3] == 7 && replayed.ids[4] == 9);
	assert_int_equal(outcome_log_corrupt(log), 0);
	outcome_log_close(log);
}

static void test_outcome_log_damage_is_counted(void **state)
{
	struct spool_rig *rig = *state;
	struct replayed replayed;
	struct outcome_log *log = open_log(rig, &replayed);

	for (uint64_t id = 1; id <= 3; id++) {
		put_outcome(log, id, NULL);
		assert_int_equal(outcome_log_sync(log), ERR_OK);
	}
	outcome_log_close(log);
	assert_true(disk_sim_damage(
		rig->sim, "spool/outcomes/0000000000000001.out", SPOOL_FIRST_OFFSET + 3));
	log = open_log(rig, &replayed);
	assert_int_equal(replayed.count, 2);
	assert_int_equal(outcome_log_corrupt(log), 1);
	outcome_log_close(log);
}

static void test_outcome_log_full_disk_keeps_what_was_put(void **state)
{
	struct spool_rig *rig = *state;
	struct replayed replayed;
	struct outcome_log *log = open_log(rig, &replayed);

	put_outcome(log, 1, NULL);
	disk_sim_fail(rig->sim, DISK_SIM_WRITE_SHORT, 1);
	disk_sim_fail(rig->sim, DISK_SIM_WRITE_FULL, 1);
	assert_int_equal(outcome_log_sync(log), ERR_DISK_FULL);
	put_outcome(log, 2, NULL);
	assert_int_equal(outcome_log_sync(log), ERR_OK);
	put_outcome(log, 3, NULL);
	disk_sim_fail(rig->sim, DISK_SIM_SYNC_ERROR, 1);
	assert_int_equal(outcome_log_sync(log), ERR_DISK_IO);
	assert_int_equal(outcome_log_sync(log), ERR_DISK_IO);
	assert_false(disk_sim_was_resynced(rig->sim));
	outcome_log_close(log);
	spool_rig_cut_power(rig);
	log = open_log(rig, &replayed);
	assert_int_equal(replayed.count, 2);
	outcome_log_close(log);
}

static void test_outcome_log_second_one_is_locked_out(void **state)
{
	struct spool_rig *rig = *state;
	struct replayed replayed;
	struct outcome_log *log = open_log(rig, &replayed), *second = NULL;

	assert_int_equal(
		outcome_log_open(disk_sim_disk(rig->sim), "spool", on_entry, &replayed, &second),
		ERR_SPOOL_LOCKED);
	outcome_log_close(log);
}

#define SPOOL_TEST(test) cmocka_unit_test_setup_teardown(test, spool_rig_setup, spool_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(test_outcome_log_replays_and_compacts),
		SPOOL_TEST(test_outcome_log_damage_is_counted),
		SPOOL_TEST(test_outcome_log_full_disk_keeps_what_was_put),
		SPOOL_TEST(test_outcome_log_second_one_is_locked_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
