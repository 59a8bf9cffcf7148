// spooler.h - the spooler thread: requests of all workers (and of the control thread, for mail made here) in, one sync for
// many, answers back; and what became durable, for the deliverer.
//
// Thread:  start, stop, and the functions marked so: control thread. The thread itself owns the spool writer.
// Memory:  rings made at start.
// Blocks:  the thread does, on the disk; nobody waits for it but by polling a ring.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"
#include "spool/message_id.h"
#include "spool/spool_writer.h"

struct spooler;

// From the spooler to the control thread.
enum spooler_event_kind {
	SPOOLER_COMMITTED,    // message_id, segment, offset
	SPOOLER_SEGMENT_GONE, // segment
};

struct spooler_event {
	uint32_t kind;
	uint64_t message_id, segment, offset;
};

// Opens the spool: finds its boot number, which message ids need before workers are made. directory must live as long.
// An error says why and is logged by the caller.
MUST_CHECK enum err spooler_open(
	struct edge *edge, const char *directory, struct spooler **spooler);
uint64_t spooler_boot(const struct spooler *spooler);

// Workers are made: begin. wake: called on the spooler thread when events wait.
bool spooler_start(struct spooler *spooler, struct worker **workers, unsigned count,
	void (*wake)(void *), void *user);

// After the workers have stopped: write what is in the rings, close the spool.
void spooler_stop(struct spooler *spooler);

// Number of the segment being written, for CHANNEL_SYNC. Control thread.
uint64_t spooler_segment(const struct spooler *spooler);

// Next event. *lost: events did not fit in the ring since the last call; the deliverer must scan again. Control thread.
bool spooler_next_event(struct spooler *spooler, struct spooler_event *event, bool *lost);

// Mail made here: as a worker would, with buffers of the caller's (home MESSAGE_ID_WORKER_CONTROL). False: ring full.
bool spooler_put(struct spooler *spooler, struct spool_request request);
bool spooler_next_answer(struct spooler *spooler, struct spool_answer *answer);

// The deliverer is done with a segment (see spool_writer_segment_done). False: ring full, ask later.
bool spooler_segment_done(struct spooler *spooler, uint64_t segment, uint64_t seen);
