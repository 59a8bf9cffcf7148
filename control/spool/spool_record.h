// spool_record.h - what is on disk: segments of records (format version 1).
//
// DIR/segments/0000000000000001.seg   mail, written by the spooler of postern-edge only
// DIR/outcomes/0000000000000001.out   what became of each recipient, written by postern-deliver only
//
// A segment is preallocated and append-only. It starts with one HEADER record; records follow without gaps, each padded with
// zeros to SPOOL_ALIGN octets. All integers are little-endian. A message is CHUNK records and one COMMIT record; messages interleave.
// A torn tail (all records after the first bad one are bad) ends a segment; a bad record with valid ones behind it is corruption.
//
// Thread: any. Memory: none.

#pragma once

#include <stdint.h>

enum {
	SPOOL_VERSION = 1,
	SPOOL_ALIGN = 8,
	SPOOL_MAGIC = 0x4e545350, // "PSTN"
};

enum spool_record_type {
	SPOOL_RECORD_HEADER = 1, // struct spool_segment_header
	SPOOL_RECORD_CHUNK,      // body octets
	SPOOL_RECORD_COMMIT,     // envelope and chunk list
	SPOOL_RECORD_SEAL,       // orderly end of the segment
	SPOOL_RECORD_OUTCOME,    // in outcome logs: struct spool_outcome and text
};

struct spool_record {
	uint32_t magic;
	uint32_t crc32c;     // of everything behind this field: the rest of the header and the payload
	uint32_t octets;     // payload, without padding
	uint16_t type;       // enum spool_record_type
	uint16_t version;
	uint64_t message_id; // 0 for HEADER and SEAL
	uint64_t epoch;      // policy epoch the message was accepted under
	uint64_t offset;     // own position in the file, so that old octets at another place are no record
	uint64_t segment;    // own segment number, likewise
};

struct spool_segment_header {
	uint64_t segment;
	uint64_t boot;       // grows with each start of the spooler; upper part of message ids
	int64_t created_s;   // UTC
};

// Where one chunk is.
struct spool_extent {
	uint64_t segment;
	uint64_t offset; // of the payload
	uint32_t octets;
	uint32_t crc32c; // of the payload
};

// Payload of COMMIT: this, extent_count extents, then strings: u16 length and octets each: sender, vserver, fqdn, client, helo, account,
// then per recipient u16 flags (0) and a string.
struct spool_commit {
	int64_t arrived_s; // UTC
	uint64_t body_octets;
	uint32_t extent_count;
	uint32_t rcpt_count;
	uint32_t flags; // SPOOL_COMMIT_*
	uint32_t origin; // 0: received; 1: created here (a DSN)
};

enum {
	SPOOL_COMMIT_8BIT = 1,
};

enum spool_outcome_kind {
	SPOOL_DELIVERED = 1,
	SPOOL_BOUNCED, // failed for good; a DSN was put on disk, or the sender was null
	SPOOL_REMOVED, // by the operator, or a DSN that could not be delivered
};

// Payload of OUTCOME: this, then text.
struct spool_outcome {
	uint32_t rcpt; // index in the commit record
	uint32_t kind;
	int64_t at_s;
	uint64_t related; // message id of the DSN, if any
};
