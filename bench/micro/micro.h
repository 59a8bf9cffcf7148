// micro.h - one measured piece of the hot paths: a world made once, and a function that does the thing so many times.
//
// Each subject has a file micro_<subject>.c with a table of rows; micro.c lists the tables; google.cc hands the rows to
// Google Benchmark, which finds out how often to repeat, and reads the TSC around the run.
//
// Thread:  main. EAL is up, without huge pages.
// Memory:  start() makes the world, end() frees it; run() allocates nothing.

#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct micro {
	const char *name;      // as in bench/run's output
	const char *item;      // what is done once: "lookup", "octet", "connection"
	uint32_t items_a_turn; // of one turn of run(); 0: 1
	void *(*start)(void);
	void (*run)(void *world, uint64_t turns);
	void (*end)(void *world);
};

// All rows, one after the other; NULL at the end.
const struct micro *micro_at(size_t n);

// Keep the compiler from leaving out a result.
static inline void micro_keep(uint64_t value)
{
	__asm__ volatile("" : : "r"(value) : "memory");
}

// xorshift64: the same sequence in every run.
static inline uint64_t micro_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#ifdef __cplusplus
}
#endif
