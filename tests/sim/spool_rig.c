#include "sim/spool_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spool/envelope.h"

struct spool_writer_config spool_rig_config(struct spool_rig *rig)
{
	return (struct spool_writer_config){.disk = disk_sim_disk(rig->sim),
		.directory = "spool",
		.segment_octets = SPOOL_RIG_SEGMENT_OCTETS};
}

void spool_rig_open(struct spool_rig *rig)
{
	const struct spool_writer_config config = spool_rig_config(rig);

	assert_int_equal(spool_writer_open(&config, ++rig->wall_s, &rig->writer), ERR_OK);
}

int spool_rig_setup(void **state)
{
	struct spool_rig *rig = calloc(1, sizeof(*rig));

	rig->sim = disk_sim_new(7);
	spool_rig_open(rig);
	*state = rig;
	return 0;
}

int spool_rig_teardown(void **state)
{
	struct spool_rig *rig = *state;

	if (rig->writer != NULL)
		spool_writer_close(rig->writer);
	if (rig->reader != NULL)
		spool_reader_close(rig->reader);
	disk_sim_free(rig->sim);
	free(rig);
	return 0;
}

struct spool_buf *spool_rig_buf(void *user)
{
	struct spool_buf *buf = calloc(1, sizeof(*buf));

	(void)user;
	if (buf == NULL)
		abort();
	return buf;
}

static void answered(void *user, const struct spool_answer *answer)
{
	struct spool_rig *rig = user;

	rig->answer_count++;
	if (answer->kind == SPOOL_PUT_COMMIT) {
		rig->last = *answer;
		rig->refused += answer->status != ERR_OK;
	}
	for (struct spool_buf *buf = answer->buf, *next; buf != NULL; buf = next) {
		next = buf->next;
		free(buf);
	}
}

void spool_rig_chunk(struct spool_rig *rig, uint64_t id, uint32_t octets)
{
	struct spool_request request = {
		.kind = SPOOL_PUT_CHUNK, .message_id = id, .buf = spool_rig_buf(NULL)};

	request.buf->octets = octets;
	memset(request.buf->data, (int)id, octets);
	spool_writer_put(rig->writer, &request, rig->wall_s);
}

void spool_rig_commit(struct spool_rig *rig, uint64_t id, uint64_t octets)
{
	struct spool_request request = {
		.kind = SPOOL_PUT_COMMIT, .message_id = id, .rcpt_count = 1, .body_octets = octets};
	struct envelope_writer writer;
	enum err err = ERR_OK;

	envelope_begin(&writer, spool_rig_buf, NULL);
	for (int i = 0; i < ENVELOPE_STRINGS && err == ERR_OK; i++)
		err = envelope_put(&writer, "maria@neulan.net", 16);
	assert_int_equal(err, ERR_OK);
	assert_int_equal(envelope_put_rcpt(&writer, "steven@neulan.net", 17), ERR_OK);
	request.buf = writer.first;
	spool_writer_put(rig->writer, &request, rig->wall_s);
}

void spool_rig_sync(struct spool_rig *rig)
{
	spool_writer_sync(rig->writer, ++rig->wall_s, answered, rig);
}

enum err spool_rig_mail(struct spool_rig *rig, uint64_t id, uint32_t octets)
{
	spool_rig_chunk(rig, id, octets);
	spool_rig_commit(rig, id, octets);
	spool_rig_sync(rig);
	assert_int_equal(rig->last.message_id, id);
	return (enum err)rig->last.status;
}

void spool_rig_close(struct spool_rig *rig)
{
	spool_writer_close(rig->writer);
	rig->writer = NULL;
}

void spool_rig_cut_power(struct spool_rig *rig)
{
	disk_sim_crash_at(rig->sim, disk_sim_ops(rig->sim) + 1);
	spool_rig_close(rig);
	if (rig->reader != NULL)
		spool_reader_close(rig->reader);
	rig->reader = NULL;
	disk_sim_power_cycle(rig->sim);
}

static void on_message(void *user, const struct spool_message *message)
{
	struct spool_rig *rig = user;

	assert_true(rig->found_count < SPOOL_RIG_FOUND_MAX);
	rig->found[rig->found_count++] = message->id;
}

static void on_segment(void *user, uint64_t segment, uint64_t octets)
{
	struct spool_rig *rig = user;

	(void)segment;
	(void)octets;
	rig->segment_count++;
}

static void on_corrupt(void *user, uint64_t segment, uint64_t offset)
{
	struct spool_rig *rig = user;

	(void)segment;
	(void)offset;
	rig->corrupt_count++;
}

void spool_rig_scan(struct spool_rig *rig)
{
	const struct spool_scan callbacks = {on_message, on_segment, on_corrupt, rig};

	rig->found_count = rig->corrupt_count = rig->segment_count = 0;
	if (rig->reader == NULL)
		assert_int_equal(
			spool_reader_open(disk_sim_disk(rig->sim), "spool", &rig->reader), ERR_OK);
	assert_int_equal(spool_reader_scan(rig->reader, &callbacks), ERR_OK);
}

void spool_rig_expect(struct spool_rig *rig, const uint64_t *ids, uint32_t count, uint32_t corrupt)
{
	spool_rig_scan(rig);
	assert_int_equal(rig->found_count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_true(rig->found[i] == ids[i]);
	assert_int_equal(rig->corrupt_count, corrupt);
}

void spool_rig_damage(struct spool_rig *rig, uint64_t segment, uint64_t offset)
{
	char path[48];

	snprintf(path, sizeof(path), "spool/segments/%016u.seg", (unsigned)segment);
	assert_true(disk_sim_damage(rig->sim, path, offset));
}

void spool_rig_overwrite(
	struct spool_rig *rig, uint64_t segment, uint64_t offset, const void *octets, size_t count)
{
	struct disk *disk = disk_sim_disk(rig->sim);
	// pwritev() only reads.
	const struct iovec iov = {(void *)(uintptr_t)octets, count};
	int dir = disk->open_dir(disk, "spool/segments");
	char name[32];
	int file;

	snprintf(name, sizeof(name), "%016u.seg", (unsigned)segment);
	file = disk->open(disk, dir, name, 0);
	assert_true(file >= 0);
	assert_int_equal(disk->pwritev(disk, file, &iov, 1, offset), count);
	disk->close(disk, file);
	disk->close(disk, dir);
}
