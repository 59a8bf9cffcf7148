// address.h - our own addresses on the links: whether each is free (net/dad.h), who disputes it, and which groups carry questions for
// them (net/mld.h).
//
// The first worker does this for all ports; the others read what it found in struct edge and pass on what they hear.
//
// Thread:  the first worker's lcore; address_is_usable() and address_state() any.
// Memory:  struct address_set, taken at worker_make().
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"
#include "net/arp.h"
#include "net/dad.h"
#include "net/mld.h"
#include "net/nd.h"

struct address_set;

// NULL: EAL has too little memory.
struct address_set *address_make(void);

// Before the first loop, and once a loop. Nothing to do for workers without a set.
void address_start(struct worker *w);
void address_poll(struct worker *w);

// What was heard on a port, by this worker or another. Only on the first worker.
void address_hear_arp(struct worker *w, unsigned port, const struct arp *arp);
void address_hear_nd(struct worker *w, unsigned port, const struct frame *f, const struct nd *nd);
void address_hear_mld(struct worker *w, unsigned port, const struct mld_query *query);

// enum dad_state of the i-th address of a port.
static inline uint8_t address_state(const struct worker *w, unsigned port, int i)
{
	return atomic_load_explicit(&w->edge->links[port].addresses[i].state, memory_order_relaxed);
}

// An IPv6 address that somebody else has is none of ours (RFC 4862 5.4.5).
static inline bool address_is_usable(const struct worker *w, unsigned port, int i)
{
	return address_state(w, port, i) != DAD_TAKEN ||
	       ip_addr_is_v4(&w->common->ports->ports[port].iface.addresses[i].addr);
}

// Whether a packet that came by this port for dst is for us: DROP_NONE, DROP_IP_NOT_OURS or DROP_IP_TAKEN. A link-local address is
// ours on its own link only.
enum drop address_check(const struct worker *w, unsigned port, const struct ip_addr *dst);
