// name_table.h - what a worker knows of its clients' names: answers for as long as they live, questions that are open, and which sessions
// wait for them.
//
// Bounded: a full table forgets the answer that was used least recently, never a question that is open; a full pool of waiters refuses the
// newest. Cost: some cache lines each, nothing that grows with the table.
//
// Thread:  the worker that owns it.
// Memory:  name_table_octets(), taken once.
// Blocks:  never. No clock: time is an argument.

#pragma once

#include <stddef.h>

#include "base/limits.h"
#include "base/siphash.h"
#include "dataplane/name_record.h"

enum {
	NAME_TABLE_WORDS = 2, // of a set of lists; both lists of LIMIT_VSERVERS
};

enum name_state {
	NAME_STATE_NEW, // nothing known, nothing asked
	NAME_STATE_ASKED,
	NAME_STATE_ANSWERED,
};

struct name_entry {
	struct ip_addr address;
	uint64_t until_us;                // ANSWERED: how long it holds
	uint64_t epoch;                   // policy epoch that lists were matched in; 0: not yet
	uint64_t lists[NAME_TABLE_WORDS]; // that any of the names is in
	uint64_t own[NAME_RECORD_NAMES][NAME_TABLE_WORDS];
	uint32_t serial, waiter; // of the last question; first who waits
	uint32_t next, newer, older;
	uint16_t slot; // of the virtual server that asked
	bool plain;
	uint8_t state, status, count, partial, cut;
	char text[NAME_RECORD_TEXT_OCTETS];
};

struct name_table;

size_t name_table_octets(uint32_t entries, uint32_t waiters);
struct name_table *name_table_init(
	void *memory, uint32_t entries, uint32_t waiters, const struct siphash_key *key);

// NULL: nothing is known of this client.
struct name_entry *name_table_find(
	struct name_table *table, const struct ip_addr *address, bool plain);

// The same; makes a NEW one when there is none, in place of the oldest. NULL: all are asked.
struct name_entry *name_table_take(
	struct name_table *table, const struct ip_addr *address, bool plain);

uint32_t name_table_index(const struct name_table *table, const struct name_entry *entry);

// A question about it is on its way.
void name_table_ask(struct name_table *table, struct name_entry *entry);

// Its answer is in. NULL: nobody asked that.
struct name_entry *name_table_answer(
	struct name_table *table, const struct name_answer *answer, uint64_t until_us);

// One more who waits for an entry that is asked. False: no room.
bool name_table_wait(
	struct name_table *table, struct name_entry *entry, uint32_t conn, uint32_t generation);
void name_table_unwait(struct name_table *table, struct name_entry *entry, uint32_t conn);

// Take one who waits; false: nobody does.
bool name_table_next_waiter(
	struct name_table *table, struct name_entry *entry, uint32_t *conn, uint32_t *generation);
