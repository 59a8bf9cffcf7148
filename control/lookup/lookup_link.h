// lookup_link.h - our end of the socket to postern-lookup: questions out, answers to whoever asked.
//
// Every question is answered exactly once: by postern-lookup, or with DEFER when it is gone, does not answer in time, or too many
// are open.
//
// Thread:  one event loop: of postern-deliver, or of the control thread of postern-edge.
// Memory:  LOOKUP_LINK_OPEN questions.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lookup/lookup_record.h"

enum {
	LOOKUP_LINK_OPEN = 2048,
};

typedef void lookup_link_fn(void *user, const struct lookup_answer *answer);

struct lookup_link;

struct lookup_link *lookup_link_new(uv_loop_t *loop);

// From now on questions go there; those that are open are answered DEFER. Owns fd.
void lookup_link_attach(struct lookup_link *link, int fd);

// name: at most 255 octets, else NONE. fn is called later, never from inside. False: too many are open, and fn is not called.
bool lookup_link_ask(struct lookup_link *link, enum lookup_kind kind, const char *name,
	lookup_link_fn *fn, void *user);

// The same about an address: CLIENT or POINTER.
bool lookup_link_ask_client(struct lookup_link *link, enum lookup_kind kind,
	const struct ip_addr *address, lookup_link_fn *fn, void *user);
