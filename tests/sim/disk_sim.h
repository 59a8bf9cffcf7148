// disk_sim.h - a disk in memory that keeps exactly what it promised: after a power cut every unsynced sector and directory
// entry is at any one of the states it has had since its last sync, each by itself.
//
// Thread:  one.
// Memory:  freed by disk_sim_free().
// Blocks:  never.
//
// Deterministic: the same seed and the same calls leave the same disk.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "spool/disk.h"

struct disk_sim;

struct disk_sim *disk_sim_new(uint64_t seed);
void disk_sim_free(struct disk_sim *sim);
struct disk *disk_sim_disk(struct disk_sim *sim);

// Operations so far that change the disk or sync it.
uint64_t disk_sim_ops(const struct disk_sim *sim);

// Power fails at this operation: a write among them may be lost or kept, a sync has not happened. All calls fail from then on.
void disk_sim_crash_at(struct disk_sim *sim, uint64_t op);
bool disk_sim_is_down(const struct disk_sim *sim);

// After a power cut: what was not synced is lost, torn or kept. All handles and locks are gone.
void disk_sim_power_cycle(struct disk_sim *sim);

// After kill -9: all handles and locks are gone, nothing else.
void disk_sim_kill(struct disk_sim *sim);

enum disk_sim_fault {
	DISK_SIM_WRITE_SHORT, // half of it is written
	DISK_SIM_WRITE_FULL,  // ENOSPC
	DISK_SIM_WRITE_ERROR, // EIO
	DISK_SIM_SYNC_ERROR,  // EIO, and what was unsynced never reaches the disk, as Linux does it
	DISK_SIM_DIR_ERROR,   // EIO of a directory's sync
	DISK_SIM_READ_ERROR,  // EIO
};

// The count operations of that kind from the next on fail.
void disk_sim_fail(struct disk_sim *sim, enum disk_sim_fault fault, uint32_t count);

// Some descriptor was synced again after a sync of it had failed.
bool disk_sim_was_resynced(const struct disk_sim *sim);

// Room on the disk, for all files together.
void disk_sim_set_space(struct disk_sim *sim, uint64_t octets);

// Invert one octet of a file, on disk and in memory. False: no such file or octet.
bool disk_sim_damage(struct disk_sim *sim, const char *path, uint64_t offset);

// A place in the code that syncs: the call's return address and what directory it is about.
struct disk_sim_site {
	const void *caller;
	bool is_dir; // sync_dir, else sync_data
	char directory[64];
};

// Sites seen so far; NULL behind the last.
const struct disk_sim_site *disk_sim_site(const struct disk_sim *sim, uint32_t index);

// Calls from that site do nothing and say that all is well. NULL: none is skipped.
void disk_sim_skip(struct disk_sim *sim, const struct disk_sim_site *site);
