// guard.h - the open-relay guard and the guarantees: a server that relays for strangers does not start.
//
// Judged on the computed sets of addresses, not on how they were written: who may connect, of those who may relay without
// logging in, less the organisation's own networks, must be nobody. So neither halves of the address space, nor
// a list of exceptions, nor own networks as wide as the Internet get past it.
//
// Thread:  any; no globals.
// Memory:  an arena of its own while it runs; the arena of the reader is not used.
// Blocks:  never.

#pragma once

#include "config/address_set.h"
#include "config/reader.h"

void guard_check(const struct config *config, struct reader *reader);

// For tests. Clients that can connect to a virtual server and relay there without logging in. Takes at most guard_octets() of the arena.
struct address_set guard_relay_clients(struct arena *arena, const struct config_vserver *vserver);
// For tests.
size_t guard_octets(const struct config_vserver *vserver);
