// name_match.h - the name entries of all lists of all virtual servers as one compiled database: a name is matched once, and what
// comes out is the set of lists it is in.
//
// Hyperscan, block mode. Lists have numbers as in snapshot.h: CONFIG_LISTS for each virtual server.
//
// Thread:  compiled by one; scans by any, each with a scratch of its own.
// Memory:  malloc's, off the lcores; name_match_free() after all scratches.
// Blocks:  compiling and making scratches allocate; scans never do. Cost: some hundred cycles and one pass over the name.

#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "config/mistakes.h"

struct name_match;
struct name_match_scratch;

// NULL: no list has names, or there is something wrong, which was added to mistakes.
struct name_match *name_match_compile(const struct config *config, struct mistakes *mistakes);
void name_match_free(struct name_match *match); // NULL is nothing to free

// NULL: no memory.
struct name_match_scratch *name_match_scratch_make(const struct name_match *match);
void name_match_scratch_free(struct name_match_scratch *scratch); // NULL likewise

// Adds the lists that name is in to the bits of sets, as in a class (snapshot.h).
void name_match_scan(const struct name_match *match, struct name_match_scratch *scratch,
	struct slice name, uint64_t *sets);

// How many entries of this list match name, and the first of them as written; NULL when none does.
uint32_t name_match_entries(const struct name_match *match, struct name_match_scratch *scratch,
	uint16_t list, struct slice name, const struct config_name **first);

// For tests and bench.
uint64_t name_match_octets(const struct name_match *match);
