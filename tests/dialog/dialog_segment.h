// dialog_segment.h - one segment as the script writes it: read, compare, print. README.md has the syntax.
//
// Thread: any. Memory: the caller's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dialog/dialog.h"

enum {
	DIALOG_SEGMENT_TEXT = 512,

	// What a script may name; has and no are sets of these.
	DIALOG_HAS_ACK = 1 << 0,
	DIALOG_HAS_WINDOW = 1 << 1,
	DIALOG_HAS_TEXT = 1 << 2,
	DIALOG_HAS_MSS = 1 << 3,
	DIALOG_HAS_SCALE = 1 << 4,
	DIALOG_HAS_TIMESTAMP = 1 << 5,
	DIALOG_HAS_ECR = 1 << 6,
	DIALOG_HAS_SACK_PERMITTED = 1 << 7,
	DIALOG_HAS_SACKS = 1 << 8,
	DIALOG_HAS_ECN = 1 << 9,
	DIALOG_HAS_URGENT = 1 << 10,
	DIALOG_HAS_RAW = 1 << 11,
	DIALOG_HAS_AGO = 1 << 12,
};

struct dialog_segment {
	struct segment s;
	unsigned has, no;
	uint8_t octets[DIALOG_TEXT];
	uint8_t raw[40]; // option octets as on the wire
	uint8_t raw_octets;
};

// The rest of a line: FLAGS SEQ[+LEN] KEY...
void dialog_segment_parse(char **at, struct dialog_segment *out);

// What the peer sends: numbers of ours become real ones, raw options are read by the frame parser, whose verdict comes
// back. The payload borrows from in.
enum drop dialog_segment_complete(struct dialog_segment *in);

// NULL: got is as told; else the key that is not.
const char *dialog_segment_differs(
	const struct dialog_segment *want, const struct dialog_sent *got);

// Numbers of ours relative to our initial one. Returns out.
const char *dialog_segment_describe(const struct segment *s, char out[DIALOG_SEGMENT_TEXT]);
