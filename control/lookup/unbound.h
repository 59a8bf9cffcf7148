// unbound.h - struct resolver by libunbound: its own cache, DNSSEC validation, and threads that never touch our loop.
//
// Thread:  the event loop of postern-lookup; libunbound's worker speaks to it through a descriptor.
// Memory:  libunbound's, bounded by its cache sizes.
// Blocks:  unbound_start() reads files.

#pragma once

#include <uv.h>

#include "config/config.h"
#include "lookup/resolver.h"

struct unbound;

// By dns.servers, or what /etc/resolv.conf says; /etc/hosts counts. NULL: why was logged.
struct unbound *unbound_start(uv_loop_t *loop, const struct config *config);
struct resolver *unbound_resolver(struct unbound *u);
// Questions under way come back as failed, before it returns.
void unbound_stop(struct unbound *u);
