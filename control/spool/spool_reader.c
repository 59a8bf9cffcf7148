#include "spool/spool_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "spool/record_scan.h"
#include "spool/segment_table.h"
#include "spool/spool_file.h"
#include "spool/spool_message.h"

enum {
	FILES_OPEN = 8,
};

// A segment kept open between calls.
struct open_segment {
	uint64_t segment; // 0: free
	uint64_t salt;
	uint64_t used; // tick of the last use
	int file;
};

struct spool_reader {
	struct disk *disk;
	int dir;
	uint64_t tick;
	struct open_segment files[FILES_OPEN];
	struct spool_extent loaded; // what is in extent; octets 0: nothing
	uint32_t room;
	uint8_t *extent; // grows to the largest extent
};

enum err spool_reader_open(struct disk *disk, const char *directory, struct spool_reader **reader)
{
	struct spool_reader *made = calloc(1, sizeof(*made));
	enum err err;

	if (made == NULL)
		return ERR_NO_MEMORY;
	made->disk = disk;
	err = spool_file_open_dir(disk, directory, "segments", &made->dir);
	if (err != ERR_OK) {
		free(made);
		return err;
	}
	*reader = made;
	return ERR_OK;
}

static void let_go(struct spool_reader *reader, struct open_segment *open)
{
	if (open->segment != 0)
		reader->disk->close(reader->disk, open->file);
	*open = (struct open_segment){.segment = 0};
}

void spool_reader_close(struct spool_reader *reader)
{
	for (int i = 0; i < FILES_OPEN; i++)
		let_go(reader, &reader->files[i]);
	reader->disk->close(reader->disk, reader->dir);
	free(reader->extent);
	free(reader);
}

void spool_reader_segment_gone(struct spool_reader *reader, uint64_t segment)
{
	for (int i = 0; i < FILES_OPEN; i++) {
		if (reader->files[i].segment == segment)
			let_go(reader, &reader->files[i]);
	}
}

static int open_file(const struct spool_reader *reader, uint64_t segment)
{
	char name[SPOOL_FILE_NAME_MAX];

	spool_file_name(segment, SEGMENT_SUFFIX, name);
	return reader->disk->open(reader->disk, reader->dir, name, O_RDONLY);
}

static struct open_segment *least_used(struct spool_reader *reader)
{
	struct open_segment *least = &reader->files[0];

	for (int i = 1; i < FILES_OPEN; i++) {
		if (reader->files[i].used < least->used)
			least = &reader->files[i];
	}
	return least;
}

static enum err find_file(
	struct spool_reader *reader, uint64_t segment, struct open_segment **found)
{
	struct record_scan_file scan = {.number = segment};
	struct open_segment *open;
	uint64_t salt;
	enum err err;

	reader->tick++;
	for (int i = 0; i < FILES_OPEN; i++) {
		if (segment != 0 && reader->files[i].segment == segment) {
			*found = &reader->files[i];
			(*found)->used = reader->tick;
			return ERR_OK;
		}
	}
	scan.file = open_file(reader, segment);
	if (scan.file < 0)
		return spool_file_err(scan.file);
	err = record_scan_salt(reader->disk, &scan, &salt, NULL);
	if (err != ERR_OK && err != ERR_SPOOL_CORRUPT) {
		reader->disk->close(reader->disk, scan.file);
		return err == ERR_NOT_FOUND ? ERR_SPOOL_CORRUPT : err;
	}
	open = least_used(reader);
	let_go(reader, open);
	*open = (struct open_segment){segment, salt, reader->tick, scan.file};
	*found = open;
	return ERR_OK;
}

static enum err read_all(
	struct spool_reader *reader, int file, void *to, size_t octets, uint64_t offset)
{
	size_t done = 0;

	while (done < octets) {
		ssize_t n = reader->disk->pread(
			reader->disk, file, (uint8_t *)to + done, octets - done, offset + done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return ERR_DISK_IO;
		if (n == 0)
			return ERR_SPOOL_CORRUPT;
		done += (size_t)n;
	}
	return ERR_OK;
}

static enum err make_room(struct spool_reader *reader, uint32_t octets)
{
	uint8_t *more;

	if (octets <= reader->room)
		return ERR_OK;
	more = realloc(reader->extent, octets);
	if (more == NULL)
		return ERR_NO_MEMORY;
	reader->extent = more;
	reader->room = octets;
	return ERR_OK;
}

// Puts the octets of one extent into reader->extent, checked.
static enum err load_extent(struct spool_reader *reader, const struct spool_extent *extent)
{
	struct open_segment *open;

	if (reader->loaded.octets > 0 &&
		memcmp(&reader->loaded, extent, sizeof(reader->loaded)) == 0)
		return ERR_OK;
	reader->loaded.octets = 0;
	TRY(make_room(reader, extent->octets));
	TRY(find_file(reader, extent->segment, &open));
	TRY(read_all(reader, open->file, reader->extent, extent->octets, extent->offset));
	if (crc32c(0, reader->extent, extent->octets) != extent->crc32c)
		return ERR_SPOOL_CORRUPT;
	reader->loaded = *extent;
	return ERR_OK;
}

struct scanning {
	struct spool_reader *reader;
	const struct spool_scan *scan;
	uint64_t segment;
	uint64_t good;   // no bad record of this segment was below
	bool reported;   // damage of this segment
	bool suspicious; // something was bad, here or before: look at the chunks of every message
};

// The first chunk that is damaged; NULL: none. A segment that is gone was done: its messages have their outcomes. The
// deliverer knows; what it finds missing all the same it finds when it reads the body.
static const struct spool_extent *find_damage(
	struct spool_reader *reader, const struct spool_message *message)
{
	for (uint32_t i = 0; i < message->commit.extent_count; i++) {
		enum err err = load_extent(reader, &message->extents[i]);

		if (err != ERR_OK && err != ERR_NOT_FOUND)
			return &message->extents[i];
	}
	return NULL;
}

static void report(struct scanning *scanning, uint64_t offset)
{
	scanning->reported = true;
	scanning->scan->corrupt(scanning->scan->user, scanning->segment, offset);
}

static void scan_record(void *user, const struct spool_record *record, const uint8_t *payload)
{
	struct scanning *scanning = user;
	const struct spool_scan *scan = scanning->scan;
	const struct spool_extent *damage;
	struct spool_message *message;

	if (record->type != SPOOL_RECORD_COMMIT)
		return;
	if (spool_message_parse(record, (struct slice){payload, record->octets}, &message) !=
		ERR_OK) {
		report(scanning, record->offset);
		return;
	}
	damage = scanning->suspicious ? find_damage(scanning->reader, message) : NULL;
	// Earlier segments had been synced before this record was written; this one speaks for itself.
	if (damage == NULL)
		scan->message(scan->user, message);
	else if (damage->segment < message->segment)
		report(scanning, record->offset);
	spool_message_free(message);
}

static void scan_bad(void *user, uint64_t offset, bool lost)
{
	struct scanning *scanning = user;

	scanning->suspicious = true;
	if (lost)
		report(scanning, offset);
	if (offset < scanning->good)
		scanning->good = offset;
}

// The next segment says how far the one before was synced.
static void look_back(struct scanning *scanning, const struct spool_segment_header *header)
{
	if (header->segment != scanning->segment + 1 || scanning->good >= header->previous_octets)
		return;
	scanning->suspicious = true;
	if (!scanning->reported)
		report(scanning, scanning->good);
}

static enum err scan_segment(
	struct scanning *scanning, struct record_scan *walker, uint64_t segment)
{
	struct disk *disk = scanning->reader->disk;
	const struct spool_scan *scan = scanning->scan;
	struct spool_segment_header header = {.boot = 0};
	struct record_scan_file file = {
		.file = open_file(scanning->reader, segment),
		.number = segment,
		.record = scan_record,
		.bad = scan_bad,
		.user = scanning,
	};
	uint64_t salt, end;
	int64_t size;

	if (file.file == -ENOENT)
		return ERR_OK; // unlinked since it was listed
	if (file.file < 0)
		return spool_file_err(file.file);
	if (record_scan_salt(disk, &file, &salt, &header) == ERR_OK)
		look_back(scanning, &header);
	scanning->segment = segment;
	scanning->good = UINT64_MAX;
	scanning->reported = false;
	size = disk->size(disk, file.file);
	scan->segment(scan->user, segment, size > 0 ? (uint64_t)size : 0);
	end = record_scan_walk(walker, &file);
	if (end < scanning->good)
		scanning->good = end;
	disk->close(disk, file.file);
	return ERR_OK;
}

enum err spool_reader_scan(struct spool_reader *reader, const struct spool_scan *scan)
{
	struct scanning scanning = {.reader = reader, .scan = scan};
	struct record_scan *walker = record_scan_new(reader->disk);
	uint64_t *numbers = NULL;
	uint32_t count = 0;
	enum err err;

	if (walker == NULL)
		return ERR_NO_MEMORY;
	err = spool_file_list(reader->disk, reader->dir, SEGMENT_SUFFIX, &numbers, &count);
	for (uint32_t i = 0; i < count && err == ERR_OK; i++)
		err = scan_segment(&scanning, walker, numbers[i]);
	free(numbers);
	record_scan_free(walker);
	return err;
}

enum err spool_reader_message(struct spool_reader *reader, uint64_t segment, uint64_t offset,
	struct spool_message **message)
{
	struct spool_record record;
	struct open_segment *open;
	uint8_t *payload;
	enum err err;

	TRY(find_file(reader, segment, &open));
	TRY(read_all(reader, open->file, &record, sizeof(record), offset));
	if (!spool_record_is_valid(&record) || record.type != SPOOL_RECORD_COMMIT ||
		record.segment != segment || record.offset != offset || record.salt != open->salt)
		return ERR_SPOOL_CORRUPT;
	payload = malloc(record.octets + 1U);
	if (payload == NULL)
		return ERR_NO_MEMORY;
	err = read_all(reader, open->file, payload, record.octets, offset + sizeof(record));
	if (err == ERR_OK && crc32c(0, payload, record.octets) != record.payload_crc32c)
		err = ERR_SPOOL_CORRUPT;
	if (err == ERR_OK)
		err = spool_message_parse(&record, (struct slice){payload, record.octets}, message);
	free(payload);
	return err;
}

enum err spool_reader_body(struct spool_reader *reader, const struct spool_message *message,
	uint64_t from, void *to, uint32_t len)
{
	uint8_t *at = to;

	for (uint32_t i = 0; i < message->commit.extent_count && len > 0; i++) {
		const struct spool_extent *extent = &message->extents[i];
		uint32_t part;

		if (from >= extent->octets) {
			from -= extent->octets;
			continue;
		}
		TRY(load_extent(reader, extent));
		part = extent->octets - (uint32_t)from;
		part = part < len ? part : len;
		memcpy(at, reader->extent + from, part);
		at += part;
		len -= part;
		from = 0;
	}
	return len == 0 ? ERR_OK : ERR_NOT_FOUND;
}
