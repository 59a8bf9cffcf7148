// backoff.h - when to try again.
//
// Thread: any. Memory: none. Randomness is an argument.

#pragma once

#include <stdint.h>

// Milliseconds until the next attempt after this many failed ones (1..): first_s doubled for each further one, at most max_s, and up to
// a quarter less, by random, so that what failed together does not come back together.
static inline int64_t backoff_ms(
	uint32_t attempts, uint32_t first_s, uint32_t max_s, uint32_t random)
{
	int64_t ms = (int64_t)first_s * 1000, max_ms = (int64_t)max_s * 1000;

	for (uint32_t i = 1; i < attempts && ms < max_ms; i++)
		ms *= 2;
	if (ms > max_ms)
		ms = max_ms;
	return ms - ms / 4 * (random % 1024) / 1024;
}
