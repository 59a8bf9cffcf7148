// reach.h - what a policy gives to addresses without login, as exact sets over all of IPv4 and IPv6, and as JSON.
//
// Each class of the snapshot is judged by policy/, the very code that judges sessions, and the trie says which addresses have
// it. REACH_RELAY: the policy takes the connection and in it a recipient of a domain that is in no list. So connection
// control and relay list both have to agree, and relay_domains: ["*"] is relaying for everybody who may connect.
//
// Thread:  any that may hold the snapshot; off the lcores.
// Memory:  the arena of the caller: reach_octets() for each set. JSON is the caller's.
// Blocks:  never. Cost: a verdict for each class and one pass over the trie.

#pragma once

#include <jansson.h>

#include "config/address_set.h"
#include "config/snapshot.h"

enum reach_right {
	REACH_CONNECT,
	REACH_RELAY,
};

enum {
	REACH_PREFIXES_MOST =
		2000000, // listed in an answer over the control socket, about 250 MB while it is made
	REACH_PREFIXES_OFFLINE = 16000000, // and of a tool
};

size_t reach_octets(const struct snapshot *snapshot);
struct address_set reach_of(struct arena *arena, const struct snapshot *snapshot, uint16_t vserver,
	enum reach_right right);

// Entries of the list behind a right that are host names: who has such a name is given it as well, from whatever address. As a list of texts.
json_t *reach_names(const struct snapshot *snapshot, uint16_t vserver, enum reach_right right);

// Adds "ipv4" and "ipv6" to object: {"count": "256", "prefixes": ["10.12.8.0/24"]}, the fewest prefixes that make the set. More than most
// of a family: "prefixes" is null, and "prefix_count" says how many they are.
void reach_add_json(json_t *object, struct address_set set, uint32_t most);

// Lines for people of such an object, each prefix with indent before it; "none" when there are none.
void reach_print(FILE *out, const json_t *object, const char *indent);

// The virtual server of this name; SNAPSHOT_NO_VSERVER: none, and why names those there are.
uint16_t reach_vserver(const struct snapshot *snapshot, const char *name, char *why, size_t octets);
