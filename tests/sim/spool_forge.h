// spool_forge.h - a segment or outcome file from fuzzer octets, on a simulated disk: raw, or as records whose checksums are made
// right, so that the octets reach what is behind the checksums.
//
// Thread: one. Memory: bounded by SPOOL_FORGE_OCTETS. Blocks: never.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "spool/disk.h"

enum {
	SPOOL_FORGE_OCTETS = 65536, // what is behind is left out
};

// First octet even: the rest is the file. Odd: a header, then for each record one octet of kind and faults, u16 payload
// octets, u8 durable in 64 octets, payload; all integers little-endian. directory is made when it is missing.
void spool_forge(struct disk *disk, const char *directory, const char *name, const uint8_t *data,
	size_t octets);
