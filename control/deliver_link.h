// deliver_link.h - edge's end of the channel to postern-deliver (spool/channel.h): what was committed goes out, what the deliverer
// asks or is asked comes in.
//
// The channel comes and goes with the deliverer: deliver_link_attach() takes a new one at any time. A new channel starts with
// SYNC, so nothing that was or was not sent before matters. Records that find the channel full wait in a bounded queue; when that is full, queued COMMITTED
// records are forgotten and another SYNC makes the deliverer scan instead.
//
// Thread:  the control thread.
// Memory:  DELIVER_LINK_QUEUE records, and answers being put together, DELIVER_LINK_ANSWER_OCTETS each.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool/channel.h"

typedef struct uv_loop_s uv_loop_t;

enum {
	DELIVER_LINK_QUEUE = 16384,
	DELIVER_LINK_ASKS = 16,                // questions under way; more are refused
	DELIVER_LINK_ASK_MS = 10 * 1000,       // then the answer is NULL
	DELIVER_LINK_ANSWER_OCTETS = 16 << 20, // of one answer; more: NULL
};

struct deliver_link;

struct deliver_link_events {
	// CHANNEL_SEGMENT_DONE; seen: its token (spool_writer_segment_done).
	void (*segment_done)(void *user, uint64_t segment, uint64_t seen);
	// Number of the segment written now, for CHANNEL_SYNC.
	uint64_t (*segment)(void *user);
	// Part of a message the deliverer made; borrowed until return. octets of data follow the record.
	void (*inject)(void *user, const struct channel_record *record);
	void *user;
};

struct deliver_link *deliver_link_new(uv_loop_t *loop, const struct deliver_link_events *events);

// fd is taken over and made non-blocking; the channel before, and every question on it, ends.
void deliver_link_attach(struct deliver_link *link, int fd);
bool deliver_link_is_up(const struct deliver_link *link);

// Commits happened that were not passed on: send SYNC again, so that the deliverer scans.
void deliver_link_resync(struct deliver_link *link);

void deliver_link_committed(
	struct deliver_link *link, uint64_t message_id, uint64_t segment, uint64_t offset);
void deliver_link_injected(
	struct deliver_link *link, uint64_t token, uint64_t message_id, uint32_t status);
void deliver_link_segment_gone(struct deliver_link *link, uint64_t segment);

// answer(user, text, octets) is called once, later: JSON text as in channel.h, or NULL and why in place of it (a constant text) with
// octets 0. False: not asked, and answer is never called: channel down, question longer than CHANNEL_DATA_MAX, or too many under way.
typedef void deliver_link_answer_fn(void *user, const char *text, size_t octets, const char *why);
bool deliver_link_ask(struct deliver_link *link, const char *text, size_t octets,
	deliver_link_answer_fn *answer, void *user);

// Nobody wants the answer of this user any more.
void deliver_link_forget(struct deliver_link *link, const void *user);

// Ends all questions with NULL. Handles close on the loop's next turns; the memory goes with the last of them.
// For tests: the process ends by _exit().
void deliver_link_free(struct deliver_link *link);
