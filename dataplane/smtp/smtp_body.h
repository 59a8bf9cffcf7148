// smtp_body.h - finds the end of a message and takes the stuffed dots out of it (RFC 5321 section 4.5.2).
//
// Only CRLF.CRLF ends a message. Bare CR, bare LF and NUL are faults, never repaired: a later hop that reads them as line
// ends would see another message than we did ("SMTP smuggling"). Every split of the octets gives the same result.
//
// Thread:  any. Memory: none.
// Blocks:  never. Cost: 64 octets at a time; a line that begins with a dot, and a fault, cost some single steps.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "smtp/smtp_reply.h"

enum smtp_body_state {
	SMTP_BODY_LINE_START, // a message begins here: ".CRLF" alone is an empty one
	SMTP_BODY_TEXT,
	SMTP_BODY_CR,     // CR in a line, already handed out
	SMTP_BODY_DOT,    // dot at the start of a line, held back
	SMTP_BODY_DOT_CR, // the same and CR
	SMTP_BODY_END,    // nothing is taken any more
};

enum smtp_body_found {
	SMTP_BODY_FOUND_MORE,  // in is used up
	SMTP_BODY_FOUND_FULL,  // the next octet of in needs room in out
	SMTP_BODY_FOUND_FAULT, // the octet before in is one; out holds nothing of use from now on
	SMTP_BODY_FOUND_END,
};

// Move octets from the front of *in to the end of *out, without stuffed dots and the final dot.
enum smtp_body_found smtp_body_take(uint8_t *state, struct slice *in, struct smtp_out *out);

// Find the end of a message nobody wants: MORE or END. *fault is set when a fault passes by.
enum smtp_body_found smtp_body_skip(uint8_t *state, struct slice *in, bool *fault);
