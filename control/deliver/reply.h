// reply.h - octets of a server to SMTP replies (RFC 5321 4.2), one line at a time.
//
// Thread:  the event loop of postern-deliver. Reentrant.
// Memory:  fixed, inside struct reply; borrows the input.
// Blocks:  never. Cost: each octet is looked at once, however the input is split.

#pragma once

#include <stdint.h>

#include "base/slice.h"

enum {
	REPLY_LINE_MAX =
		2048, // octets of one line with its end; RFC 5321 4.5.3.1.5 says 512, servers say more
	REPLY_LINES_MAX = 100, // of one reply
	REPLY_TEXT_MAX = 256,  // of all lines together, kept for logs and DSNs, with NUL
};

enum reply_result {
	REPLY_MORE,    // need more input
	REPLY_LINE,    // a line that is not the last: look at line and call again
	REPLY_END,     // the last line: code and text are complete
	REPLY_GARBAGE, // not SMTP, or beyond a bound; the connection cannot be used any more
};

struct reply {
	uint16_t code;
	uint16_t lines;       // complete so far
	uint16_t line_octets; // of the line being read, or of the one just read, without its end
	uint16_t text_octets;
	uint8_t is_begun;          // the next octet belongs to a reply that already had a line
	uint8_t is_line_taken;     // line was given to the caller; the next octet starts a new one
	char line[REPLY_LINE_MAX]; // not NUL-ended
	char text
		[REPLY_TEXT_MAX]; // "250 first line / second line", NUL-ended, no control characters
};

void reply_init(struct reply *r);

// Take octets off the front of in. A line ends with LF; a CR before it is dropped. All lines of a reply have the same code, between
// 200 and 599 (RFC 5321 4.2: first digit 2 to 5, second 0 to 5 - later codes use more, so the second is any digit).
// After REPLY_END the next call starts a new reply; after REPLY_GARBAGE there is no next call.
enum reply_result reply_take(struct reply *r, struct slice *in);

// What a text line says behind its code: EHLO keywords. Valid after REPLY_LINE and REPLY_END until the next reply_take().
struct slice reply_line_text(const struct reply *r);
