// Damaged segments: what a scan finds in them and what it reports.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "sim/spool_rig.h"

static void test_scan_damaged_synced_chunk_is_reported_and_rest_kept(void **state)
{
	struct spool_rig *rig = *state;

	assert_int_equal(spool_rig_mail(rig, 1, 100), ERR_OK);
	assert_int_equal(spool_rig_mail(rig, 2, 100), ERR_OK);
	assert_int_equal(spool_rig_mail(rig, 3, 100), ERR_OK);
	spool_rig_expect(rig, (const uint64_t[]){1, 2, 3}, 3, 0);
	spool_rig_damage(rig, 1,
		rig->last.offset -
			100); // in the body of 3: nothing behind it proves that it was synced
	spool_rig_expect(rig, (const uint64_t[]){1, 2}, 2, 0);
	spool_rig_damage(rig, 1, SPOOL_FIRST_OFFSET + 64 + 50); // in the body of 1
	spool_rig_expect(rig, (const uint64_t[]){2}, 1, 1);
	spool_rig_damage(rig, 1, SPOOL_FIRST_OFFSET + 64 + 50);
	spool_rig_damage(rig, 1,
		SPOOL_FIRST_OFFSET); // in the header of its chunk: the octets can still be read
	spool_rig_expect(rig, (const uint64_t[]){1, 2}, 2, 1);
}

static void test_scan_damage_before_a_next_segment_is_reported(void **state)
{
	struct spool_rig *rig = *state;
	uint64_t offset;

	assert_int_equal(spool_rig_mail(rig, 1, 4000), ERR_OK);
	assert_int_equal(spool_rig_mail(rig, 2, 3000), ERR_OK);
	offset = rig->last.offset;
	assert_int_equal(spool_rig_mail(rig, 3, 3000), ERR_OK);
	assert_int_equal(rig->last.segment, 2);
	spool_rig_expect(rig, (const uint64_t[]){1, 2, 3}, 3, 0);
	spool_rig_damage(rig, 1, offset + 70);
	spool_rig_expect(rig, (const uint64_t[]){1, 3}, 2, 1);
}

static void test_scan_chunk_lost_in_an_earlier_segment_is_reported(void **state)
{
	struct spool_rig *rig = *state;

	spool_rig_chunk(rig, 1, 100);
	spool_rig_chunk(rig, 2, 4000);
	spool_rig_chunk(rig, 2, 4000);
	spool_rig_commit(rig, 2, 8000);
	spool_rig_commit(rig, 1, 100);
	spool_rig_sync(rig);
	assert_int_equal(rig->last.segment, 2);
	spool_rig_damage(rig, 1, SPOOL_FIRST_OFFSET + 64 + 5);
	spool_rig_expect(rig, (const uint64_t[]){2}, 1, 2);
}

static void test_scan_damaged_header_is_reported_and_messages_kept(void **state)
{
	struct spool_rig *rig = *state;

	assert_int_equal(spool_rig_mail(rig, 1, 100), ERR_OK);
	assert_int_equal(spool_rig_mail(rig, 2, 100), ERR_OK);
	spool_rig_damage(rig, 1, 70);
	spool_rig_expect(rig, (const uint64_t[]){1, 2}, 2, 1);
	spool_rig_damage(
		rig, 1, SPOOL_FIRST_OFFSET); // and the first record: no salt is known any more
	spool_rig_expect(rig, NULL, 0, 1);
}

static void test_scan_unreadable_segment_is_not_an_empty_one(void **state)
{
	struct spool_rig *rig = *state;

	assert_int_equal(spool_rig_mail(rig, 1, 100), ERR_OK);
	spool_rig_scan(rig);
	disk_sim_fail(rig->sim, DISK_SIM_READ_ERROR, 1000000);
	spool_rig_scan(rig);
	assert_int_equal(rig->found_count, 0);
	assert_true(rig->corrupt_count > 0);
}

static void test_scan_garbage_files_are_passed_over(void **state)
{
	struct spool_rig *rig = *state;
	uint8_t garbage[4096];
	uint32_t random = 1;

	assert_int_equal(spool_rig_mail(rig, 1, 100), ERR_OK);
	for (size_t i = 0; i < sizeof(garbage); i++) {
		random = random * 1664525 + 1013904223;
		garbage[i] = (uint8_t)(random >> 24);
	}
	spool_rig_overwrite(rig, 1, 1000, garbage, sizeof(garbage));
	spool_rig_expect(rig, (const uint64_t[]){1}, 1, 0);
	spool_rig_overwrite(rig, 1, 0, garbage, sizeof(garbage));
	spool_rig_expect(rig, NULL, 0, 0);
}

// A body that is a record for the very place where it will lie, all but the salt.
static void forge(struct spool_rig *rig, uint64_t salt, uint64_t at, struct spool_buf *buf)
{
	const struct spool_commit payload = {.rcpt_count = 1};
	uint8_t *strings = buf->data + 64 + sizeof(payload);
	struct spool_record record = {.type = SPOOL_RECORD_COMMIT,
		.octets = sizeof(payload) + 6 * 2 + 4,
		.message_id = 666,
		.offset = at,
		.segment = 1,
		.salt = salt};

	(void)rig;
	memcpy(buf->data + 64, &payload, sizeof(payload));
	memset(strings, 0, 6 * 2 + 4);
	record.payload_crc32c = crc32c(0, buf->data + 64, record.octets);
	spool_record_seal(&record);
	memcpy(buf->data, &record, sizeof(record));
	buf->octets = 64 + record.octets;
}

static uint64_t salt_of(struct spool_rig *rig, uint64_t segment)
{
	struct disk *disk = disk_sim_disk(rig->sim);
	int dir = disk->open_dir(disk, "spool/segments");
	struct spool_record record;
	char name[32];
	int file;

	snprintf(name, sizeof(name), "%016u.seg", (unsigned)segment);
	file = disk->open(disk, dir, name, 0);
	assert_int_equal(disk->pread(disk, file, &record, sizeof(record), 0), sizeof(record));
	disk->close(disk, file);
	disk->close(disk, dir);
	return record.salt;
}

static void put_forged(struct spool_rig *rig, uint64_t salt)
{
	struct spool_request request = {
		.kind = SPOOL_PUT_CHUNK, .message_id = 5, .buf = spool_rig_buf(NULL)};

	forge(rig, salt, SPOOL_FIRST_OFFSET + 64, request.buf);
	spool_writer_put(rig->writer, &request, rig->wall_s);
	spool_rig_sync(rig);
	spool_rig_damage(rig, 1, SPOOL_FIRST_OFFSET + 20); // the header of the chunk around it
}

static void test_scan_record_inside_a_body_is_no_record(void **state)
{
	struct spool_rig *rig = *state;

	put_forged(rig, salt_of(rig, 1) ^ 1);
	spool_rig_expect(rig, NULL, 0, 0);
}

// So the test above would notice: it is the salt that stands between a body and a message.
static void test_scan_record_inside_a_body_with_the_salt_would_be_one(void **state)
{
	struct spool_rig *rig = *state;

	put_forged(rig, salt_of(rig, 1));
	spool_rig_expect(rig, (const uint64_t[]){666}, 1, 0);
}

#define SPOOL_TEST(test) cmocka_unit_test_setup_teardown(test, spool_rig_setup, spool_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOOL_TEST(test_scan_damaged_synced_chunk_is_reported_and_rest_kept),
		SPOOL_TEST(test_scan_damage_before_a_next_segment_is_reported),
		SPOOL_TEST(test_scan_chunk_lost_in_an_earlier_segment_is_reported),
		SPOOL_TEST(test_scan_damaged_header_is_reported_and_messages_kept),
		SPOOL_TEST(test_scan_unreadable_segment_is_not_an_empty_one),
		SPOOL_TEST(test_scan_garbage_files_are_passed_over),
		SPOOL_TEST(test_scan_record_inside_a_body_is_no_record),
		SPOOL_TEST(test_scan_record_inside_a_body_with_the_salt_would_be_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
