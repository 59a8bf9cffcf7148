#include "spool/spool_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

enum {
	NUMBER_DIGITS = 16,
};

enum err spool_file_err(int64_t result)
{
	if (result >= 0)
		return ERR_OK;
	if (result == -ENOSPC || result == -EDQUOT || result == -EFBIG)
		return ERR_DISK_FULL;
	if (result == -ENOENT)
		return ERR_NOT_FOUND;
	return result == -EWOULDBLOCK ? ERR_SPOOL_LOCKED : ERR_DISK_IO;
}

// The sync is not saved when the directory was there before: a crash may have come between its making and its sync.
static enum err open_synced(struct disk *disk, const char *parent, const char *path, int *dir)
{
	int above = disk->open_dir(disk, parent);
	int opened;
	enum err err;

	if (above < 0)
		return spool_file_err(above);
	opened = disk->open_dir(disk, path);
	if (opened < 0) {
		disk->close(disk, above);
		return spool_file_err(opened);
	}
	err = spool_file_err(disk->sync_dir(disk, above));
	disk->close(disk, above);
	if (err != ERR_OK) {
		disk->close(disk, opened);
		return err;
	}
	*dir = opened;
	return ERR_OK;
}

// "/var/spool/postern/" and "/var/spool/postern" lie in "/var/spool"; "/x" in "/"; "x" in ".".
static void parent_of(const char *directory, char parent[PATH_MAX])
{
	size_t len = strlen(directory);

	while (len > 1 && directory[len - 1] == '/')
		len--;
	while (len > 0 && directory[len - 1] != '/')
		len--;
	while (len > 1 && directory[len - 1] == '/')
		len--;
	snprintf(parent, PATH_MAX, "%.*s", len > 0 ? (int)len : 1, len > 0 ? directory : ".");
}

enum err spool_file_open_dir(struct disk *disk, const char *directory, const char *sub, int *dir)
{
	char parent[PATH_MAX], path[PATH_MAX];
	int outer = -1;
	int len = snprintf(path, sizeof(path), "%s/%s", directory, sub);

	if (len < 0 || (size_t)len >= sizeof(path))
		return ERR_NOT_FOUND;
	parent_of(directory, parent);
	TRY(open_synced(disk, parent, directory, &outer));
	disk->close(disk, outer);
	return open_synced(disk, directory, path, dir);
}

void spool_file_name(uint64_t number, const char *suffix, char name[SPOOL_FILE_NAME_MAX])
{
	snprintf(name, SPOOL_FILE_NAME_MAX, "%0*" PRIu64 "%s", NUMBER_DIGITS, number, suffix);
}

struct listing {
	const char *suffix;
	uint64_t *numbers;
	uint32_t count, room;
	bool failed;
};

// Names that we would not have made ourselves are no files of ours.
static bool number_of(const char *name, const char *suffix, uint64_t *number)
{
	char own[SPOOL_FILE_NAME_MAX];

	*number = strtoull(name, NULL, 10);
	spool_file_name(*number, suffix, own);
	return *number != 0 && strcmp(name, own) == 0;
}

static void listing_add(void *user, const char *name)
{
	struct listing *listing = user;
	uint64_t number;

	if (!number_of(name, listing->suffix, &number))
		return;
	if (listing->count == listing->room) {
		uint32_t room = listing->room == 0 ? 64 : listing->room * 2;
		uint64_t *more = realloc(listing->numbers, room * sizeof(*more));

		if (more == NULL) {
			listing->failed = true;
			return;
		}
		listing->numbers = more;
		listing->room = room;
	}
	listing->numbers[listing->count++] = number;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

enum err spool_file_list(
	struct disk *disk, int dir, const char *suffix, uint64_t **numbers, uint32_t *count)
{
	struct listing listing = {.suffix = suffix};
	int result = disk->list(disk, dir, listing_add, &listing);

	if (result < 0 || listing.failed) {
		free(listing.numbers);
		return listing.failed ? ERR_NO_MEMORY : spool_file_err(result);
	}
	if (listing.count > 0)
		qsort(listing.numbers, listing.count, sizeof(*listing.numbers), by_number);
	*numbers = listing.numbers;
	*count = listing.count;
	return ERR_OK;
}

static void advance(struct spool_file_write *write, size_t octets)
{
	write->written += octets;
	while (write->count > 0 && octets >= write->iov->iov_len) {
		octets -= write->iov->iov_len;
		write->iov++;
		write->count--;
	}
	if (write->count > 0) {
		write->iov->iov_base = (uint8_t *)write->iov->iov_base + octets;
		write->iov->iov_len -= octets;
	}
}

enum err spool_file_write(struct disk *disk, int file, struct spool_file_write *write)
{
	write->written = 0;
	while (write->count > 0) {
		ssize_t n = disk->pwritev(
			disk, file, write->iov, write->count, write->offset + write->written);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return spool_file_err(n);
		if (n == 0)
			return ERR_DISK_IO;
		advance(write, (size_t)n);
	}
	return ERR_OK;
}

static enum err fill(struct disk *disk, int file, struct spool_file_header *header)
{
	struct spool_segment_header payload = {
		.segment = header->number,
		.boot = header->boot,
		.created_s = header->created_s,
		.previous_octets = header->previous_octets,
	};
	struct spool_record record = {
		.octets = sizeof(payload),
		.payload_crc32c = crc32c(0, &payload, sizeof(payload)),
		.type = SPOOL_RECORD_HEADER,
		.segment = header->number,
	};
	struct iovec iov[2] = {{&record, sizeof(record)}, {&payload, sizeof(payload)}};
	struct spool_file_write write = {.iov = iov, .count = 2};

	header->salt = disk->random(disk);
	record.salt = header->salt;
	spool_record_seal(&record);
	TRY(spool_file_err(disk->preallocate(disk, file, header->octets)));
	return spool_file_write(disk, file, &write);
}

enum err spool_file_create(
	struct disk *disk, int dir, const char *suffix, struct spool_file_header *header, int *file)
{
	char name[SPOOL_FILE_NAME_MAX];
	int made;
	enum err err;

	spool_file_name(header->number, suffix, name);
	made = disk->open(disk, dir, name, O_RDWR | O_CREAT | O_EXCL);
	if (made < 0)
		return spool_file_err(made);
	err = fill(disk, made, header);
	if (err != ERR_OK) {
		disk->close(disk, made);
		disk->unlink(disk, dir, name);
		return err;
	}
	*file = made;
	return ERR_OK;
}
