// dot_stuff.h - a stored body to what goes out after 354 (RFC 5321 4.5.2), in pieces of any size.
//
// Every line end that goes out is made here: CRLF, a lone CR and a lone LF in the body all go out as CRLF, so that no later hop can see
// another end of a line, or of the message, than we do ("SMTP smuggling"). A body of CRLF lines goes out octet for octet but for the dots.
//
// Thread:  any. Memory: caller's. Blocks: never.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum dot_stuff_at {
	DOT_STUFF_LINE_START,
	DOT_STUFF_IN_LINE,
	DOT_STUFF_AFTER_CR, // a CR was read and its CRLF written: an LF now is part of it
};

struct dot_stuff {
	enum dot_stuff_at at; // zero: start of a body
};

enum {
	DOT_STUFF_END_MAX = 5, // octets of dot_stuff_end()
};

// Room that dot_stuff() needs for this many octets: each may be an LF, or a dot after one.
static inline size_t dot_stuff_room(size_t octets)
{
	return 2 * octets;
}

// Octets written to out, which has dot_stuff_room(in.len).
size_t dot_stuff(struct dot_stuff *s, struct slice in, uint8_t *out);

// The end of the message, with a CRLF before it if the body did not end with one.
size_t dot_stuff_end(const struct dot_stuff *s, uint8_t out[DOT_STUFF_END_MAX]);
