// snapshot.h - one configuration compiled for lookups: immutable, numbered by its policy epoch.
//
// All prefixes of all lists of all virtual servers are in one trie per family. An address maps to one class, and a class is
// the set of lists the address is in; so a SYN costs one lookup and a bit test (policy/policy.h). The trie itself gives exact
// answers to who-can-relay and diff, and the line behind a decision.
//
// Thread:  built on the control thread or in a tool; read by any lcore between RCU quiescent states.
// Memory:  one arena, snapshot_free() after all readers have passed; borrows struct config, which must live as long.
// Blocks:  building allocates; lookups never block.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "config/config.h"

struct prefix_trie;
struct name_match_scratch;

enum {
	SNAPSHOT_NO_VSERVER = 0xffff,
};

// A set of domains, exact and by suffix; open addressing over lower-case names.
struct snapshot_domains;

struct snapshot_vserver {
	const struct config_vserver *config;
	uint16_t index;
	// List numbers: bits in a class, and in the set of lists of a name.
	uint16_t connect_list, relay_list;
	bool connect_names, relay_names; // the list has names as well
	enum config_list_mode connect_mode, relay_mode;
	enum config_refuse refuse;
	const struct snapshot_domains *local_domains, *relay_domains;
	uint64_t worker_mask; // bit n: dataplane.workers[n] serves this virtual server; never 0
};

struct snapshot {
	uint64_t epoch;
	const struct config *config;
	struct snapshot_vserver *vservers;
	uint16_t vserver_count;
	uint16_t unassigned_vserver; // of listen: all-unassigned; SNAPSHOT_NO_VSERVER: none
	uint16_t list_count;         // bits in a class
	bool names;                  // some list has names: config->names is there (name_match.h)
	uint32_t class_count;        // class 0: in no list
	uint32_t class_words;        // 64-bit words a class set has
	const uint64_t *class_sets;  // class_count * class_words
	const struct prefix_trie *trie; // v4-mapped and v6 in one key space of 128 bits
	void *bindings;                 // listen address -> virtual server
	void *class_table; // the lcores' lookup table (dataplane/policy/class_table.h); NULL in tools
	void *arena;
};

// Compile. Never fails for a configuration that config_load() returned, but by memory: NULL.
struct snapshot *snapshot_build(const struct config *config, uint64_t epoch);
void snapshot_free(struct snapshot *snapshot); // not the class_table, which its maker frees first

// Which virtual server an address belongs to, whatever the port; SNAPSHOT_NO_VSERVER: none. An address of a port that no
// vserver claims goes to all-unassigned if there is one. Cost: one hash lookup.
uint16_t snapshot_vserver_at(const struct snapshot *snapshot, const struct ip_addr *local);

// Whether that virtual server listens on this port of this address.
bool snapshot_listens(const struct snapshot *snapshot, uint16_t vserver,
	const struct ip_addr *local, uint16_t port);

// Class of an address by the trie: exact, for tools and for checking the lcores' table. Cost: up to 128 steps.
uint32_t snapshot_class_of(const struct snapshot *snapshot, const struct ip_addr *client);

static inline bool snapshot_class_has(const struct snapshot *s, uint32_t class, uint16_t list)
{
	return s->class_sets[(uint64_t) class * s->class_words + list / 64] >> (list % 64) & 1;
}

// Longest entry of this list that covers the address: the rule a log line names. NULL: none.
const struct config_prefix *snapshot_entry_of(
	const struct snapshot *snapshot, uint16_t list, const struct ip_addr *client);

// A list as it was written: which prefixes and names it holds, for tools.
const struct config_list *snapshot_list_of(const struct snapshot *snapshot, uint16_t list);

// Adds the lists that a client's name (lower case, no final dot) is in to sets: class_words words, bits as in a class. Of a snapshot that has
// names, with a scratch of its own database. Cost: one scan.
void snapshot_name_lists(const struct snapshot *snapshot, struct name_match_scratch *scratch,
	struct slice name, uint64_t *sets);

// How many entries of this list match name, and the first of them, which is the rule a log line names; NULL: none. Allocates; off the
// lcores.
uint32_t snapshot_name_entries(const struct snapshot *snapshot, uint16_t list, struct slice name,
	const struct config_name **first);

// Every node of the trie in order of address, for building a lookup table: the class holds from this prefix down,
// until a longer one. Returns false from fn to stop.
typedef bool snapshot_prefix_fn(
	void *user, const struct ip_addr *addr, uint8_t len, uint32_t class);
void snapshot_each_prefix(const struct snapshot *snapshot, snapshot_prefix_fn *fn, void *user);

// Is domain (lower case, no final dot) in the set? The entry that says so, or NULL.
const struct config_domain *snapshot_domain_find(
	const struct snapshot_domains *set, struct slice domain);
