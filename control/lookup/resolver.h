// resolver.h - one DNS question, asynchronously: what postern-lookup needs of libunbound, as a table, so that tests can answer instead.
//
// Thread:  the event loop of postern-lookup.
// Memory:  an answer lives as long as the call that brings it.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
	RESOLVER_RECORDS = 64, // of one answer; further ones are not looked at
};

enum resolver_type {
	RESOLVER_A = 1,
	RESOLVER_PTR = 12,
	RESOLVER_MX = 15,
	RESOLVER_AAAA = 28,
};

enum resolver_status {
	RESOLVER_FOUND,
	RESOLVER_NONE,   // NXDOMAIN, or no record of the type
	RESOLVER_FAILED, // SERVFAIL, time-out, bogus
};

struct resolver_answer {
	enum resolver_status status;
	bool no_name; // NONE: NXDOMAIN
	bool secure;
	uint32_t ttl_s;
	uint32_t count;
	struct slice records[RESOLVER_RECORDS]; // RDATA in wire form, names uncompressed
};

typedef void resolver_fn(void *user, const struct resolver_answer *answer);

struct resolver {
	// fn is called exactly once, never before ask() returns. name: text form.
	void (*ask)(struct resolver *r, const char *name, enum resolver_type type, resolver_fn *fn,
		void *user);
};
