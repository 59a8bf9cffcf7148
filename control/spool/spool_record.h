// spool_record.h - what is on disk: segments of records (format version 1).
//
// DIR/segments/0000000000000001.seg   mail, written by the spooler of postern-edge only
// DIR/outcomes/0000000000000001.out   what became of each recipient, written by postern-deliver only
//
// A segment is preallocated and append-only. It starts with one HEADER record; records follow without gaps, each padded with
// zeros to SPOOL_ALIGN octets. All integers are little-endian. A message is CHUNK records and one COMMIT record; messages interleave.
//
// A bad record is one of two things. Torn: it was never synced when the machine stopped; the valid ones behind it (disks reorder)
// were not acknowledged either. Lost: it had been synced, so the disk is damaged. Records behind it tell by their field durable, the next
// segment by previous_octets.
//
// Looking for valid records behind a bad one means looking inside message bodies, which strangers write. So every file has a
// secret of its own, the salt, drawn at random when it is made, and no octets without it are a record: nobody can mail us one.
//
// Thread: any. Memory: none.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	SPOOL_VERSION = 1,
	SPOOL_ALIGN = 8,
	SPOOL_MAGIC = 0x4e545350,    // "PSTN"
	SPOOL_PAYLOAD_MAX = 1 << 20, // octets; a longer record is a bad one
	SPOOL_FIRST_OFFSET = 96,     // where the record behind HEADER starts
};

enum spool_record_type {
	SPOOL_RECORD_HEADER = 1, // struct spool_segment_header
	SPOOL_RECORD_CHUNK,      // body octets
	SPOOL_RECORD_COMMIT,     // envelope and chunk list
	SPOOL_RECORD_SEAL,       // end of the segment; what is behind it was never acknowledged
	SPOOL_RECORD_OUTCOME,    // in outcome logs: struct spool_outcome and text
};

struct spool_record {
	uint32_t magic;
	uint32_t crc32c;         // of the header behind this field
	uint32_t octets;         // payload, without padding
	uint32_t payload_crc32c; // of the payload
	uint16_t type;           // enum spool_record_type
	uint16_t version;
	uint32_t
		durable; // this file was synced up to here, in units of SPOOL_ALIGN, when the record was made
	uint64_t message_id; // 0 for HEADER and SEAL
	uint64_t epoch;      // policy epoch the message was accepted under
	uint64_t
		offset; // own position in the file, so that old octets at another place are no record
	uint64_t segment; // own segment number, likewise
	uint64_t salt;    // of this file
};

struct spool_segment_header {
	uint64_t segment;
	uint64_t boot;     // grows with each start of the spooler; upper part of message ids
	int64_t created_s; // UTC
	uint64_t
		previous_octets; // of records in the segment before, all synced; 0: a segment of another boot, or none
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
	uint32_t flags;  // SPOOL_COMMIT_*
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

// Fill in magic, version and crc32c; the caller has set the rest.
void spool_record_seal(struct spool_record *record);

// The header is whole and its lengths are possible. Says nothing about the payload.
bool spool_record_is_valid(const struct spool_record *record);

// Octets on disk of a record with this payload: header, payload, padding.
static inline uint64_t spool_record_span(uint32_t octets)
{
	return (sizeof(struct spool_record) + octets + SPOOL_ALIGN - 1) &
	       ~(uint64_t)(SPOOL_ALIGN - 1);
}
