// channel.h - fixed records between postern-edge (spooler, control socket) and postern-deliver, over a seqpacket pair that the
// supervisor makes and hands to both whenever one of them starts.
//
// Edge -> deliver: COMMITTED, INJECTED, SEGMENT_GONE, QUEUE_ASK. Deliver -> edge: INJECT, SEGMENT_DONE, QUEUE_ANSWER.
// QUEUE_ASK is {"verb": V, "args": {...}} with V one of list, show, count, hold, release, retry, delete, bounce (args: id, sender,
// recipient, client, vserver as strings, limit as integer; all that are given must hold), get, set (args: name, value; for
// delivery.concurrency). QUEUE_ANSWER is {"ok": bool, "exit": 0..2, "text": for people, "data": {...}}, handed through to posternctl.
//
// A lost channel loses nothing: deliver finds messages by scanning when it starts and again when it gets a new channel.
//
// Thread: one at each end. Memory: none. Blocks: descriptors are non-blocking; a full channel makes the sender keep and try again.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum channel_kind {
	CHANNEL_COMMITTED = 1, // a message is durable: segment, offset
	CHANNEL_SYNC, // edge -> deliver, first record on a new channel: everything committed before it is found by a scan
	// begun after it was read; segment: the one written now. COMMITTED can repeat what the scan found
	CHANNEL_INJECT,   // part of a message made here (a DSN); more in flags until the last
	CHANNEL_INJECTED, // it is durable (status 0) or not (enum err); token as asked
	CHANNEL_SEGMENT_DONE, // every message with records in this segment is finished; token: segment of the last
	// SYNC or COMMITTED read on this channel, must be above this segment. Not answered: ask again later
	CHANNEL_SEGMENT_GONE, // it is unlinked
	CHANNEL_QUEUE_ASK,    // a queue command of the control socket: JSON text
	CHANNEL_QUEUE_ANSWER, // JSON text; CHANNEL_MORE: continued
};

enum {
	CHANNEL_MORE = 1,
	CHANNEL_DATA_MAX = 32768,
	CHANNEL_RECORD_MAX = 48 + CHANNEL_DATA_MAX,
};

struct channel_record {
	uint16_t kind;
	uint16_t flags;
	uint32_t octets; // of data
	uint64_t token;  // pairs questions with answers
	uint64_t message_id;
	uint64_t segment, offset;
	uint32_t status;
	uint32_t
		rcpt_count; // INJECT: first record carries envelope strings as in struct spool_commit, then body in further ones
	uint8_t data[];     // octets
};

// Send one record with record->octets octets of data. ERR_MORE: the channel is full, try again when it is writable.
// ERR_CHANNEL_GONE: nobody is at the other end; close it.
MUST_CHECK enum err channel_send(int fd, const struct channel_record *record, const void *data);

// Take one record; record points to CHANNEL_RECORD_MAX octets. ERR_MORE: none waits. ERR_CHANNEL_GONE: the other end is closed.
// ERR_CHANNEL_BAD: lengths or kind make no sense; close it.
MUST_CHECK enum err channel_receive(int fd, struct channel_record *record);
