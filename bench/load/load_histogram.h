// load_histogram.h - latencies in fixed memory: counts in buckets whose width is 1/32 of their value, so no figure is off by more
// than 3 %.
//
// Thread: one. Memory: a plain struct of 16 KiB. Blocks: never.

#pragma once

#include <stdint.h>

enum {
	LOAD_HISTOGRAM_SUB_BITS = 5,
	LOAD_HISTOGRAM_BUCKETS = (64 - LOAD_HISTOGRAM_SUB_BITS + 1) << LOAD_HISTOGRAM_SUB_BITS,
};

struct load_histogram {
	uint64_t count, sum, least, most;
	uint64_t buckets[LOAD_HISTOGRAM_BUCKETS];
};

void load_histogram_add(struct load_histogram *h, uint64_t ns);

// The value below which so much of all lies (0 < part <= 1); 0 when there is nothing.
uint64_t load_histogram_at(const struct load_histogram *h, double part);
