// hop_dial.h - from a list of hops, or a domain, to one connection that takes mail: hops in order, the addresses of a name in order,
// until one has answered EHLO.
//
// A domain's hops are what its MX records name (RFC 5321 section 5.1), asked of postern-lookup; addresses that a foreign zone must not
// lead us to are left out (mx_address.h). When the DNS says that nobody takes the domain's mail, that is final.
//
// Thread:  the event loop of postern-deliver.
// Memory:  one object while it lasts, and the answer of the resolver.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "deliver/hop_conn.h"
#include "lookup/lookup_link.h"

enum {
	HOP_DIAL_HOPS_MAX = 16,     // of one list; further ones are not tried
	HOP_DIAL_ADDRESSES_MAX = 8, // of one name
};

struct hop_dial_hop {
	char *host;
	uint16_t port;
};

struct hop_dial;

struct hop_dial_owner {
	// Connected: the connection asks for its first mail; it is the owner's from here on, and the dial is gone.
	struct transaction *(*dialled)(void *user, struct hop_conn *conn);
	// No hop takes mail now, or, final, ever: then why begins with reply and status code. The dial is gone. Always later than
	// hop_dial_start().
	void (*failed)(void *user, const char *why, bool final);
	// Whether an address found by MX may be used; NULL: all.
	bool (*allows)(void *user, const struct ip_addr *addr);
	void (*hop_failed)(void *user, const char *hop, const char *why);
};

struct hop_dial_setup {
	struct hop_conn_setup conn;      // to, port and host are filled in for each try
	const struct hop_dial_hop *hops; // borrowed while the dial lasts
	uint32_t hop_count;
	const char *domain; // instead of hops: whom its MX records name; borrowed as well
	struct lookup_link *lookup;
	const struct hop_dial_owner *owner;
	void *user;
};

void hop_dial_start(const struct hop_dial_setup *setup);
