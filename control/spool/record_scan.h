// record_scan.h - walk the records of one file, trusting no octet of it.
//
// A bad record is passed over by looking for the next valid one; none: the walk ends. What the disk cannot read counts as
// zeros and as lost, so that nobody takes the file for an empty one.
//
// Thread:  the owner.
// Memory:  for each struct record_scan one window of 128 KiB, growing to the largest record (1 MiB).
// Blocks:  yes, on the disk.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/disk.h"
#include "spool/spool_record.h"

struct record_scan;

// NULL: no memory.
struct record_scan *record_scan_new(struct disk *disk);
void record_scan_free(struct record_scan *scan);

struct record_scan_file {
	int file;
	uint64_t number;
	// A valid record, HEADER left out; payload is valid until it returns.
	void (*record)(void *user, const struct spool_record *record, const uint8_t *payload);
	// A bad record is passed over; with lost: and it had been synced. The same offset can come first without and
	// later with lost, when a valid record proves it.
	void (*bad)(void *user, uint64_t offset, bool lost);
	void *user;
};

// The writer may be appending meanwhile. Returns the offset behind the last valid record, 0 when there is no header.
uint64_t record_scan_walk(struct record_scan *scan, const struct record_scan_file *file);

// Salt and header of a file. ERR_SPOOL_CORRUPT: no valid header; the salt is then the first record's (whose place no
// stranger can choose), or ERR_NOT_FOUND when that is bad too. header may be NULL.
MUST_CHECK enum err record_scan_salt(struct disk *disk, const struct record_scan_file *file,
	uint64_t *salt, struct spool_segment_header *header);
