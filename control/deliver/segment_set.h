// segment_set.h - which segments of the spool still hold something to deliver.
//
// A segment is referred to by every unfinished message that has its commit record or an extent in it. It is done when nothing refers to
// it and it is older than the last one the spooler spoke of. Done segments are offered until the spooler says that they are gone:
// it keeps one that holds chunks of a message it has not committed yet.
//
// Thread:  the event loop of postern-deliver.
// Memory:  one entry for each segment on disk, and 8 octets for each message committed in it.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SEGMENT_SET_AGAIN_MS = 10000,
};

struct segment {
	uint64_t number;
	uint32_t refs;
	bool is_pinned;     // something in it could not be read: it stays for the operator
	int64_t offered_ms; // last SEGMENT_DONE; 0: never
	uint64_t *ids;      // committed in it
	size_t id_count, id_room;
};

struct segment_set {
	struct segment *at; // by number, rising
	size_t count, room;
};

// The entry; made when missing, with those between the newest so far and it. Valid until the next call that makes one.
struct segment *segment_set_get(struct segment_set *set, uint64_t number);
struct segment *segment_set_find(const struct segment_set *set, uint64_t number);

void segment_set_ref(struct segment_set *set, uint64_t number);
void segment_set_unref(struct segment_set *set, uint64_t number);
void segment_set_add_id(struct segment_set *set, uint64_t number, uint64_t id);

// A done segment below seen that was not offered for SEGMENT_SET_AGAIN_MS; marks it offered. False: none.
bool segment_set_offer(struct segment_set *set, uint64_t seen, int64_t now_ms, uint64_t *number);

void segment_set_remove(struct segment_set *set, uint64_t number);
void segment_set_free(struct segment_set *set);
