// outcome_log.h - what became of each recipient; synced before a message is forgotten. The only writer is postern-deliver.
//
// Thread:  the event loop of postern-deliver.
// Memory:  bounded by what is put between two syncs.
// Blocks:  yes, on the disk.

#pragma once

#include <stdint.h>

#include "base/err.h"
#include "spool/disk.h"
#include "spool/spool_reader.h"

struct outcome_log;

// Lock, replay every entry through each (torn tails end a file), then start a new file for this run. After a crash an entry
// can come more than once. ERR_SPOOL_LOCKED: another process has it.
typedef void outcome_entry_fn(void *user, const struct spool_outcome_entry *entry);
MUST_CHECK enum err outcome_log_open(struct disk *disk, const char *directory,
	outcome_entry_fn *each, void *user, struct outcome_log **log);

// Damaged records (not torn tails) found when it was opened.
uint64_t outcome_log_corrupt(const struct outcome_log *log);

// Gather; nothing is durable until outcome_log_sync(). Text beyond LIMIT_OUTCOME_TEXT_OCTETS is cut off.
void outcome_log_put(struct outcome_log *log, const struct spool_outcome_entry *entry);

// ERR_DISK_FULL: what was put is kept, call again. ERR_DISK_IO: for good; end the process, the next one replays.
MUST_CHECK enum err outcome_log_sync(struct outcome_log *log);

// All messages of this and earlier segments are gone from disk: outcome files that speak of nothing else may go. keep says whether an id is
// still on disk. Rewrites the live rest into a new file, synced, before the old ones are unlinked.
typedef int outcome_keep_fn(void *user, uint64_t id);
MUST_CHECK enum err outcome_log_compact(struct outcome_log *log, outcome_keep_fn *keep, void *user);
void outcome_log_close(struct outcome_log *log);
