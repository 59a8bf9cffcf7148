#include "spool/record_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

enum {
	AHEAD_OCTETS = 128 * 1024,
	BLOCK_OCTETS = 4096, // what is given up when the disk cannot read it
};

struct record_scan {
	struct disk *disk;
	const struct record_scan_file *file;
	uint64_t salt;
	uint64_t start; // of the window in the file
	size_t octets;  // in the window
	uint64_t unreadable;
	uint64_t torn; // lowest offset passed over and not proven lost; 0: none
	size_t room;
	uint8_t *window; // grows to the largest record
};

enum probe {
	PROBE_GOOD,
	PROBE_BAD_PAYLOAD, // the header is whole: the next record is where it says
	PROBE_NONE,
};

struct record_scan *record_scan_new(struct disk *disk)
{
	struct record_scan *scan = calloc(1, sizeof(*scan));

	if (scan == NULL)
		return NULL;
	scan->disk = disk;
	scan->room = AHEAD_OCTETS;
	scan->window = malloc(scan->room);
	if (scan->window == NULL) {
		free(scan);
		return NULL;
	}
	return scan;
}

void record_scan_free(struct record_scan *scan)
{
	free(scan->window);
	free(scan);
}

static bool grow(struct record_scan *scan, size_t octets)
{
	uint8_t *more;

	if (octets <= scan->room)
		return true;
	more = realloc(scan->window, octets);
	if (more == NULL)
		return false;
	scan->window = more;
	scan->room = octets;
	return true;
}

static size_t read_block(struct record_scan *scan, uint64_t offset, uint8_t *to, size_t octets)
{
	ssize_t n = scan->disk->pread(scan->disk, scan->file->file, to, octets, offset);

	if (n >= 0)
		return (size_t)n;
	if (n == -EINTR)
		return read_block(scan, offset, to, octets);
	octets = octets < BLOCK_OCTETS ? octets : BLOCK_OCTETS;
	n = scan->disk->pread(scan->disk, scan->file->file, to, octets, offset);
	if (n >= 0)
		return (size_t)n;
	scan->unreadable++;
	memset(to, 0, octets);
	return octets;
}

static void fill(struct record_scan *scan, uint64_t offset, size_t octets)
{
	int64_t size = scan->disk->size(scan->disk, scan->file->file);
	size_t want = octets > AHEAD_OCTETS ? octets : AHEAD_OCTETS;

	scan->start = offset;
	scan->octets = 0;
	if (size <= 0 || (uint64_t)size <= offset)
		return;
	if (!grow(scan, octets)) {
		scan->unreadable++; // no memory for it: not known to be bad, and so kept
		return;
	}
	want = (uint64_t)size - offset < want ? (size_t)((uint64_t)size - offset) : want;
	while (scan->octets < want) {
		size_t n = read_block(scan, offset + scan->octets, scan->window + scan->octets,
			want - scan->octets);

		if (n == 0)
			return;
		scan->octets += n;
	}
}

// NULL: the file ends before that.
static const uint8_t *look(struct record_scan *scan, uint64_t offset, size_t octets)
{
	if (scan->octets == 0 || offset < scan->start ||
		offset + octets > scan->start + scan->octets)
		fill(scan, offset, octets);
	if (offset + octets > scan->start + scan->octets)
		return NULL;
	return scan->window + (offset - scan->start);
}

static bool is_here(
	const struct spool_record *record, const struct record_scan_file *file, uint64_t offset)
{
	return spool_record_is_valid(record) && record->offset == offset &&
	       record->segment == file->number;
}

static enum probe probe(struct record_scan *scan, uint64_t offset, struct spool_record *record)
{
	const uint8_t *at = look(scan, offset, sizeof(*record));

	if (at == NULL)
		return PROBE_NONE;
	memcpy(record, at, sizeof(*record));
	if (record->magic != SPOOL_MAGIC || record->salt != scan->salt)
		return PROBE_NONE;
	if (!is_here(record, scan->file, offset) || record->type == SPOOL_RECORD_HEADER)
		return PROBE_NONE;
	at = look(scan, offset, sizeof(*record) + record->octets);
	if (at == NULL)
		return PROBE_BAD_PAYLOAD;
	at += sizeof(*record);
	return crc32c(0, at, record->octets) == record->payload_crc32c ? PROBE_GOOD
								       : PROBE_BAD_PAYLOAD;
}

static uint64_t step(enum probe found, const struct spool_record *record)
{
	return found == PROBE_NONE ? SPOOL_ALIGN : spool_record_span(record->octets);
}

// Most of what is searched is preallocated zeros. 0: no more magic.
static uint64_t next_magic(struct record_scan *scan, uint64_t offset)
{
	const uint32_t magic = SPOOL_MAGIC;
	const uint8_t *at;

	while ((at = look(scan, offset, sizeof(struct spool_record))) != NULL) {
		size_t octets = (size_t)(scan->start + scan->octets - offset);
		size_t i = 0;

		for (; i + sizeof(struct spool_record) <= octets; i += SPOOL_ALIGN) {
			if (memcmp(at + i, &magic, sizeof(magic)) == 0)
				return offset + i;
		}
		offset += i;
	}
	return 0;
}

// The first valid record at or behind offset; 0: none.
static uint64_t next_good(struct record_scan *scan, uint64_t offset)
{
	struct spool_record record;

	while ((offset = next_magic(scan, offset)) != 0) {
		enum probe found = probe(scan, offset, &record);

		if (found == PROBE_GOOD)
			return offset;
		offset += step(found, &record);
	}
	return 0;
}

static void pass_over(struct record_scan *scan, uint64_t offset)
{
	scan->file->bad(scan->file->user, offset, false);
	if (scan->torn == 0)
		scan->torn = offset;
}

static void found_good(struct record_scan *scan, uint64_t offset, const struct spool_record *record)
{
	const struct record_scan_file *file = scan->file;

	if (scan->torn != 0 && (uint64_t)record->durable * SPOOL_ALIGN > scan->torn) {
		file->bad(file->user, scan->torn, true);
		scan->torn = 0;
	}
	file->record(file->user, record,
		look(scan, offset, sizeof(*record) + record->octets) + sizeof(*record));
}

static uint64_t walk_from(struct record_scan *scan, uint64_t offset)
{
	struct spool_record record;
	uint64_t end = offset;

	for (;;) {
		enum probe found = probe(scan, offset, &record);
		uint64_t next = offset + step(found, &record);

		if (found == PROBE_GOOD) {
			found_good(scan, offset, &record);
			end = offset = next;
			if (record.type == SPOOL_RECORD_SEAL)
				return end;
			continue;
		}
		next = next_good(scan, next);
		if (next == 0)
			return end;
		// Unless it was written between our two looks it is bad for good.
		scan->octets = 0;
		if (probe(scan, offset, &record) == PROBE_GOOD)
			continue;
		pass_over(scan, offset);
		offset = next;
	}
}

// A header that had been synced is lost, one that had not is torn. Some record tells, be it a stranger's: that only keeps the file.
static bool has_durable_record(struct record_scan *scan)
{
	struct spool_record record;
	const uint8_t *at;

	for (uint64_t offset = SPOOL_FIRST_OFFSET;
		(at = look(scan, offset, sizeof(record))) != NULL; offset += SPOOL_ALIGN) {
		memcpy(&record, at, sizeof(record));
		if (record.magic == SPOOL_MAGIC && is_here(&record, scan->file, offset) &&
			record.durable > 0)
			return true;
	}
	return false;
}

uint64_t record_scan_walk(struct record_scan *scan, const struct record_scan_file *file)
{
	enum err err = record_scan_salt(scan->disk, file, &scan->salt, NULL);
	uint64_t end = 0;

	scan->file = file;
	scan->octets = 0;
	scan->unreadable = 0;
	scan->torn = 0;
	if (err != ERR_OK)
		file->bad(file->user, 0, err == ERR_DISK_IO || has_durable_record(scan));
	if (err == ERR_OK || err == ERR_SPOOL_CORRUPT)
		end = walk_from(scan, SPOOL_FIRST_OFFSET);
	if (scan->unreadable > 0)
		file->bad(file->user, 0, true);
	return end;
}

enum err record_scan_salt(struct disk *disk, const struct record_scan_file *file, uint64_t *salt,
	struct spool_segment_header *header)
{
	uint8_t octets[SPOOL_FIRST_OFFSET + sizeof(struct spool_record)] = {0};
	struct spool_record record, first;
	ssize_t n = disk->pread(disk, file->file, octets, sizeof(octets), 0);

	if (n < 0)
		return ERR_DISK_IO;
	memcpy(&record, octets, sizeof(record));
	memcpy(&first, octets + SPOOL_FIRST_OFFSET, sizeof(first));
	*salt = record.salt;
	if (is_here(&record, file, 0) && record.type == SPOOL_RECORD_HEADER &&
		record.octets == sizeof(*header) &&
		crc32c(0, octets + sizeof(record), sizeof(*header)) == record.payload_crc32c) {
		if (header != NULL)
			memcpy(header, octets + sizeof(record), sizeof(*header));
		return ERR_OK;
	}
	*salt = first.salt;
	return is_here(&first, file, SPOOL_FIRST_OFFSET) ? ERR_SPOOL_CORRUPT : ERR_NOT_FOUND;
}
