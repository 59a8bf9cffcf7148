// name_tails.h - what every name ends with that a regular expression of a name list can match.
//
// The open-relay guard has to know below which domains such an expression matches. Each name it matches ends with one of its
// tails, so what holds for every name with one of these ends holds for the expression: /host[12]\.(a|b)\.net/ has the tails ".a.net"
// and ".b.net". It errs to shorter tails, never to longer ones.
//
// Reading it also says which expressions are taken at all: letters, digits, "-", "_", ".", classes, \. \- \d \w, groups,
// alternatives and repeats. What else Hyperscan knows (options, comments, quotes, assertions) could mean something in
// the whole pattern that it does not mean here, and no name needs it.
//
// Thread:  any; no globals.
// Memory:  the caller's; some 200 KiB of stack at NAME_TAILS_DEPTH.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NAME_TAILS_MOST = 32,   // more: one empty tail, which is any name
	NAME_TAILS_OCTETS = 96, // of one; longer ones lose their front
	NAME_TAILS_DEPTH = 16,  // groups in groups; more: not taken
};

struct name_tail {
	uint16_t len;
	bool whole; // it is the whole name
	char text[NAME_TAILS_OCTETS];
};

struct name_tails {
	uint32_t count; // 0: nothing can match
	struct name_tail list[NAME_TAILS_MOST];
};

// NULL, or what is wrong with it. regex: without the slashes around it; letters of the tails are in lower case.
const char *name_tails_of(const char *regex, size_t len, struct name_tails *out);
