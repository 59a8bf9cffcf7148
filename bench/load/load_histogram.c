#include "load_histogram.h"

enum {
	SUB = 1 << LOAD_HISTOGRAM_SUB_BITS,
};

// Values below 2 * SUB have a bucket each; above, each power of two has SUB of them.
static uint32_t bucket_of(uint64_t ns)
{
	if (ns < SUB)
		return (uint32_t)ns;
	const uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - LOAD_HISTOGRAM_SUB_BITS;

	return (shift + 1) * SUB + (uint32_t)(ns >> shift) - SUB;
}

// The largest value of a bucket.
static uint64_t bucket_most(uint32_t bucket)
{
	if (bucket < SUB)
		return bucket;
	const uint32_t shift = bucket / SUB - 1;

	return ((uint64_t)(bucket % SUB + SUB + 1) << shift) - 1;
}

void load_histogram_add(struct load_histogram *h, uint64_t ns)
{
	if (h->count == 0 || ns < h->least)
		h->least = ns;
	if (ns > h->most)
		h->most = ns;
	h->count++;
	h->sum += ns;
	h->buckets[bucket_of(ns)]++;
}

uint64_t load_histogram_at(const struct load_histogram *h, double part)
{
	const uint64_t wanted = (uint64_t)((double)h->count * part + 0.5);
	uint64_t seen = 0;

	for (uint32_t i = 0; i < LOAD_HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= wanted && seen > 0)
			return bucket_most(i) < h->most ? bucket_most(i) : h->most;
	}
	return h->most;
}
