// policy.h - facts in, verdict out: who may connect and who may relay (a pure function over the snapshot).
//
// The same snapshot and the same facts give the same verdict on every lcore and in every tool: explain asks here too.
// Rules are those of the product: connection control judged on the SYN; for each recipient, local and
// relay domains first, then the relay list, then nothing else grants (logins and peers will stand between as they are built).
// Names of the client stand in lists beside addresses; in a list of exceptions a client without a confirmed name is one of them, or it
// would escape the list by deleting its PTR.
// HELO names, senders and message content never grant anything, so they are not among the facts.
//
// Thread:  any lcore, at once. The snapshot is immutable while its RCU reader holds it.
// Memory:  allocates nothing; borrows both arguments.
// Blocks:  never. Cost: connect a bit test; recipient one or two hash lookups.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "config/snapshot.h"

enum policy_kind {
	POLICY_ACCEPT,
	POLICY_REFUSE,
	POLICY_DEFER, // a fact that could matter is not known yet
};

// Which rule decided.
#define POLICY_RULES(RULE)                                                                         \
	RULE(NONE, "none")                     /* nothing says yes */                              \
	RULE(ANYBODY, "everybody may connect") /* no connection list */                            \
	RULE(CONNECT_LIST, "connections") /* entry of the list, or the list's absence of one */    \
	RULE(LOCAL_DOMAIN, "local_domains")                                                        \
	RULE(RELAY_DOMAIN, "relay_domains")                                                        \
	RULE(RELAY_LIST, "relay")                                                                  \
	RULE(POSTMASTER, "postmaster")

enum policy_rule {
#define RULE(name, text) POLICY_RULE_##name,
	POLICY_RULES(RULE)
#undef RULE
		POLICY_RULE_COUNT
};

// What is known of the client's names. Where a list has names, not known is not yes: the verdict is DEFER when it hangs on them.
enum policy_names_kind {
	POLICY_NAMES_UNKNOWN, // not asked for yet, or nothing was found out
	POLICY_NAMES_NONE,    // it has no confirmed name
	POLICY_NAMES_FOUND,
};

struct policy_names {
	enum policy_names_kind kind;
	bool partial;          // FOUND: it may have others, of which nothing was found out
	bool cut;              // FOUND: it has more than were looked at
	const uint64_t *lists; // FOUND: the lists that one of them is in, class_words words
};

struct policy_client {
	uint16_t vserver;
	uint32_t class; // of the client's address in this snapshot
	struct policy_names names;
};

struct policy_verdict {
	enum policy_kind kind;
	enum policy_rule rule;
	const struct config_domain *domain; // LOCAL_DOMAIN, RELAY_DOMAIN: the entry; else NULL
};

struct policy_verdict policy_connect(const struct snapshot *snapshot, struct policy_client client);

// recipient_domain in lower case, without final dot; empty for <postmaster>.
struct policy_verdict policy_rcpt(const struct snapshot *snapshot, struct policy_client client,
	struct slice recipient_domain);

const char *policy_rule_text(enum policy_rule rule);

// File position behind a verdict for logs and explain: {0, 0} when nothing was written. Off the lcores (walks the trie).
// name: the client's that decided, or any of them; empty: none.
struct config_pos policy_rule_pos(const struct snapshot *snapshot, struct policy_client client,
	const struct ip_addr *address, struct slice name, struct policy_verdict verdict);
