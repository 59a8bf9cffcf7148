// queue.h - the index of what is to be delivered: for each message and recipient what is known of it and when it is tried next.
// The messages themselves stay on disk.
//
// Life of a recipient: WAITING (in time, or held) -> SENDING -> DELIVERED, or WAITING again, or BOUNCING -> BOUNCED or REMOVED.
// Life of a message: added; in the heap while a recipient waits; finished when every recipient has its outcome on disk. A finished message is
// freed, its id is remembered until its segment is gone, so that a scan does not take it for a new one.
//
// Thread:  the event loop of postern-deliver.
// Memory:  QUEUE_MESSAGES_MAX messages; one more is left on disk (QUEUE_FULL) until a later scan.
// Blocks:  never.
// Clock:   now_ms is an argument, from any zero.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "deliver/id_map.h"
#include "deliver/segment_set.h"
#include "spool/spool_reader.h"

enum {
	QUEUE_MESSAGES_MAX = 1000000,
};

enum queue_rcpt_state {
	QUEUE_WAITING,
	QUEUE_SENDING,
	QUEUE_BOUNCING, // its DSN is not yet on disk
	QUEUE_DELIVERED,
	QUEUE_BOUNCED,
	QUEUE_REMOVED,
	QUEUE_STATES,
};

struct queue_rcpt {
	int64_t next_ms; // WAITING: not before
	char *last;      // what was said to the last attempt, or NULL
	uint16_t attempts;
	uint8_t state; // enum queue_rcpt_state; written by queue_rcpt_*() only
};

struct queue_message {
	uint64_t id, segment, offset;
	int64_t arrived_s; // UTC
	uint64_t octets;
	uint64_t serial; // order of addition: decides among those due at the same time
	int64_t next_ms;
	size_t heap_index; // SIZE_MAX: not in the heap
	struct queue_message *older, *newer;
	uint64_t *segments; // that it has records in, each once
	uint32_t segment_count;
	uint32_t rcpt_count;
	uint32_t open; // recipients without an outcome
	bool is_held;
	bool is_null_sender; // never bounced, our own DSNs among them
	struct queue_rcpt rcpts[];
};

// (message, recipient) pairs, of everything that was on disk since this process started.
struct queue_counts {
	uint64_t received, created; // created: our own DSNs
	uint64_t states[QUEUE_STATES];
};

struct queue {
	struct id_map ids; // to struct queue_message, NULL: finished
	struct segment_set segments;
	struct queue_message *oldest, *newest;
	struct queue_message **heap;
	size_t heap_count, heap_room;
	size_t messages, messages_max, held;
	uint64_t serial;
	struct queue_counts counts;
};

void queue_init(struct queue *q, size_t messages_max);
// For tests: the process ends by exit().
void queue_free(struct queue *q);

enum queue_added {
	QUEUE_NEW,
	QUEUE_KNOWN, // seen before, whatever became of it
	QUEUE_FULL,
};

// Outcomes of an earlier run, one for each recipient that has one.
struct queue_past {
	uint32_t rcpt;
	uint32_t kind; // enum spool_outcome_kind
};

// Take a message in; the rest of its recipients is due at once. *out: the message, NULL when nothing is left to deliver.
enum queue_added queue_add(struct queue *q, const struct spool_message *spool, int64_t now_ms,
	struct queue_message **out);

// A recipient that got its outcome in an earlier run. The message must be looked at with queue_message_settled() afterwards.
void queue_rcpt_replay(struct queue *q, struct queue_message *m, const struct queue_past *past);

struct queue_message *queue_find(const struct queue *q, uint64_t id);
bool queue_is_known(const struct queue *q, uint64_t id);

// The message that is due first, taken out of the heap; NULL: none. Those of its recipients that wait with next_ms <= now_ms are to be moved on.
struct queue_message *queue_due(struct queue *q, int64_t now_ms);

// When the next one is due; INT64_MAX: never.
int64_t queue_next_ms(const struct queue *q);

// Put it back into the heap, or elsewhere in it, or take it out, as its recipients and the hold say.
void queue_message_place(struct queue *q, struct queue_message *m);

void queue_rcpt_sending(struct queue *q, struct queue_message *m, uint32_t rcpt);
void queue_rcpt_wait(struct queue *q, struct queue_message *m, uint32_t rcpt, int64_t next_ms);
void queue_rcpt_bouncing(struct queue *q, struct queue_message *m, uint32_t rcpt);
void queue_rcpt_said(struct queue_message *m, uint32_t rcpt, const char *text);

// DELIVERED, BOUNCED or REMOVED; the outcome need not be on disk yet.
void queue_rcpt_end(
	struct queue *q, struct queue_message *m, uint32_t rcpt, enum queue_rcpt_state state);

void queue_message_hold(struct queue *q, struct queue_message *m, bool is_held);

// All outcomes put so far are on disk: free the message if it has no open recipient. True: freed.
bool queue_message_settled(struct queue *q, struct queue_message *m);

// The segment is unlinked: forget its ids.
void queue_segment_gone(struct queue *q, uint64_t segment);

const char *queue_state_name(enum queue_rcpt_state state);
