// log.h - decisions of all workers, written as text, one file (or two) for each virtual server.
//
// The workers put fixed records into their rings (edge_worker.log, an rte_ring made by rte_ring_create_elem() with elements of
// sizeof(struct log_record)); a timer reads all rings, adds names and rule positions, and writes. A worker never waits: a full ring loses the
// newest record, and the log says how many.
//
// Thread:  the control thread.
// Memory:  one buffer of LOG_FILE_BUFFER_OCTETS for each open file.
// Blocks:  write(2) to files. A file that cannot be written loses its lines, counted and said on stderr once.

#pragma once

#include <stdint.h>

#include "dataplane/edge.h"

struct reload;
typedef struct uv_loop_s uv_loop_t;

enum {
	LOG_TICK_MS = 20,
};

struct log;

// Open the files of the running policy. Never NULL but without memory.
struct log *log_new(struct edge *edge, struct reload *reload);

// Read all rings every LOG_TICK_MS on this loop, write what was gathered, and step reload_collect().
// False: libuv has no memory.
bool log_start(struct log *log, uv_loop_t *loop);

// One pass by hand: every record that was in a ring when it began is formatted; then everything is written. Returns records read.
// For tests.
unsigned log_drain(struct log *log, int64_t now_s);

// How often all rings were read. For tests.
uint64_t log_passes(const struct log *log);

// Open every file anew by its name, after it was moved away.
void log_reopen(struct log *log);

// For status.
struct log_totals {
	uint64_t written, lost_in_rings, lost_in_files;
};
struct log_totals log_totals(const struct log *log);

// Last pass, write, close: when workers have ended and the loop will not turn any more.
void log_free(struct log *log);
