// spool_world.h - a spool on a simulated disk with all who use it, and what they were promised.
//
// One run is the life of both processes: open, recover, random work, until it ends or the power goes. The next run's recovery is
// held against the promises: what was acknowledged is there, octet for octet; what was never committed is not; ids are new; what
// has an acknowledged outcome stays away; and no damage is reported, for there is none.
//
// Thread:  one.
// Memory:  spool_world_free().
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sim/disk_sim.h"
#include "spool/outcome_log.h"
#include "spool/spool_reader.h"
#include "spool/spool_writer.h"

enum {
	SPOOL_WORLD_MAILS = 256,
	SPOOL_WORLD_SEGMENTS = 1024,
	SPOOL_WORLD_CHUNKS = 12,
	SPOOL_WORLD_BUFS = 512,
};

enum mail_state {
	MAIL_OPEN, // chunks are put
	MAIL_PUT,  // so is the commit; not answered
	MAIL_ACKED,
	MAIL_REFUSED, // answered with an error, by a process that lived on
	MAIL_ABORTED,
};

struct mail {
	uint64_t id;
	enum mail_state state;
	enum err refused;
	uint32_t octets;
	bool delivered, outcome_acked; // over all runs
	// What the deliverer of this run knows
	bool known;
	bool done;         // an outcome is put or was replayed
	bool done_durable; // and synced
	uint64_t segment, offset;
	uint64_t segments[SPOOL_WORLD_CHUNKS]; // of its chunks
	uint32_t segment_count;
};

struct spool_world {
	struct disk_sim *sim;
	uint64_t random;
	const char *violation; // NULL: none so far
	bool faults;           // disk errors may happen: answers other than OK are no violation
	bool was_cut;          // the power went after the last run, and was not only a kill
	int64_t wall_s;
	uint64_t boot, counter;
	uint32_t mail_count;
	struct mail mails[SPOOL_WORLD_MAILS];
	bool gone[SPOOL_WORLD_SEGMENTS];
	uint64_t seen;
	struct spool_writer *writer;
	struct spool_reader *reader;
	struct outcome_log *log;
	uint32_t buf_count;
	struct spool_buf *bufs[SPOOL_WORLD_BUFS]; // lent to the writer
};

struct spool_world *spool_world_new(uint64_t seed);
void spool_world_free(struct spool_world *world);

// Recover, check, then so many random steps. False: it ended early (the power is off, or a violation).
bool spool_world_run(struct spool_world *world, uint32_t steps);

// The processes end: in order when the power is on.
void spool_world_stop(struct spool_world *world);
