// deliver.h - the whole of postern-deliver: what its parts share, and how they start and end.
//
// Life of a message here: found (COMMITTED, or a scan) -> queue -> dispatch: routed, one transaction for each next hop -> hop: a connection
// carries it -> dispatch: results -> outcomes on disk, or tried again later, or bounces -> forgotten; its segment done.
//
// Thread:  one, the event loop.
// Memory:  one static object; see its parts.
// Blocks:  the disk, and stderr.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "config/config.h"
#include "deliver/bounce.h"
#include "deliver/edge_link.h"
#include "deliver/hop.h"
#include "deliver/outcomes.h"
#include "deliver/past.h"
#include "deliver/queue.h"
#include "spool/spool_reader.h"
#include "supervise/supervised.h"

enum {
	DELIVER_DRAIN_MS = 5000, // STOP: what is in flight may take this long
	DELIVER_TICK_MS = 1000,
	DELIVER_RESCAN_MS = 30000, // after a scan that did not see everything
	DELIVER_COMPACT_GONE = 16, // segments gone between two compactions of the outcome log
};

struct deliver {
	uv_loop_t *loop;
	struct supervised supervised;
	struct config *config;
	struct queue queue;
	struct past past;
	struct spool_reader *reader;
	struct outcome_log *log;
	struct outcomes outcomes;
	struct hop_pool hops;
	struct bounces bounces;
	struct edge_link *edge; // NULL: none
	uint64_t seen;    // segment of the last SYNC or COMMITTED on this channel; 0: no SYNC yet
	bool is_complete; // the last scan saw everything that is on disk
	uint64_t rescan_at_ms;
	uint32_t segments_gone;
	uint64_t corrupt; // records
	uv_timer_t due, tick, drain;
	bool is_stopping;
	uint64_t leave_at_ms;
};

// Open spool and outcome log, scan, and listen to the supervisor. d->config and d->supervised are set. False: why was logged.
bool deliver_start(struct deliver *d, uv_loop_t *loop);

// Finish what is in flight, then leave the process with status 0.
void deliver_stop(struct deliver *d);

// Nothing new is sent: stopping, a full disk, or a concurrency of 0.
bool deliver_is_paused(const struct deliver *d);

// Wake when the next message is due.
void deliver_plan(struct deliver *d);
