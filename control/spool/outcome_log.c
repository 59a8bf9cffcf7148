#include "spool/outcome_log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/limits.h"
#include "spool/record_scan.h"
#include "spool/spool_file.h"

enum {
	PREALLOCATE_OCTETS = 65536, // at a time; a sync within it need not write a new length
	COPY_OCTETS = 256 * 1024,   // compaction writes in pieces of this size
};

static const char suffix[] = ".out";

// The file that is written, and what is gathered for it.
struct out {
	int file; // < 0: none
	uint64_t number, salt;
	uint64_t end;     // written up to here
	uint64_t durable; // synced up to here
	uint64_t size;    // preallocated
	uint8_t *gathered;
	size_t octets, room;
	enum err failed;
};

struct outcome_log {
	struct disk *disk;
	int dir, lock;
	uint64_t highest; // number of any file there is
	uint64_t corrupt;
	struct record_scan *scan;
	struct out out;
};

static enum err out_start(struct outcome_log *log, struct out *out)
{
	struct spool_file_header header = {.number = ++log->highest, .octets = PREALLOCATE_OCTETS};

	*out = (struct out){.file = -1,
		.number = header.number,
		.end = SPOOL_FIRST_OFFSET,
		.size = PREALLOCATE_OCTETS};
	TRY(spool_file_create(log->disk, log->dir, suffix, &header, &out->file));
	out->salt = header.salt;
	return ERR_OK;
}

static void out_stop(struct outcome_log *log, struct out *out)
{
	if (out->file >= 0)
		log->disk->close(log->disk, out->file);
	free(out->gathered);
	*out = (struct out){.file = -1};
}

static uint8_t *out_reserve(struct out *out, size_t octets)
{
	size_t room = out->room == 0 ? 4096 : out->room;
	uint8_t *more;

	while (room - out->octets < octets)
		room *= 2;
	if (room != out->room) {
		more = realloc(out->gathered, room);
		if (more == NULL)
			return NULL;
		out->gathered = more;
		out->room = room;
	}
	out->octets += octets;
	return out->gathered + out->octets - octets;
}

static void out_put(struct out *out, const struct spool_outcome_entry *entry)
{
	size_t text = entry->text != NULL ? strnlen(entry->text, LIMIT_OUTCOME_TEXT_OCTETS) : 0;
	struct spool_record record = {
		.octets = (uint32_t)(sizeof(entry->outcome) + text),
		.type = SPOOL_RECORD_OUTCOME,
		.durable = (uint32_t)(out->durable / SPOOL_ALIGN),
		.message_id = entry->id,
		.offset = out->end + out->octets,
		.segment = out->number,
		.salt = out->salt,
	};
	size_t span = spool_record_span(record.octets);
	uint8_t *at = out_reserve(out, span);

	if (at == NULL) {
		out->failed = ERR_NO_MEMORY;
		return;
	}
	memset(at + span - SPOOL_ALIGN, 0, SPOOL_ALIGN);
	memcpy(at + sizeof(record), &entry->outcome, sizeof(entry->outcome));
	if (text > 0)
		memcpy(at + sizeof(record) + sizeof(entry->outcome), entry->text, text);
	record.payload_crc32c = crc32c(0, at + sizeof(record), record.octets);
	spool_record_seal(&record);
	memcpy(at, &record, sizeof(record));
}

// Write what is gathered; after an error it is kept, to be written to the same place again.
static enum err out_write(struct outcome_log *log, struct out *out)
{
	struct iovec iov = {out->gathered, out->octets};
	struct spool_file_write write = {.iov = &iov, .count = 1, .offset = out->end};

	if (out->failed != ERR_OK)
		return out->failed;
	if (out->octets == 0)
		return ERR_OK;
	// When that fails the write says why.
	if (out->size < out->end + out->octets) {
		out->size = out->end + out->octets + PREALLOCATE_OCTETS;
		log->disk->preallocate(log->disk, out->file, out->size);
	}
	TRY(spool_file_write(log->disk, out->file, &write));
	out->end += out->octets;
	out->octets = 0;
	return ERR_OK;
}

struct replay {
	struct outcome_log *log;
	outcome_entry_fn *each;
	void *user;
};

static void replay_record(void *user, const struct spool_record *record, const uint8_t *payload)
{
	struct replay *replay = user;
	struct spool_outcome_entry entry = {.id = record->message_id};
	char text[LIMIT_OUTCOME_TEXT_OCTETS + 1];
	size_t octets = record->octets - sizeof(entry.outcome);

	if (record->type != SPOOL_RECORD_OUTCOME)
		return;
	if (record->octets < sizeof(entry.outcome) || octets > LIMIT_OUTCOME_TEXT_OCTETS) {
		replay->log->corrupt++;
		return;
	}
	memcpy(&entry.outcome, payload, sizeof(entry.outcome));
	memcpy(text, payload + sizeof(entry.outcome), octets);
	text[octets] = '\0';
	entry.text = text;
	replay->each(replay->user, &entry);
}

static void replay_bad(void *user, uint64_t offset, bool lost)
{
	struct replay *replay = user;

	(void)offset;
	replay->log->corrupt += lost;
}

static enum err replay_file(struct replay *replay, uint64_t number)
{
	struct outcome_log *log = replay->log;
	struct record_scan_file file = {
		.number = number,
		.record = replay_record,
		.bad = replay_bad,
		.user = replay,
	};
	char name[SPOOL_FILE_NAME_MAX];

	spool_file_name(number, suffix, name);
	file.file = log->disk->open(log->disk, log->dir, name, O_RDONLY);
	if (file.file < 0)
		return spool_file_err(file.file);
	record_scan_walk(log->scan, &file);
	log->disk->close(log->disk, file.file);
	return ERR_OK;
}

// All files up to and with `last`.
static enum err replay_all(struct replay *replay, uint64_t last)
{
	struct outcome_log *log = replay->log;
	uint64_t *numbers = NULL;
	uint32_t count = 0;
	enum err err = spool_file_list(log->disk, log->dir, suffix, &numbers, &count);

	for (uint32_t i = 0; i < count && err == ERR_OK; i++) {
		if (numbers[i] <= last)
			err = replay_file(replay, numbers[i]);
		if (numbers[i] > log->highest)
			log->highest = numbers[i];
	}
	free(numbers);
	return err;
}

static enum err start(
	struct outcome_log *log, const char *directory, outcome_entry_fn *each, void *user)
{
	struct replay replay = {log, each, user};

	TRY(spool_file_open_dir(log->disk, directory, "outcomes", &log->dir));
	log->lock = log->disk->lock(log->disk, log->dir, "lock");
	if (log->lock < 0)
		return spool_file_err(log->lock);
	log->scan = record_scan_new(log->disk);
	if (log->scan == NULL)
		return ERR_NO_MEMORY;
	TRY(replay_all(&replay, UINT64_MAX));
	TRY(out_start(log, &log->out));
	return spool_file_err(log->disk->sync_dir(log->disk, log->dir));
}

enum err outcome_log_open(struct disk *disk, const char *directory, outcome_entry_fn *each,
	void *user, struct outcome_log **log)
{
	struct outcome_log *made = calloc(1, sizeof(*made));
	enum err err;

	if (made == NULL)
		return ERR_NO_MEMORY;
	made->disk = disk;
	made->dir = made->lock = made->out.file = -1;
	err = start(made, directory, each, user);
	if (err != ERR_OK) {
		outcome_log_close(made);
		return err;
	}
	*log = made;
	return ERR_OK;
}

uint64_t outcome_log_corrupt(const struct outcome_log *log)
{
	return log->corrupt;
}

void outcome_log_put(struct outcome_log *log, const struct spool_outcome_entry *entry)
{
	out_put(&log->out, entry);
}

enum err outcome_log_sync(struct outcome_log *log)
{
	struct out *out = &log->out;
	enum err err = out_write(log, out);

	// A disk that is full only now has lost pages as any other that fails a sync.
	if (err == ERR_OK && out->durable != out->end &&
		log->disk->sync_data(log->disk, out->file) != 0)
		err = ERR_DISK_IO;
	if (err == ERR_OK)
		out->durable = out->end;
	else if (err != ERR_DISK_FULL)
		out->failed = err;
	return err;
}

// Copies what is still spoken of; the first failure is in out->failed.
struct copying {
	struct outcome_log *log;
	struct out out;
	outcome_keep_fn *keep;
	void *user;
};

static void copy_entry(void *user, const struct spool_outcome_entry *entry)
{
	struct copying *copying = user;

	if (copying->keep(copying->user, entry->id) == 0)
		return;
	out_put(&copying->out, entry);
	if (copying->out.octets >= COPY_OCTETS && copying->out.failed == ERR_OK)
		copying->out.failed = out_write(copying->log, &copying->out);
}

static enum err copy_all(struct copying *copying, uint64_t last)
{
	struct outcome_log *log = copying->log;
	struct replay replay = {log, copy_entry, copying};

	TRY(replay_all(&replay, last));
	TRY(out_write(log, &copying->out));
	if (log->disk->sync_data(log->disk, copying->out.file) != 0)
		return ERR_DISK_IO;
	copying->out.durable = copying->out.end;
	return log->disk->sync_dir(log->disk, log->dir) == 0 ? ERR_OK : ERR_DISK_IO;
}

static void unlink_number(struct outcome_log *log, uint64_t number)
{
	char name[SPOOL_FILE_NAME_MAX];

	spool_file_name(number, suffix, name);
	log->disk->unlink(log->disk, log->dir, name);
}

// Not synced: an old file that comes back after a crash says nothing new.
static enum err unlink_up_to(struct outcome_log *log, uint64_t last)
{
	uint64_t *numbers = NULL;
	uint32_t count = 0;

	TRY(spool_file_list(log->disk, log->dir, suffix, &numbers, &count));
	for (uint32_t i = 0; i < count && numbers[i] <= last; i++)
		unlink_number(log, numbers[i]);
	free(numbers);
	return ERR_OK;
}

enum err outcome_log_compact(struct outcome_log *log, outcome_keep_fn *keep, void *user)
{
	struct copying copying = {.log = log, .keep = keep, .user = user};
	uint64_t corrupt = log->corrupt;
	uint64_t last;
	enum err err;

	TRY(outcome_log_sync(log));
	last = log->highest;
	err = out_start(log, &copying.out);
	if (err == ERR_OK)
		err = copy_all(&copying, last);
	log->corrupt = corrupt; // counted when it was opened
	if (err != ERR_OK) {
		if (copying.out.file >= 0)
			unlink_number(log, copying.out.number);
		out_stop(log, &copying.out);
		// A failed sync of the directory must not be tried again.
		if (err == ERR_DISK_IO)
			log->out.failed = err;
		return err;
	}
	out_stop(log, &log->out);
	log->out = copying.out;
	return unlink_up_to(log, last);
}

void outcome_log_close(struct outcome_log *log)
{
	out_stop(log, &log->out);
	if (log->lock >= 0)
		log->disk->close(log->disk, log->lock);
	if (log->dir >= 0)
		log->disk->close(log->disk, log->dir);
	if (log->scan != NULL)
		record_scan_free(log->scan);
	free(log);
}
