// spool_file.h - what segments and outcome logs do alike: numbered files in a directory that is really there, whole writes.
//
// Thread:  the owner of the spool or outcome log.
// Memory:  spool_file_list() allocates; nothing else does.
// Blocks:  yes, on the disk.

#pragma once

#include <stdint.h>

#include "base/err.h"
#include "spool/disk.h"
#include "spool/spool_record.h"

enum {
	SPOOL_FILE_NAME_MAX = 32,
};

// From -errno: ERR_DISK_FULL, ERR_NOT_FOUND, ERR_SPOOL_LOCKED, ERR_DISK_IO for all else; ERR_OK from 0 and counts.
enum err spool_file_err(int64_t result);

// Open directory/sub, making both where they are missing, and sync the directories that hold their names.
MUST_CHECK enum err spool_file_open_dir(
	struct disk *disk, const char *directory, const char *sub, int *dir);

// "0000000000000001.seg" for 1 and ".seg".
void spool_file_name(uint64_t number, const char *suffix, char name[SPOOL_FILE_NAME_MAX]);

// The numbers of all files with this suffix, ascending, in *numbers (free() it; NULL when there are none).
MUST_CHECK enum err spool_file_list(
	struct disk *disk, int dir, const char *suffix, uint64_t **numbers, uint32_t *count);

struct spool_file_write {
	struct iovec *iov; // used up
	int count;
	uint64_t offset;
	uint64_t written; // out, also after an error: octets from offset on that were written
};

// Write everything, going on after short writes.
MUST_CHECK enum err spool_file_write(struct disk *disk, int file, struct spool_file_write *write);

struct spool_file_header {
	uint64_t number, boot;
	int64_t created_s;
	uint64_t previous_octets;
	uint64_t octets; // to preallocate
	uint64_t salt;   // out: drawn at random
};

// Make the file, preallocate it and write its HEADER; nothing is synced. After an error it is unlinked again.
MUST_CHECK enum err spool_file_create(struct disk *disk, int dir, const char *suffix,
	struct spool_file_header *header, int *file);
