// cut.h - fragments of a packet that is larger than its path (RFC 791, RFC 8200 4.5): the inverse of reassembly.h.
//
// Thread: any lcore. Memory: none. Blocks: never. Cost: the payload is copied once.

#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "net/ip.h"

enum {
	CUT_UNIT = 8, // octets that offsets count in
	CUT_V6_HEADER_OCTETS = 8,
};

struct cut {
	struct ip_fields ip; // of the whole; fragment: only its id
	uint32_t mtu;        // of each fragment
};

// Write the fragment that starts at offset of the payload, which is 0 or where the one before it ended, with its headers. Returns its
// octets; *next: where the following one starts, or the end of the payload.
uint32_t cut_put(
	const struct cut *cut, struct slice payload, uint32_t offset, uint8_t *out, uint32_t *next);
