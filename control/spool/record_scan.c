#include "spool/record_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

enum {
	AHEAD_OCTETS = 256 * 1024,
	WINDOW_OCTETS = SPOOL_PAYLOAD_MAX + AHEAD_OCTETS,
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
	uint8_t window[WINDOW_OCTETS];
};

enum probe {
	PROBE_GOOD,
	PROBE_BAD_PAYLOAD, // the header is whole: the next record is where it says
	PROBE_NONE,
};

struct record_scan *record_scan_new(struct disk *disk)
{
	struct record_scan *scan = malloc(sizeof(*scan));

	if (scan != NULL)
		scan->disk = disk;
	return scan;
}

void record_scan_free(struct record_scan *scan)
{
	free(scan);
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

// The first valid record at or behind offset; 0: none.
static uint64_t next_good(struct record_scan *scan, uint64_t offset)
{
	struct spool_record record;

	while (look(scan, offset, sizeof(record)) != NULL) {
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

// Without a header nothing here can be told from what strangers wrote, but it can be told from an empty file.
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
	if (err == ERR_OK || err == ERR_SPOOL_CORRUPT)
		end = walk_from(scan, SPOOL_FIRST_OFFSET);
	if (err == ERR_SPOOL_CORRUPT || err == ERR_DISK_IO || scan->unreadable > 0 ||
		(err == ERR_NOT_FOUND && has_durable_record(scan)))
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
