// spool_writer.h - the only writer of segments: finished chunks in, one sync for many, "durable" out.
//
// spool_writer_put() gathers, spool_writer_sync() writes and syncs and says what became of every COMMIT given since the last
// sync. Nothing is reported durable before the sync that covers its commit record, all its chunks, and the directory entries of their segments.
//
// Thread:  the spooler thread (spooler.h), or a test.
// Memory:  bounded: borrows buffers until they are reported back by spool_writer_sync().
// Blocks:  yes, on the disk.
// Clock:   wall_s is an argument.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "spool/disk.h"
#include "spool/spool_record.h"

// A buffer on its way to disk; made by a worker, given back to its pool by the same worker.
struct spool_buf {
	struct spool_buf *next; // chain of an envelope that needs more than one
	uint32_t octets;        // used
	uint32_t home;          // worker whose pool it belongs to
	uint8_t data[LIMIT_SPOOL_BUF_OCTETS];
};

enum spool_request_kind {
	SPOOL_PUT_CHUNK,  // buf: body octets; answered when buf is free again, nothing else
	SPOOL_PUT_COMMIT, // buf: chain with the envelope strings (see struct spool_commit) and header fields in envelope; answered when durable
	SPOOL_PUT_ABORT,  // forget the message; its chunks become garbage; answered at once
};

// Fixed record of the rings between workers and the spooler (64 octets at most).
struct spool_request {
	uint16_t kind;
	uint16_t home; // worker index
	uint32_t conn, generation;
	uint32_t rcpt_count; // COMMIT
	uint32_t flags;      // COMMIT: SPOOL_COMMIT_*
	uint32_t origin;     // COMMIT
	uint64_t
		body_octets; // COMMIT: of all its CHUNKs together; another sum means that one was lost: ERR_NO_MEMORY
	uint64_t message_id;
	uint64_t epoch;
	struct spool_buf *buf; // NULL for ABORT
};

struct spool_answer {
	uint16_t kind; // of the request
	uint16_t home;
	uint32_t conn, generation;
	uint32_t status; // enum err; ERR_OK: durable (COMMIT)
	uint64_t message_id;
	struct spool_buf *buf; // to give back, whole chain
	// COMMIT and ERR_OK: where, for the deliverer
	uint64_t segment, offset; // of the commit record
};

struct spool_writer;

struct spool_writer_config {
	struct disk *disk;
	const char *directory;
	uint64_t
		segment_octets; // preallocated size of a segment, 64 MiB; a message may span segments
	uint64_t max_octets; // of all segments; beyond: ERR_DISK_FULL; 0: no bound but the disk's
};

// Lock the directory, look at what is there (the tail of the last segment is sealed by its reader's rules and never appended to), start a new
// segment with the next boot number. wall_s: UTC seconds.
MUST_CHECK enum err spool_writer_open(
	const struct spool_writer_config *config, int64_t wall_s, struct spool_writer **writer);

// Upper 24 bits of message ids of this run; workers put their index and a counter below (message_id.h).
uint64_t spool_writer_boot(const struct spool_writer *writer);

// Number of the segment that is written now: goes into CHANNEL_SYNC.
uint64_t spool_writer_segment(const struct spool_writer *writer);

// How many requests may be put before the next spool_writer_sync() (LIMIT_SPOOL_BATCH after each).
uint32_t spool_writer_room(const struct spool_writer *writer);

// Take one request. Chunk octets are written at once or with others; nothing is durable yet.
void spool_writer_put(
	struct spool_writer *writer, const struct spool_request *request, int64_t wall_s);

// Write and sync everything put since the last call, then report an answer for every request, in order.
// After a disk error every COMMIT is answered with it, and so is everything later, until another writer is opened
// (ERR_DISK_IO) or space is back (ERR_DISK_FULL). Without a COMMIT among them nothing is synced: buffers come back
// after the write. To be called at least once a second, also with nothing put: it looks whether space is back.
typedef void spool_answer_fn(void *user, const struct spool_answer *answer);
void spool_writer_sync(
	struct spool_writer *writer, int64_t wall_s, spool_answer_fn *answer, void *user);

// Every recipient of every message that has a record in this segment has an outcome: unlink it and sync the directory.
// seen: segment of the last CHANNEL_SYNC or CHANNEL_COMMITTED that the deliverer had read when it said so. A commit it has not
// read of may need this segment, so false while one could (segment >= seen, or chunks here of a message committed in
// segment >= seen), while a message with chunks here is open, and for the highest segment, which keeps the boot
// number. False is no error: the deliverer asks again later. True: gone (or was never there).
bool spool_writer_segment_done(struct spool_writer *writer, uint64_t segment, uint64_t seen);

bool spool_writer_is_accepting(const struct spool_writer *writer);

// ERR_DISK_IO happened: this writer is of no use any more. Close it and open another, which starts a new segment.
bool spool_writer_is_broken(const struct spool_writer *writer);
void spool_writer_close(struct spool_writer *writer);
