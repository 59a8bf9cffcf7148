// The writer on full and broken disks, and at its bounds. Power cuts: tests/sim/test_spool_crash.c.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/spool_rig.h"
#include <cmocka.h>

static void test_writer_full_disk_refuses_and_recovers(void **state)
{
	struct spool_rig *rig = *state;

	assert_int_equal(spool_rig_mail(rig, 1, 4000), ERR_OK);
	disk_sim_set_space(rig->sim, 0);
	assert_int_equal(spool_rig_mail(rig, 2, 6000), ERR_DISK_FULL);
	assert_false(spool_writer_is_accepting(rig->writer));
	assert_int_equal(spool_rig_mail(rig, 3, 10), ERR_DISK_FULL);
	disk_sim_set_space(rig->sim, UINT64_MAX);
	spool_rig_sync(rig);
	assert_true(spool_writer_is_accepting(rig->writer));
	assert_int_equal(spool_rig_mail(rig, 4, 6000), ERR_OK);
	spool_rig_expect(rig, (const uint64_t[]){1, 4}, 2, 0);
	spool_rig_cut_power(rig);
	spool_rig_expect(rig, (const uint64_t[]){1, 4}, 2, 0);
}

static void test_writer_full_at_open_waits_for_space(void **state)
{
	struct spool_rig *rig = *state;

	spool_rig_close(rig);
	disk_sim_set_space(rig->sim, 0);
	spool_rig_open(rig);
	assert_false(spool_writer_is_accepting(rig->writer));
	assert_int_equal(spool_rig_mail(rig, 1, 10), ERR_DISK_FULL);
	disk_sim_set_space(rig->sim, UINT64_MAX);
	spool_rig_sync(rig);
	assert_int_equal(spool_rig_mail(rig, 2, 10), ERR_OK);
	spool_rig_expect(rig, (const uint64_t[]){2}, 1, 0);
}

static void test_writer_full_in_the_middle_of_a_write_takes_it_back(void **state)
{
	struct spool_rig *rig = *state;

	assert_int_equal(spool_rig_mail(rig, 1, 10), ERR_OK);
	spool_rig_chunk(rig, 2, 10);
	spool_rig_commit(rig, 2, 10);
	spool_rig_chunk(rig, 3, 3000);
	spool_rig_commit(rig, 3, 3000);
	disk_sim_fail(rig->sim, DISK_SIM_WRITE_SHORT, 1);
	disk_sim_fail(rig->sim, DISK_SIM_WRITE_FULL, 1);
	spool_rig_sync(rig);
	assert_int_equal(rig->refused, 2);
	assert_int_equal(spool_rig_mail(rig, 4, 10), ERR_OK);
	spool_rig_expect(rig, (const uint64_t[]){1, 4}, 2, 0);
}

static void test_writer_short_writes_are_gone_on_with(void **state)
{
	struct spool_rig *rig = *state;

	disk_sim_fail(rig->sim, DISK_SIM_WRITE_SHORT, 5);
	assert_int_equal(spool_rig_mail(rig, 1, 3000), ERR_OK);
	spool_rig_expect(rig, (const uint64_t[]){1}, 1, 0);
}

static void expect_broken(struct spool_rig *rig)
{
	assert_false(spool_writer_is_accepting(rig->writer));
	assert_int_equal(spool_rig_mail(rig, 8, 10), ERR_DISK_IO);
	spool_rig_sync(rig);
	assert_false(spool_writer_is_accepting(rig->writer));
	assert_false(spool_writer_segment_done(rig->writer, 1, 100));
	spool_rig_expect(rig, (const uint64_t[]){1}, 1, 0);
	assert_false(disk_sim_was_resynced(rig->sim));
}

static void test_writer_failed_write_stops_accepting(void **state)
{
	struct spool_rig *rig = *state;

	assert_int_equal(spool_rig_mail(rig, 1, 10), ERR_OK);
	disk_sim_fail(rig->sim, DISK_SIM_WRITE_ERROR, 1);
	assert_int_equal(spool_rig_mail(rig, 2, 10), ERR_DISK_IO);
	expect_broken(rig);
}

static void test_writer_failed_sync_is_never_tried_again(void **state)
{
	struct spool_rig *rig = *state;

	assert_int_equal(spool_rig_mail(rig, 1, 10), ERR_OK);
	disk_sim_fail(rig->sim, DISK_SIM_SYNC_ERROR, 1);
	assert_int_equal(spool_rig_mail(rig, 2, 10), ERR_DISK_IO);
	expect_broken(rig);
}

static void test_writer_failed_sync_of_a_full_segment_stops_accepting(void **state)
{
	struct spool_rig *rig = *state;

	assert_int_equal(spool_rig_mail(rig, 1, 10), ERR_OK);
	spool_rig_chunk(rig, 2, 7000);
	spool_rig_sync(rig);
	disk_sim_fail(rig->sim, DISK_SIM_SYNC_ERROR, 1);
	spool_rig_chunk(rig, 2, 3000);
	spool_rig_commit(rig, 2, 10000);
	spool_rig_sync(rig);
	assert_int_equal(rig->last.status, ERR_DISK_IO);
	expect_broken(rig);
}

static void test_writer_failed_directory_sync_spares_what_was_synced(void **state)
{
	struct spool_rig *rig = *state;

	spool_rig_chunk(rig, 1, 10);
	spool_rig_commit(rig, 1, 10);
	disk_sim_fail(rig->sim, DISK_SIM_DIR_ERROR, 1);
	spool_rig_chunk(rig, 2, 8000);
	spool_rig_commit(rig, 2, 8000);
	spool_rig_sync(rig);
	assert_int_equal(rig->last.message_id, 2);
	assert_int_equal(rig->last.status, ERR_DISK_IO);
	assert_int_equal(rig->refused, 1);
	expect_broken(rig);
}

static void test_writer_total_bound_refuses_until_a_segment_goes(void **state)
{
	struct spool_rig *rig = *state;
	struct spool_writer_config config = spool_rig_config(rig);

	spool_rig_close(rig);
	config.max_octets = 3 * SPOOL_RIG_SEGMENT_OCTETS; // the closed one counts
	assert_int_equal(spool_writer_open(&config, ++rig->wall_s, &rig->writer), ERR_OK);
	assert_int_equal(spool_rig_mail(rig, 1, 7000), ERR_OK);
	assert_int_equal(spool_rig_mail(rig, 2, 7000), ERR_OK);
	assert_int_equal(spool_rig_mail(rig, 3, 7000), ERR_DISK_FULL);
	assert_true(spool_writer_segment_done(rig->writer, 1, 3));
	spool_rig_sync(rig);
	assert_int_equal(spool_rig_mail(rig, 4, 7000), ERR_OK);
	spool_rig_expect(rig, (const uint64_t[]){1, 2, 4}, 3, 0);
}

static void test_writer_segment_goes_only_when_nobody_can_need_it(void **state)
{
	struct spool_rig *rig = *state;

	assert_false(spool_writer_segment_done(rig->writer, 1, 9)); // the highest
	spool_rig_chunk(rig, 1, 1000);
	assert_int_equal(spool_rig_mail(rig, 2, 7700), ERR_OK);
	assert_int_equal(rig->last.segment, 2);
	assert_int_equal(spool_rig_mail(rig, 3, 7700), ERR_OK);
	assert_false(spool_writer_segment_done(rig->writer, 1, 9)); // 1 is open
	assert_true(spool_writer_segment_done(rig->writer, 2, 3));  // and has nothing here
	spool_rig_commit(rig, 1, 1000);
	spool_rig_sync(rig);
	assert_int_equal(rig->last.segment, 4);
	assert_false(spool_writer_segment_done(rig->writer, 1, 1)); // commits there may be unread
	assert_false(spool_writer_segment_done(rig->writer, 1, 4)); // so may be that of 1
	assert_true(spool_writer_segment_done(rig->writer, 1, 5));
	assert_true(spool_writer_segment_done(rig->writer, 1, 5)); // gone already
	spool_rig_scan(rig);
	assert_int_equal(rig->segment_count, 2);
}

// Another writer does not know what the commits before it need: a deliverer that has not looked again since must not remove any.
static void test_writer_segments_of_before_go_only_when_all_was_read_again(void **state)
{
	struct spool_rig *rig = *state;

	spool_rig_chunk(rig, 1, 1000);
	assert_int_equal(spool_rig_mail(rig, 2, 7700), ERR_OK);
	spool_rig_commit(rig, 1, 1000);
	spool_rig_sync(rig);
	assert_int_equal(rig->last.segment, 3);
	spool_rig_close(rig);
	spool_rig_open(rig);
	assert_false(spool_writer_segment_done(rig->writer, 1, 2));
	assert_false(spool_writer_segment_done(rig->writer, 1, 3)); // the commit of 1 is there
	assert_true(spool_writer_segment_done(rig->writer, 1, 4));
}

static void test_writer_segment_that_cannot_begin_is_removed(void **state)
{
	struct spool_rig *rig = *state;

	assert_int_equal(spool_rig_mail(rig, 1, 10), ERR_OK);
	disk_sim_fail(rig->sim, DISK_SIM_DIR_ERROR, 1);
	assert_int_equal(spool_rig_mail(rig, 2, 8000), ERR_DISK_IO);
	assert_true(spool_writer_is_broken(rig->writer));
	spool_rig_scan(rig);
	assert_int_equal(rig->segment_count, 1);
	spool_rig_close(rig);
	spool_rig_open(rig);
	assert_false(spool_writer_is_broken(rig->writer));
	assert_int_equal(spool_rig_mail(rig, 3, 10), ERR_OK);
	spool_rig_expect(rig, (const uint64_t[]){1, 3}, 2, 0);
}

static void test_writer_second_one_is_locked_out(void **state)
{
	struct spool_rig *rig = *state;
	const struct spool_writer_config config = spool_rig_config(rig);
	struct spool_writer *second = NULL;

	assert_int_equal(spool_writer_open(&config, 1, &second), ERR_SPOOL_LOCKED);
	spool_rig_close(rig);
	spool_rig_open(rig);
}

static void test_writer_boot_grows_past_unreadable_headers(void **state)
{
	struct spool_rig *rig = *state;
	uint64_t boot;

	spool_rig_close(rig);
	spool_rig_open(rig);
	boot = spool_writer_boot(rig->writer);
	assert_int_equal(boot, 2);
	spool_rig_close(rig);
	spool_rig_damage(rig, 2, 70);
	spool_rig_open(rig);
	assert_true(spool_writer_boot(rig->writer) > boot);
}

static void test_writer_messages_beyond_the_table_are_refused(void **state)
{
	struct spool_rig *rig = *state;
	const struct spool_request abort_first = {.kind = SPOOL_PUT_ABORT, .message_id = 1};

	for (uint64_t id = 1; id <= LIMIT_SPOOL_OPEN + 1; id++) {
		if (spool_writer_room(rig->writer) == 0)
			spool_rig_sync(rig);
		spool_rig_chunk(rig, id, 1);
	}
	spool_rig_sync(rig);
	spool_rig_commit(rig, LIMIT_SPOOL_OPEN + 1, 1);
	spool_rig_sync(rig);
	assert_int_equal(rig->last.status, ERR_NO_MEMORY);
	spool_writer_put(rig->writer, &abort_first, 1);
	spool_rig_sync(rig);
	assert_int_equal(spool_rig_mail(rig, LIMIT_SPOOL_OPEN + 2, 5), ERR_OK);
}

static void test_writer_bad_envelopes_are_refused(void **state)
{
	struct spool_rig *rig = *state;
	struct spool_request request = {.kind = SPOOL_PUT_COMMIT,
		.message_id = 1,
		.rcpt_count = 1,
		.buf = spool_rig_buf(NULL)};

	request.buf->octets = 3;
	spool_writer_put(rig->writer, &request, 1);
	spool_rig_sync(rig);
	assert_int_equal(rig->last.status, ERR_SPOOL_CORRUPT);
	spool_rig_expect(rig, NULL, 0, 0);
}

#define SPOOL_TEST(test) cmocka_unit_test_setup_teardown(test, spool_rig_setup, spool_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(test_writer_full_disk_refuses_and_recovers),
		SPOOL_TEST(test_writer_full_at_open_waits_for_space),
		SPOOL_TEST(test_writer_full_in_the_middle_of_a_write_takes_it_back),
		SPOOL_TEST(test_writer_short_writes_are_gone_on_with),
		SPOOL_TEST(test_writer_failed_write_stops_accepting),
		SPOOL_TEST(test_writer_failed_sync_is_never_tried_again),
		SPOOL_TEST(test_writer_failed_sync_of_a_full_segment_stops_accepting),
		SPOOL_TEST(test_writer_failed_directory_sync_spares_what_was_synced),
		SPOOL_TEST(test_writer_total_bound_refuses_until_a_segment_goes),
		SPOOL_TEST(test_writer_segment_goes_only_when_nobody_can_need_it),
		SPOOL_TEST(test_writer_segments_of_before_go_only_when_all_was_read_again),
		SPOOL_TEST(test_writer_segment_that_cannot_begin_is_removed),
		SPOOL_TEST(test_writer_second_one_is_locked_out),
		SPOOL_TEST(test_writer_boot_grows_past_unreadable_headers),
		SPOOL_TEST(test_writer_messages_beyond_the_table_are_refused),
		SPOOL_TEST(test_writer_bad_envelopes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
