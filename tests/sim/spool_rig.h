// spool_rig.h - one spool on a simulated disk, for tests: put mail, break the disk, look at what a scan finds.
//
// Thread: one. Memory: spool_rig_setup() and spool_rig_teardown(), as cmocka wants them. Blocks: never.

#pragma once

#include <stdint.h>

#include "sim/disk_sim.h"
#include "spool/spool_reader.h"
#include "spool/spool_writer.h"

enum {
	SPOOL_RIG_SEGMENT_OCTETS = 8192,
	SPOOL_RIG_FOUND_MAX = 64,
};

// One spool, its answers, and what a scan of it found.
struct spool_rig {
	struct disk_sim *sim;
	struct spool_writer *writer;
	struct spool_reader *reader;
	int64_t wall_s;
	uint32_t answer_count, refused;
	struct spool_answer last; // commit
	uint64_t found[SPOOL_RIG_FOUND_MAX];
	uint32_t found_count, corrupt_count, segment_count;
};

int spool_rig_setup(void **state);
int spool_rig_teardown(void **state);

struct spool_writer_config spool_rig_config(struct spool_rig *rig);
void spool_rig_open(struct spool_rig *rig);
void spool_rig_close(struct spool_rig *rig);

// The power goes while the writer writes its last record.
void spool_rig_cut_power(struct spool_rig *rig);

struct spool_buf *spool_rig_buf(void *user);
void spool_rig_chunk(struct spool_rig *rig, uint64_t id, uint32_t octets);
void spool_rig_commit(struct spool_rig *rig, uint64_t id, uint64_t octets);
void spool_rig_sync(struct spool_rig *rig);

// A message of one chunk, synced. Returns the status of its commit.
enum err spool_rig_mail(struct spool_rig *rig, uint64_t id, uint32_t octets);

// A scan finds just these messages, and so many damaged places.
void spool_rig_scan(struct spool_rig *rig);
void spool_rig_expect(struct spool_rig *rig, const uint64_t *ids, uint32_t count, uint32_t corrupt);

void spool_rig_damage(struct spool_rig *rig, uint64_t segment, uint64_t offset);
void spool_rig_overwrite(
	struct spool_rig *rig, uint64_t segment, uint64_t offset, const void *octets, size_t count);
