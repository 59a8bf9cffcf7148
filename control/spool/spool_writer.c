#include "spool/spool_writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "spool/commit.h"
#include "spool/message_table.h"
#include "spool/segment_table.h"
#include "spool/spool_file.h"

enum {
	BATCH_RECORDS = 256, // three pieces each: below IOV_MAX
	BATCH_OCTETS = 4 << 20,
	SEAL_OCTETS = sizeof(struct spool_record),
	SMALLEST_SEGMENT_OCTETS = 1 << 20,
	SEGMENTS_A_DISK = 8,       // at least, while they are larger than the smallest
	RESERVE_OCTETS = 16 << 20, // of a disk, for outcomes and logs: they empty it
	RESERVE_PART = 16,         // a smaller disk keeps this part of itself
};

static_assert(BATCH_RECORDS * 3 <= 1024, "one pwritev");
static_assert(sizeof(struct spool_request) <= 64, "record of a ring");

// Records gathered for one write. Payloads of chunks are the workers' buffers, those of commits are made here.
struct batch {
	uint32_t count;
	uint32_t iov_count;
	uint64_t offset; // of the first
	uint64_t octets;
	struct spool_record records[BATCH_RECORDS];
	struct iovec iov[BATCH_RECORDS * 3];
	void *owned[BATCH_RECORDS];      // payload of a commit, or NULL
	uint32_t answers[BATCH_RECORDS]; // of a commit
};

struct spool_writer {
	struct spool_writer_config config;
	struct disk *disk;
	int dir, lock;
	uint64_t boot;
	bool boot_is_durable;
	enum err state; // ERR_OK, ERR_DISK_FULL (may pass) or ERR_DISK_IO (for good)
	int64_t retried_s;

	// The segment that is written; file < 0: none
	int file;
	uint64_t segment, salt;
	uint64_t size, end; // end: behind the last record, gathered ones included
	uint64_t durable;   // synced up to here
	uint64_t previous_octets;
	bool dirty, sealed;

	struct segment_table segments;
	struct message_table *messages;
	struct batch batch;
	uint32_t answer_count;
	uint32_t settled; // answers before this one have their final status
	struct spool_answer answers[LIMIT_SPOOL_BATCH];
};

static void make_seal(struct spool_writer *writer, uint64_t offset, struct spool_record *seal)
{
	*seal = (struct spool_record){
		.type = SPOOL_RECORD_SEAL,
		.durable = (uint32_t)(writer->durable / SPOOL_ALIGN),
		.offset = offset,
		.segment = writer->segment,
		.salt = writer->salt,
	};
	spool_record_seal(seal);
}

// End the segment at offset. Records behind it stop being any: that takes back commits that were written and are refused.
static enum err seal_at(struct spool_writer *writer, uint64_t offset)
{
	struct spool_record seal;
	struct iovec iov = {&seal, sizeof(seal)};
	struct spool_file_write write = {.iov = &iov, .count = 1, .offset = offset};

	make_seal(writer, offset, &seal);
	writer->sealed = true;
	writer->dirty = true;
	TRY(spool_file_write(writer->disk, writer->file, &write));
	writer->end = offset + SEAL_OCTETS;
	return ERR_OK;
}

// The disk refused a write or a sync: nobody knows what is on it, and nothing is tried again. What readers see while the
// machine runs can still be put right, so that a client told 451 does not find its mail delivered all the same.
static void broke(struct spool_writer *writer)
{
	if (writer->state == ERR_DISK_IO)
		return;
	writer->state = ERR_DISK_IO;
	if (writer->file >= 0)
		(void)!seal_at(writer, writer->durable > 0 ? writer->durable : SPOOL_FIRST_OFFSET);
}

static void disk_failed(struct spool_writer *writer, enum err err)
{
	if (err != ERR_DISK_FULL)
		broke(writer);
	else if (writer->state == ERR_OK)
		writer->state = ERR_DISK_FULL;
}

static void refuse_batch(struct spool_writer *writer, enum err err)
{
	struct batch *batch = &writer->batch;

	for (uint32_t i = 0; i < batch->count; i++) {
		struct open_message *message =
			message_table_find(writer->messages, batch->records[i].message_id);

		if (batch->owned[i] != NULL)
			writer->answers[batch->answers[i]].status = err;
		else if (message != NULL)
			message->failed = err;
	}
}

// A full disk may have taken part of the batch: the segment ends before it.
static void end_before_batch(struct spool_writer *writer, uint64_t written)
{
	writer->end = writer->batch.offset;
	writer->sealed = true;
	if (written > 0 && seal_at(writer, writer->batch.offset) != ERR_OK)
		broke(writer);
}

static enum err write_batch(struct spool_writer *writer)
{
	struct batch *batch = &writer->batch;
	struct spool_file_write write = {
		.iov = batch->iov, .count = (int)batch->iov_count, .offset = batch->offset};
	enum err err;

	if (writer->state == ERR_DISK_IO)
		return ERR_DISK_IO;
	err = spool_file_write(writer->disk, writer->file, &write);
	writer->dirty = true;
	if (err == ERR_DISK_FULL)
		end_before_batch(writer, write.written);
	if (err != ERR_OK)
		disk_failed(writer, err);
	return err;
}

static enum err flush(struct spool_writer *writer)
{
	struct batch *batch = &writer->batch;
	enum err err;

	if (batch->count == 0)
		return ERR_OK;
	err = write_batch(writer);
	if (err != ERR_OK)
		refuse_batch(writer, err);
	for (uint32_t i = 0; i < batch->count; i++)
		free(batch->owned[i]);
	batch->count = 0;
	batch->iov_count = 0;
	batch->octets = 0;
	return err;
}

// A segment that could not be begun takes space for nothing, and every try would leave one.
static void abandon(struct spool_writer *writer, uint64_t number, int file)
{
	char name[SPOOL_FILE_NAME_MAX];

	writer->disk->close(writer->disk, file);
	spool_file_name(number, SEGMENT_SUFFIX, name);
	writer->disk->unlink(writer->disk, writer->dir, name);
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

// How large the next segment may be; 0: the disk is as good as full. The highest segment never goes, so on a small disk it must be a
// small part of it; and a disk that is full to its last octet has no room for the outcomes that would empty it.
static uint64_t segment_octets(const struct spool_writer *writer, uint64_t need)
{
	uint64_t octets = writer->config.segment_octets;
	const uint64_t least = at_most(octets, SMALLEST_SEGMENT_OCTETS);
	struct disk_room room = {0, 0};

	if (writer->disk->room(writer->disk, writer->dir, &room) != 0 || room.total == 0)
		return need > octets ? need : octets;
	const uint64_t reserve = at_most(RESERVE_OCTETS, room.total / RESERVE_PART);

	while (octets / 2 >= least &&
		(octets > room.total / SEGMENTS_A_DISK || octets + reserve > room.free))
		octets /= 2;
	octets = need > octets ? need : octets;
	return octets + reserve > room.free ? 0 : octets;
}

static enum err start_segment(struct spool_writer *writer, uint64_t record_octets, int64_t wall_s)
{
	const struct spool_writer_config *config = &writer->config;
	struct spool_file_header header = {
		.number = writer->segment + 1,
		.boot = writer->boot,
		.created_s = wall_s,
		.previous_octets = writer->previous_octets,
		.octets = segment_octets(writer, SPOOL_FIRST_OFFSET + record_octets + SEAL_OCTETS),
	};
	enum err err;
	int file;

	if (header.octets == 0)
		return ERR_DISK_FULL;
	if (config->max_octets != 0 && writer->segments.octets + header.octets > config->max_octets)
		return ERR_DISK_FULL;
	TRY(spool_file_create(writer->disk, writer->dir, SEGMENT_SUFFIX, &header, &file));
	err = writer->disk->sync_dir(writer->disk, writer->dir) == 0 ? ERR_OK : ERR_DISK_IO;
	// Ids of this boot are spoken of before the first commit would have synced the header.
	if (err == ERR_OK && !writer->boot_is_durable &&
		writer->disk->sync_data(writer->disk, file) != 0)
		err = ERR_DISK_IO;
	if (err == ERR_OK)
		err = segment_table_add(&writer->segments, header.number, header.octets);
	if (err != ERR_OK) {
		abandon(writer, header.number, file);
		return err;
	}
	writer->durable = writer->boot_is_durable ? 0 : SPOOL_FIRST_OFFSET;
	writer->boot_is_durable = true;
	writer->file = file;
	writer->segment = header.number;
	writer->salt = header.salt;
	writer->size = header.octets;
	writer->end = SPOOL_FIRST_OFFSET;
	writer->dirty = true;
	writer->sealed = false;
	return ERR_OK;
}

// Only one segment is ever unsynced: this one is made durable whole before the next begins.
static enum err finish_segment(struct spool_writer *writer)
{
	if (!writer->sealed)
		TRY(seal_at(writer, writer->end));
	if (writer->disk->sync_data(writer->disk, writer->file) != 0)
		return ERR_DISK_IO;
	writer->disk->close(writer->disk, writer->file);
	writer->file = -1;
	writer->dirty = false;
	writer->previous_octets = writer->end;
	// All but the request that asks for room.
	writer->settled = writer->answer_count > 0 ? writer->answer_count - 1 : 0;
	return ERR_OK;
}

// record_octets: the record that must fit into the next segment.
static enum err roll(struct spool_writer *writer, uint64_t record_octets, int64_t wall_s)
{
	enum err err = flush(writer);

	if (err == ERR_OK && writer->file >= 0)
		err = finish_segment(writer);
	if (err == ERR_OK)
		err = start_segment(writer, record_octets, wall_s);
	if (err != ERR_OK)
		disk_failed(writer, err);
	return err;
}

static void gather(
	struct spool_writer *writer, const struct spool_record *record, void *payload, void *owned)
{
	static uint8_t zeros[SPOOL_ALIGN]; // only read; struct iovec has no const for it
	struct batch *batch = &writer->batch;
	uint64_t span = spool_record_span(record->octets);
	uint64_t padding = span - sizeof(*record) - record->octets;
	struct iovec *iov = &batch->iov[batch->iov_count];

	if (batch->count == 0)
		batch->offset = record->offset;
	batch->records[batch->count] = *record;
	batch->owned[batch->count] = owned;
	batch->answers[batch->count] = writer->answer_count - 1;
	*iov++ = (struct iovec){&batch->records[batch->count], sizeof(*record)};
	*iov++ = (struct iovec){payload, record->octets};
	if (padding > 0)
		*iov++ = (struct iovec){zeros, padding};
	batch->iov_count = (uint32_t)(iov - batch->iov);
	batch->count++;
	batch->octets += span;
	writer->end += span;
}

// Place a record behind the last one. owned: what to free when it is written, NULL for a chunk. On ERR_OK the writer has it.
static enum err append(struct spool_writer *writer, struct spool_record *record, void *payload,
	void *owned, int64_t wall_s)
{
	uint64_t span = spool_record_span(record->octets);

	if (writer->state == ERR_OK && (writer->batch.count == BATCH_RECORDS ||
					       writer->batch.octets + span > BATCH_OCTETS))
		TRY(flush(writer));
	if (writer->state == ERR_OK && writer->end + span + SEAL_OCTETS > writer->size)
		TRY(roll(writer, span, wall_s));
	if (writer->state != ERR_OK)
		return writer->state;
	record->payload_crc32c = crc32c(0, payload, record->octets);
	record->durable = (uint32_t)(writer->durable / SPOOL_ALIGN);
	record->offset = writer->end;
	record->segment = writer->segment;
	record->salt = writer->salt;
	spool_record_seal(record);
	gather(writer, record, payload, owned);
	return ERR_OK;
}

static enum err put_chunk(
	struct spool_writer *writer, const struct spool_request *request, int64_t wall_s)
{
	struct open_message *message = message_table_find(writer->messages, request->message_id);
	struct spool_record record = {
		.octets = request->buf->octets,
		.type = SPOOL_RECORD_CHUNK,
		.message_id = request->message_id,
		.epoch = request->epoch,
	};

	if (message == NULL)
		message = message_table_add(writer->messages, request->message_id);
	if (message == NULL)
		return ERR_NO_MEMORY;
	if (record.octets == 0 || message->failed != ERR_OK)
		return message->failed;
	message->failed = append(writer, &record, request->buf->data, NULL, wall_s);
	if (message->failed == ERR_OK) {
		const struct spool_extent extent = {record.segment, record.offset + sizeof(record),
			record.octets, record.payload_crc32c};

		message->failed = message_table_extend(writer->messages, message, &extent);
	}
	return message->failed;
}

static void note_need(
	struct spool_writer *writer, const struct open_message *message, uint32_t i, uint64_t by)
{
	uint64_t segment = message->extents[i].segment;

	if (segment != by && (i == 0 || message->extents[i - 1].segment != segment))
		segment_table_need(&writer->segments, segment, by);
}

static enum err write_commit(struct spool_writer *writer, const struct spool_request *request,
	const struct open_message *message, int64_t wall_s)
{
	struct spool_answer *answer = &writer->answers[writer->answer_count - 1];
	struct spool_record record = {
		.type = SPOOL_RECORD_COMMIT,
		.message_id = request->message_id,
		.epoch = request->epoch,
	};
	uint8_t *payload;
	enum err err;

	TRY(commit_payload(request, message, wall_s, &payload, &record.octets));
	err = append(writer, &record, payload, payload, wall_s);
	if (err != ERR_OK) {
		free(payload);
		return err;
	}
	answer->segment = record.segment;
	answer->offset = record.offset;
	for (uint32_t i = 0; message != NULL && i < message->extent_count; i++)
		note_need(writer, message, i, record.segment);
	return ERR_OK;
}

static enum err put_commit(
	struct spool_writer *writer, const struct spool_request *request, int64_t wall_s)
{
	struct open_message *message = message_table_find(writer->messages, request->message_id);
	enum err err = message != NULL ? message->failed : ERR_OK;

	if (err == ERR_OK && request->body_octets != (message != NULL ? message->body_octets : 0))
		err = ERR_NO_MEMORY;
	if (err == ERR_OK)
		err = write_commit(writer, request, message, wall_s);
	if (message != NULL)
		message_table_remove(writer->messages, message);
	return err;
}

static enum err put_abort(struct spool_writer *writer, const struct spool_request *request)
{
	struct open_message *message = message_table_find(writer->messages, request->message_id);

	if (message != NULL)
		message_table_remove(writer->messages, message);
	return ERR_OK;
}

void spool_writer_put(
	struct spool_writer *writer, const struct spool_request *request, int64_t wall_s)
{
	struct spool_answer *answer;
	enum err err;

	assert(writer->answer_count < LIMIT_SPOOL_BATCH);
	answer = &writer->answers[writer->answer_count++];
	*answer = (struct spool_answer){
		.kind = request->kind,
		.home = request->home,
		.conn = request->conn,
		.generation = request->generation,
		.message_id = request->message_id,
		.buf = request->buf,
	};
	if (request->kind == SPOOL_PUT_CHUNK)
		err = put_chunk(writer, request, wall_s);
	else if (request->kind == SPOOL_PUT_COMMIT)
		err = put_commit(writer, request, wall_s);
	else
		err = put_abort(writer, request);
	answer->status = err;
}

static bool has_commit(const struct spool_writer *writer)
{
	for (uint32_t i = 0; i < writer->answer_count; i++) {
		if (writer->answers[i].kind == SPOOL_PUT_COMMIT &&
			writer->answers[i].status == ERR_OK)
			return true;
	}
	return false;
}

static void make_durable(struct spool_writer *writer)
{
	if (!writer->dirty || writer->state == ERR_DISK_IO)
		return;
	if (writer->disk->sync_data(writer->disk, writer->file) != 0) {
		broke(writer);
		return;
	}
	writer->durable = writer->end;
	writer->dirty = false;
	writer->settled = writer->answer_count;
}

static void report(struct spool_writer *writer, spool_answer_fn *answer, void *user)
{
	for (uint32_t i = 0; i < writer->answer_count; i++) {
		struct spool_answer *a = &writer->answers[i];

		if (i >= writer->settled && a->kind == SPOOL_PUT_COMMIT &&
			writer->state == ERR_DISK_IO)
			a->status = ERR_DISK_IO;
		answer(user, a);
	}
	writer->answer_count = 0;
	writer->settled = 0;
}

void spool_writer_sync(
	struct spool_writer *writer, int64_t wall_s, spool_answer_fn *answer, void *user)
{
	(void)!flush(writer); // failures are in the answers and in state
	// Also when it is full: what was refused for that must not come back after a power cut.
	if (has_commit(writer) || writer->state == ERR_DISK_FULL)
		make_durable(writer);
	report(writer, answer, user);
	if (writer->state == ERR_DISK_FULL && wall_s != writer->retried_s) {
		writer->retried_s = wall_s;
		if (roll(writer, 0, wall_s) == ERR_OK)
			writer->state = ERR_OK;
	}
}

bool spool_writer_segment_done(struct spool_writer *writer, uint64_t segment, uint64_t seen)
{
	struct segment_entry *entry = segment_table_find(&writer->segments, segment);
	char name[SPOOL_FILE_NAME_MAX];
	int result;

	if (entry == NULL)
		return true;
	if (writer->state == ERR_DISK_IO || segment == segment_table_highest(&writer->segments))
		return false;
	if (segment >= seen || entry->needed_by >= seen)
		return false;
	if (message_table_uses(writer->messages, segment))
		return false;
	spool_file_name(segment, SEGMENT_SUFFIX, name);
	result = writer->disk->unlink(writer->disk, writer->dir, name);
	if (result != 0 && result != -ENOENT)
		return false;
	// Back after a crash, its messages would be delivered again when their outcomes are forgotten.
	if (writer->disk->sync_dir(writer->disk, writer->dir) != 0) {
		broke(writer);
		return false;
	}
	segment_table_remove(&writer->segments, entry);
	return true;
}

static enum err start(struct spool_writer *writer, int64_t wall_s)
{
	enum err err;

	TRY(spool_file_open_dir(writer->disk, writer->config.directory, "segments", &writer->dir));
	writer->lock = writer->disk->lock(writer->disk, writer->dir, "lock");
	if (writer->lock < 0)
		return spool_file_err(writer->lock);
	TRY(segment_table_load(&writer->segments, writer->disk, writer->dir, &writer->boot));
	writer->segment = segment_table_highest(&writer->segments);
	err = start_segment(writer, 0, wall_s);
	if (err != ERR_DISK_FULL)
		return err;
	writer->state = ERR_DISK_FULL;
	writer->retried_s = wall_s;
	return ERR_OK;
}

enum err spool_writer_open(
	const struct spool_writer_config *config, int64_t wall_s, struct spool_writer **writer)
{
	struct spool_writer *made = calloc(1, sizeof(*made));
	enum err err;

	if (made == NULL)
		return ERR_NO_MEMORY;
	made->config = *config;
	made->disk = config->disk;
	made->dir = made->lock = made->file = -1;
	// The highest segment never goes, so one alone could never make room for another.
	if (config->max_octets != 0 && config->max_octets < 2 * config->segment_octets)
		made->config.max_octets = 2 * config->segment_octets;
	made->messages = message_table_new();
	err = made->messages != NULL ? start(made, wall_s) : ERR_NO_MEMORY;
	if (err != ERR_OK) {
		spool_writer_close(made);
		return err;
	}
	*writer = made;
	return ERR_OK;
}

uint64_t spool_writer_boot(const struct spool_writer *writer)
{
	return writer->boot;
}

uint64_t spool_writer_segment(const struct spool_writer *writer)
{
	return writer->segment;
}

uint32_t spool_writer_room(const struct spool_writer *writer)
{
	return LIMIT_SPOOL_BATCH - writer->answer_count;
}

bool spool_writer_is_accepting(const struct spool_writer *writer)
{
	return writer->state == ERR_OK;
}

bool spool_writer_is_broken(const struct spool_writer *writer)
{
	return writer->state == ERR_DISK_IO;
}

static void close_handle(struct spool_writer *writer, int handle)
{
	if (handle >= 0)
		writer->disk->close(writer->disk, handle);
}

void spool_writer_close(struct spool_writer *writer)
{
	if (flush(writer) == ERR_OK && writer->state == ERR_OK && writer->file >= 0)
		(void)!seal_at(writer, writer->end); // only tells readers to look no further
	close_handle(writer, writer->file);
	close_handle(writer, writer->lock);
	close_handle(writer, writer->dir);
	if (writer->messages != NULL)
		message_table_free(writer->messages);
	free(writer->segments.entries);
	free(writer);
}
