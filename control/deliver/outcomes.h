// outcomes.h - outcomes on their way to disk: gathered, one sync for many, then the messages are settled.
//
// A sync comes OUTCOMES_SYNC_MS after the first outcome put. Nobody waits for it but the segment, so it costs no throughput.
// A disk that is full is tried again; any other error ends the process: what it would deliver further it would deliver again after the
// next start.
//
// Thread:  the event loop of postern-deliver.
// Memory:  8 octets an outcome between two syncs; while the disk is full nothing new is sent.
// Blocks:  outcomes_sync() on the disk.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "deliver/queue.h"
#include "spool/outcome_log.h"

enum {
	OUTCOMES_SYNC_MS = 5,
	OUTCOMES_FULL_RETRY_MS = 1000,
};

struct outcomes {
	struct queue *queue;
	struct outcome_log *log;
	uv_timer_t timer;
	uint64_t *ids; // of messages to be settled
	size_t count, room;
	bool is_disk_full;
};

void outcomes_init(
	struct outcomes *o, uv_loop_t *loop, struct queue *queue, struct outcome_log *log);

struct outcomes_entry {
	struct queue_message *message;
	uint32_t rcpt;
	enum spool_outcome_kind kind;
	uint64_t related; // id of the DSN
	const char *text;
};

// The recipient has its end. The message lives until a sync, and that never comes from here.
void outcomes_put(struct outcomes *o, const struct outcomes_entry *entry);

// False: the disk is full; another try follows.
bool outcomes_sync(struct outcomes *o);
