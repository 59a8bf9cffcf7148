// segment_table.h - the segments on disk as the spool writer knows them.
//
// Thread:  the owner of the spool writer.
// Memory:  grows to LIMIT_SPOOL_SEGMENTS entries of 24 octets.
// Blocks:  segment_table_load() on the disk; the others never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/disk.h"

#define SEGMENT_SUFFIX ".seg"

struct segment_entry {
	uint64_t number;
	uint64_t octets;
	uint64_t
		needed_by; // highest later segment with a commit that points here, or may, if it was there at the start; 0: none
};

// Ascending by number.
struct segment_table {
	struct segment_entry *entries;
	uint32_t count, room;
	uint64_t octets; // all
};

// All segments in dir. boot: out: the next boot number, above all that can be read, by one more for each that cannot: one of
// them may have been the highest.
MUST_CHECK enum err segment_table_load(
	struct segment_table *table, struct disk *disk, int dir, uint64_t *boot);

// number is above all others. ERR_DISK_FULL: at the bound; ERR_NO_MEMORY.
MUST_CHECK enum err segment_table_add(
	struct segment_table *table, uint64_t number, uint64_t octets);

// NULL: none of that number.
struct segment_entry *segment_table_find(const struct segment_table *table, uint64_t number);

// A commit in segment `by` has a chunk in this segment.
void segment_table_need(struct segment_table *table, uint64_t segment, uint64_t by);

void segment_table_remove(struct segment_table *table, struct segment_entry *entry);

// 0: empty.
uint64_t segment_table_highest(const struct segment_table *table);
