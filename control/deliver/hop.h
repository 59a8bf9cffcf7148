// hop.h - destinations (next hop lists of routes), the mails that wait for them and the connections to them.
//
// A destination opens connections while mails wait, up to the concurrency, keeps them for the idle time, and is left alone
// for a while when none of its hops takes mail: everything that waits for it is then deferred with one reason instead of
// waiting for one time-out each.
//
// Thread:  the event loop of postern-deliver.
// Memory:  one object for each destination; what waits is bounded by the queue.
// Blocks:  loading a mail and its body from disk.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/ip_addr.h"
#include "config/config.h"
#include "deliver/transaction.h"
#include "lookup/lookup_link.h"

enum {
	HOP_DOWN_MS = 15000, // a destination that failed is left alone
	HOP_LOADED_MAX =
		64, // mails kept in memory while they wait for one destination; others are read again
	HOP_HELO_MAX = 256,
};

struct hop_user {
	// Make a waiting mail ready. False: it cannot be read; the transaction is the user's again.
	bool (*load)(void *user, struct transaction *t);
	enum err (*body)(
		void *user, const struct transaction *t, uint64_t from, void *to, uint32_t octets);
	// Every recipient has its result in t->mail. hop: who said so. The transaction is the user's again.
	void (*done)(void *user, struct transaction *t, const char *hop);
	// It was not tried, because the destination is down, or, final, will never take it: then why begins with reply and status
	// code. The transaction is the user's again.
	void (*unreachable)(void *user, struct transaction *t, const char *why, bool final);
	// Whether mail may go to an address that a domain's MX records lead to.
	bool (*allows)(void *user, const struct ip_addr *addr);
	// It was not tried, and is to be routed again.
	void (*recalled)(void *user, struct transaction *t);
};

struct hop_dest;

struct hop_pool {
	uv_loop_t *loop;
	const struct hop_user *calls;
	void *user;
	struct hop_dest *dests;
	struct lookup_link *lookup;
	uint32_t concurrency; // connections to one destination; 0: nothing is sent
	unsigned connect_timeout_s;
	struct ip_addr source;
	char helo[HOP_HELO_MAX];
	bool is_stopping;
	uint32_t in_flight;   // mails that a connection has
	uint32_t connections; // open or opening
};

void hop_pool_init(
	struct hop_pool *pool, uv_loop_t *loop, const struct hop_user *calls, void *user);

// Everything that waits comes back through recalled().
void hop_pool_recall(struct hop_pool *pool);

// New settings hold for new connections; everything that waits is recalled. before: the configuration so far, NULL at start. A
// concurrency that was set by hand stays until the file says another.
void hop_pool_configure(
	struct hop_pool *pool, const struct config *before, const struct config *config);
// 0: nothing more is sent, and everything that waits is recalled.
void hop_pool_set_concurrency(struct hop_pool *pool, uint32_t concurrency);

// Where a mail goes: the hops of a route, or, when the route says mx, those of the recipients' domain.
struct hop_way {
	const struct config_route *route;
	const char *domain; // NULL: the route's hops
};

void hop_pool_put(struct hop_pool *pool, const struct hop_way *way, struct transaction *t);

// Start no mail any more; hop_pool.in_flight falls to 0.
void hop_pool_stop(struct hop_pool *pool);

// Try destinations that are down again at once.
void hop_pool_retry(struct hop_pool *pool);
