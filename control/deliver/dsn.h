// dsn.h - the text of a delivery status notification (RFC 3464 in RFC 6522), failures only.
//
// Pure 7-bit: what came from the network is cut, and other octets are shown as '?'.
//
// Thread: any. Memory: the text, from the allocator. Blocks: never. Clock and randomness are arguments.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "spool/spool_reader.h"

enum {
	DSN_HEADER_MAX = 8192, // octets of the original header that go back
};

struct dsn_rcpt {
	const char *address;
	const char *hop;  // who said it; "": we did
	const char *text; // "550 5.1.1 ..."
};

struct dsn {
	const struct spool_message *message;
	const char *host;    // ours
	struct slice header; // start of the original, as stored; ends anywhere
	int64_t now_s;       // UTC
	uint64_t random;     // for the boundary
	uint32_t rcpt_count;
	const struct dsn_rcpt *rcpts;
};

// The text with CRLF line ends; free() it.
char *dsn_write(const struct dsn *dsn, size_t *octets);

// "5.1.1" of "550 5.1.1 no such user" (RFC 2034), or class.0.0 when the server said none. out has DSN_STATUS_MAX octets; returns out.
enum {
	DSN_STATUS_MAX = 16,
};
// For tests.
char *dsn_status(const char *text, char out[DSN_STATUS_MAX]);
