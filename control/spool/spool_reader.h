// spool_reader.h - messages on disk: scanned at start, read for delivery. Trusts no octet.
//
// Thread:  the event loop of postern-deliver, or a tool.
// Memory:  one struct spool_message per call, from the allocator; spool_message_free().
// Blocks:  yes, on the disk.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/disk.h"
#include "spool/spool_record.h"

struct spool_reader;

struct spool_message {
	uint64_t id, epoch;
	uint64_t segment, offset; // of the commit record
	struct spool_commit commit;
	const char *sender, *vserver, *fqdn, *client, *helo,
		*account; // NUL-ended, without NUL inside
	const char **rcpts;
	struct spool_extent *extents;
	void *memory;
};

// One outcome of the outcome log.
struct spool_outcome_entry {
	uint64_t id;
	struct spool_outcome outcome;
	const char *text;
};

MUST_CHECK enum err spool_reader_open(
	struct disk *disk, const char *directory, struct spool_reader **reader);
// For tests and tools: a deliverer reads until its process ends.
void spool_reader_close(struct spool_reader *reader);

// Every committed message of every segment, in order of segment and offset; message is valid until each returns.
// corrupt: a record that had been synced is damaged, or the chunks of a commit record are; scanning goes on, such a message is not
// reported. The segment is to be kept for a person to look at: never declare it done.
// The writer may be at work: messages not yet durable can be among them, and those that come behind the scan are not.
struct spool_scan {
	void (*message)(void *user, const struct spool_message *message);
	void (*segment)(void *user, uint64_t segment, uint64_t octets); // before its messages
	void (*corrupt)(void *user, uint64_t segment, uint64_t offset);
	void *user;
};
MUST_CHECK enum err spool_reader_scan(struct spool_reader *reader, const struct spool_scan *scan);

// The message whose commit record is there. ERR_SPOOL_CORRUPT, ERR_NOT_FOUND, ERR_DISK_IO.
MUST_CHECK enum err spool_reader_message(struct spool_reader *reader, uint64_t segment,
	uint64_t offset, struct spool_message **message);
void spool_message_free(struct spool_message *message);

// The segment is unlinked: let go of its file, so that the space comes back.
void spool_reader_segment_gone(struct spool_reader *reader, uint64_t segment);

// Octets [from, from + len) of the body, checked against the extents' CRCs when an extent is first touched.
MUST_CHECK enum err spool_reader_body(struct spool_reader *reader,
	const struct spool_message *message, uint64_t from, void *to, uint32_t len);
