// lookup.h - postern-lookup: askers' links, the questions that are open, and their time.
//
// Life of a question: read from a link -> ask.c -> answered, or given up after LOOKUP_ANSWER_S - a little. An answer for a link that is
// gone is dropped.
//
// Thread:  one event loop.
// Memory:  LOOKUP_OPEN questions of some 7 KiB; more are answered DEFER at once.
// Blocks:  never.

#pragma once

#include <stdint.h>
#include <uv.h>

#include "config/config.h"

enum {
	LOOKUP_LINKS = 8,
	LOOKUP_OPEN = 4096,
};

struct lookup;
struct supervised;

// NULL: why was logged. Listens to the supervisor by supervised, which has its name and path. config is taken over.
struct lookup *lookup_start(uv_loop_t *loop, struct config *config, struct supervised *supervised);
