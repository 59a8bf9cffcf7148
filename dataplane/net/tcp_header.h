// tcp_header.h - the TCP header and its options (RFC 9293 3.1): octets <-> struct segment.
//
// Thread: any. Memory: none; a parsed segment borrows its payload. Blocks: never.

#pragma once

#include <stdint.h>

#include "base/drop.h"
#include "base/slice.h"
#include "net/segment.h"

enum {
	TCP_HEADER_OCTETS = 20,     // without options
	TCP_HEADER_OCTETS_MAX = 60, // with all the options there is room for
	TCP_HEADER_SUM_AT = 16,     // where the checksum lies
};

// l4: header and payload, their checksum already verified. Fills all of *s but what the IP header says: addresses and ECN,
// which stay as they are. DROP_NONE or DROP_TCP_BAD.
enum drop tcp_header_parse(struct slice l4, struct segment *s);

// Write header and options, checksum zero. Returns their octets, at most TCP_HEADER_OCTETS_MAX.
uint32_t tcp_header_put(uint8_t *out, const struct segment *s);
