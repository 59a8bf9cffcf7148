// hop_dial.h - from a list of hops to one connection that takes mail: hops in order, the addresses of a name in order, until one has
// answered EHLO.
//
// Bugs: names are resolved by getaddrinfo() on libuv's threads (no DNSSEC, no MX), until postern-lookup does it.
//
// Thread:  the event loop of postern-deliver.
// Memory:  one object while it lasts, and the answer of the resolver.
// Blocks:  never.

#pragma once

#include <netdb.h>
#include <stdint.h>
#include <uv.h>

#include "deliver/hop_conn.h"

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
	// No hop of the list takes mail now; the dial is gone. Always later than hop_dial_start().
	void (*failed)(void *user, const char *why);
	void (*hop_failed)(void *user, const char *hop, const char *why);
};

struct hop_dial_setup {
	struct hop_conn_setup conn;      // to, port and host are filled in for each try
	const struct hop_dial_hop *hops; // borrowed while the dial lasts
	uint32_t hop_count;
	const struct hop_dial_owner *owner;
	void *user;
};

void hop_dial_start(const struct hop_dial_setup *setup);
