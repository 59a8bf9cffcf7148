// The spool's parts and its round trip on a real directory. Crashes, full and broken disks: tests/sim/test_spool_crash.c.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "spool/channel.h"
#include "spool/envelope.h"
#include "spool/message_id.h"
#include "spool/message_table.h"
#include "spool/outcome_log.h"
#include "spool/spool_reader.h"
#include "spool/spool_writer.h"

static void test_crc32c_known_answer_rfc3720_b4(void **state)
{
	uint8_t data[32];

	(void)state;
	memset(data, 0, sizeof(data));
	assert_int_equal(crc32c(0, data, sizeof(data)), 0x8a9136aa);
	memset(data, 0xff, sizeof(data));
	assert_int_equal(crc32c(0, data, sizeof(data)), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, data, sizeof(data)), 0x46dd794e);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
}

static void test_crc32c_any_length_and_split_equals_table(void **state)
{
	uint8_t data[100];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + 11);
	for (size_t n = 0; n <= sizeof(data); n++) {
		uint32_t whole = crc32c_portable(0, data, n);

		assert_int_equal(crc32c(0, data, n), whole);
		assert_int_equal(crc32c(crc32c(0, data, n / 3), data + n / 3, n - n / 3), whole);
	}
}

static void test_message_id_text_round_trips(void **state)
{
	const uint64_t ids[] = {0, 1, UINT64_MAX, message_id_make(7, 3, 12345),
		message_id_make(0xffffff, MESSAGE_ID_WORKER_CONTROL, (UINT64_C(1) << 34) - 1)};
	char text[MESSAGE_ID_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		uint64_t id;

		assert_int_equal(strlen(message_id_print(ids[i], text)), 13);
		assert_true(message_id_parse(text, &id));
		assert_true(id == ids[i]);
	}
}

static void test_message_id_bad_text_is_refused(void **state)
{
	const char *const texts[] = {"", "0", "000000000000", "00000000000000", "000000000000w",
		"G000000000000", "000000 000000"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint64_t id;

		assert_false(message_id_parse(texts[i], &id));
	}
}

// Buffers of one test; taken in order, never given back before its end.
struct pool {
	struct spool_buf *bufs[64];
	uint32_t taken, limit;
};

static struct spool_buf *pool_take(void *user)
{
	struct pool *pool = user;

	if (pool->taken == pool->limit)
		return NULL;
	pool->bufs[pool->taken] = calloc(1, sizeof(struct spool_buf));
	return pool->bufs[pool->taken++];
}

// For those that cannot do without.
static struct spool_buf *pool_need(struct pool *pool)
{
	struct spool_buf *buf = pool_take(pool);

	if (buf == NULL)
		abort();
	return buf;
}

static void pool_free(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->taken; i++)
		free(pool->bufs[i]);
	pool->taken = 0;
}

static struct spool_buf *make_envelope(struct pool *pool, uint32_t rcpts)
{
	const char *const strings[ENVELOPE_STRINGS] = {
		"steven@neulan.net", "relay", "smtp-relay.neulan.net", "10.12.8.7", "host", ""};
	struct envelope_writer writer;

	envelope_begin(&writer, pool_take, pool);
	for (int i = 0; i < ENVELOPE_STRINGS; i++)
		assert_int_equal(
			envelope_put(&writer, strings[i], (uint16_t)strlen(strings[i])), ERR_OK);
	for (uint32_t i = 0; i < rcpts; i++) {
		char rcpt[64];
		int len = snprintf(rcpt, sizeof(rcpt), "user%u@example.net", i);

		assert_int_equal(envelope_put_rcpt(&writer, rcpt, (uint16_t)len), ERR_OK);
	}
	return writer.first;
}

static struct slice flatten(const struct spool_buf *chain)
{
	size_t octets = envelope_octets(chain);
	uint8_t *flat = malloc(octets + 1);

	envelope_copy(chain, flat);
	return (struct slice){flat, octets};
}

static void test_envelope_longer_than_a_buffer_round_trips(void **state)
{
	struct pool pool = {.limit = 64};
	struct spool_buf *chain = make_envelope(&pool, 1000);
	struct slice flat = flatten(chain), rest = flat, string;

	(void)state;
	assert_non_null(chain->next);
	assert_int_equal(envelope_check(flat, 1000), ERR_OK);
	assert_int_equal(envelope_take(&rest, &string), ERR_OK);
	assert_int_equal(string.len, strlen("steven@neulan.net"));
	assert_memory_equal(string.at, "steven@neulan.net", string.len);
	free((void *)(uintptr_t)flat.at);
	pool_free(&pool);
}

static void test_envelope_damaged_is_refused(void **state)
{
	struct pool pool = {.limit = 64};
	struct slice flat = flatten(make_envelope(&pool, 2));
	uint8_t *octets = (uint8_t *)(uintptr_t)flat.at;

	(void)state;
	assert_int_equal(envelope_check(flat, 1), ERR_SPOOL_CORRUPT);
	assert_int_equal(envelope_check(flat, 3), ERR_SPOOL_CORRUPT);
	for (size_t n = 0; n < flat.len; n++)
		assert_int_equal(envelope_check((struct slice){flat.at, n}, 2), ERR_SPOOL_CORRUPT);
	octets[4] = '\0';
	assert_int_equal(envelope_check(flat, 2), ERR_SPOOL_CORRUPT);
	free(octets);
	pool_free(&pool);
}

static void test_envelope_without_buffers_says_no_memory(void **state)
{
	struct pool pool = {.limit = 1};
	struct envelope_writer writer;
	char text[60000] = {0};

	(void)state;
	envelope_begin(&writer, pool_take, &pool);
	assert_int_equal(envelope_put(&writer, text, sizeof(text)), ERR_NO_MEMORY);
	assert_ptr_equal(writer.first, pool.bufs[0]);
	pool_free(&pool);
	pool.limit = 64;
	envelope_begin(&writer, pool_take, &pool);
	for (int i = 0; i < LIMIT_SPOOL_ENVELOPE_OCTETS / 60002; i++)
		assert_int_equal(envelope_put(&writer, text, sizeof(text)), ERR_OK);
	assert_int_equal(envelope_put(&writer, text, sizeof(text)), ERR_NO_MEMORY);
	pool_free(&pool);
}

static void test_message_table_bounds_are_kept(void **state)
{
	struct message_table *table = message_table_new();
	const struct spool_extent extent = {.segment = 4, .octets = 10};
	struct open_message *message;

	(void)state;
	assert_false(message_table_uses(table, 4));
	for (uint64_t id = 0; id < LIMIT_SPOOL_OPEN; id++)
		assert_non_null(message_table_add(table, id << 34));
	assert_null(message_table_add(table, 1));
	message = message_table_find(table, UINT64_C(77) << 34);
	assert_non_null(message);
	for (int i = 0; i < LIMIT_SPOOL_EXTENTS; i++)
		assert_int_equal(message_table_extend(table, message, &extent), ERR_OK);
	assert_int_equal(message_table_extend(table, message, &extent), ERR_NO_MEMORY);
	assert_int_equal(message->body_octets, 10 * LIMIT_SPOOL_EXTENTS);
	assert_true(message_table_uses(table, 4));
	assert_false(message_table_uses(table, 5));
	message_table_remove(table, message);
	assert_null(message_table_find(table, UINT64_C(77) << 34));
	assert_false(message_table_uses(table, 4));
	message_table_free(table);
}

static char directory[64];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/test_spool.XXXXXX");
	return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

struct answers {
	struct spool_answer at[64];
	uint32_t count;
};

static void keep_answer(void *user, const struct spool_answer *answer)
{
	struct answers *answers = user;

	answers->at[answers->count++] = *answer;
}

static void put_chunks(struct spool_writer *writer, struct pool *pool, uint64_t id, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct spool_request chunk = {
			.kind = SPOOL_PUT_CHUNK, .message_id = id, .buf = pool_need(pool)};

		chunk.buf->octets = 10000;
		memset(chunk.buf->data, (int)('a' + i), 10000);
		spool_writer_put(writer, &chunk, 1);
	}
}

static void put_commit(struct spool_writer *writer, struct pool *pool, uint64_t id, uint64_t octets)
{
	const struct spool_request commit = {.kind = SPOOL_PUT_COMMIT,
		.message_id = id,
		.conn = 5,
		.generation = 6,
		.rcpt_count = 2,
		.body_octets = octets,
		.buf = make_envelope(pool, 2)};

	spool_writer_put(writer, &commit, 1);
}

static struct spool_writer *open_writer(void)
{
	const struct spool_writer_config config = {
		.disk = disk_real(), .directory = directory, .segment_octets = 24576};
	struct spool_writer *writer = NULL;

	assert_int_equal(spool_writer_open(&config, 1, &writer), ERR_OK);
	return writer;
}

static void expect_body(struct spool_reader *reader, const struct spool_message *message)
{
	uint8_t body[30000];

	assert_int_equal(message->commit.body_octets, sizeof(body));
	assert_int_equal(spool_reader_body(reader, message, 0, body, sizeof(body)), ERR_OK);
	for (size_t i = 0; i < sizeof(body); i++)
		assert_int_equal(body[i], 'a' + i / 10000);
	assert_int_equal(spool_reader_body(reader, message, 19999, body, 2), ERR_OK);
	assert_memory_equal(body, "bc", 2);
	assert_int_equal(spool_reader_body(reader, message, 29999, body, 2), ERR_NOT_FOUND);
}

static void test_spool_message_over_segments_is_read_back(void **state)
{
	struct pool pool = {.limit = 64};
	struct answers answers = {.count = 0};
	struct spool_writer *writer = open_writer();
	struct spool_reader *reader;
	struct spool_message *message;
	uint64_t id = message_id_make(spool_writer_boot(writer), 2, 9);

	(void)state;
	put_chunks(writer, &pool, id, 3);
	put_commit(writer, &pool, id, 30000);
	spool_writer_sync(writer, 1, keep_answer, &answers);
	assert_int_equal(answers.count, 4);
	assert_ptr_equal(answers.at[0].buf, pool.bufs[0]);
	assert_int_equal(answers.at[3].status, ERR_OK);
	assert_int_equal(answers.at[3].conn, 5);
	assert_int_equal(answers.at[3].segment, 2);

	assert_int_equal(spool_reader_open(disk_real(), directory, &reader), ERR_OK);
	assert_int_equal(spool_reader_message(reader, 2, answers.at[3].offset, &message), ERR_OK);
	assert_string_equal(message->sender, "steven@neulan.net");
	assert_string_equal(message->helo, "host");
	assert_string_equal(message->account, "");
	assert_string_equal(message->rcpts[1], "user1@example.net");
	assert_int_equal(message->extents[0].segment, 1);
	expect_body(reader, message);
	spool_message_free(message);
	assert_int_equal(spool_reader_message(reader, 2, 96, &message), ERR_SPOOL_CORRUPT);
	assert_int_equal(spool_reader_message(reader, 9, 96, &message), ERR_NOT_FOUND);
	spool_reader_close(reader);
	spool_writer_close(writer);
	pool_free(&pool);
}

static void test_spool_lost_chunk_is_refused_at_commit(void **state)
{
	struct pool pool = {.limit = 64};
	struct answers answers = {.count = 0};
	struct spool_writer *writer = open_writer();

	(void)state;
	put_chunks(writer, &pool, 1, 2);
	put_commit(writer, &pool, 1, 30000);
	put_commit(writer, &pool, 2, 0);
	spool_writer_sync(writer, 1, keep_answer, &answers);
	assert_int_equal(answers.count, 4);
	assert_int_equal(answers.at[2].status, ERR_NO_MEMORY);
	assert_int_equal(answers.at[3].status, ERR_OK);
	spool_writer_close(writer);
	pool_free(&pool);
}

// The predecessor lives for another 200 ms; its successor waits for it.
static void test_spool_writer_waits_for_a_dying_predecessor(void **state)
{
	const struct timespec while_dying = {.tv_nsec = 200 * 1000000L};
	int ready[2], status = 0;
	char octet = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		open_writer();
		if (write(ready[1], &octet, 1) != 1)
			_exit(1);
		nanosleep(&while_dying, NULL);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &octet, 1), 1);
	spool_writer_close(open_writer());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);
}

static void test_channel_records_round_trip_and_bad_ones_are_refused(void **state)
{
	struct channel_record *got = malloc(CHANNEL_RECORD_MAX);
	struct channel_record record = {.kind = CHANNEL_INJECT, .octets = 5, .token = 77};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_int_equal(channel_receive(fds[1], got), ERR_MORE);
	assert_int_equal(channel_send(fds[0], &record, "hello"), ERR_OK);
	assert_int_equal(channel_receive(fds[1], got), ERR_OK);
	assert_int_equal(got->token, 77);
	assert_memory_equal(got->data, "hello", 5);

	assert_int_equal(send(fds[0], &record, sizeof(record), 0), sizeof(record));
	assert_int_equal(channel_receive(fds[1], got), ERR_CHANNEL_BAD);
	assert_int_equal(send(fds[0], &record, 20, 0), 20);
	assert_int_equal(channel_receive(fds[1], got), ERR_CHANNEL_BAD);
	record = (struct channel_record){.kind = 99};
	assert_int_equal(channel_send(fds[0], &record, NULL), ERR_OK);
	assert_int_equal(channel_receive(fds[1], got), ERR_CHANNEL_BAD);

	record = (struct channel_record){.kind = CHANNEL_SYNC};
	while (channel_send(fds[0], &record, NULL) == ERR_OK)
		continue;
	assert_int_equal(channel_send(fds[0], &record, NULL), ERR_MORE);
	close(fds[1]);
	assert_int_equal(channel_send(fds[0], &record, NULL), ERR_CHANNEL_GONE);
	close(fds[0]);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c_known_answer_rfc3720_b4),
		cmocka_unit_test(test_crc32c_any_length_and_split_equals_table),
		cmocka_unit_test(test_message_id_text_round_trips),
		cmocka_unit_test(test_message_id_bad_text_is_refused),
		cmocka_unit_test(test_envelope_longer_than_a_buffer_round_trips),
		cmocka_unit_test(test_envelope_damaged_is_refused),
		cmocka_unit_test(test_envelope_without_buffers_says_no_memory),
		cmocka_unit_test(test_message_table_bounds_are_kept),
		cmocka_unit_test_setup_teardown(test_spool_message_over_segments_is_read_back,
			make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_spool_lost_chunk_is_refused_at_commit,
			make_directory, remove_directory),
		cmocka_unit_test_setup_teardown(test_spool_writer_waits_for_a_dying_predecessor,
			make_directory, remove_directory),
		cmocka_unit_test(test_channel_records_round_trip_and_bad_ones_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
