// steer.h - which worker a packet belongs to, and how it gets there.
//
// Thread:  the worker's lcore.
// Memory:  packet buffers; a full ring frees the newest.
// Blocks:  never.

#pragma once

#include "dataplane/rss.h"
#include "dataplane/worker.h"

struct rte_mbuf;

// The owner of a flow to an address of this virtual server (SNAPSHOT_NO_VSERVER: of none), a function of both only. For fragments the
// ports are the halves of their id.
unsigned steer_owner(const struct worker *w, const struct rss_tuple *flow, uint16_t vserver);

// Pass m to another worker; takes m.
void steer_to(struct worker *w, struct rte_mbuf *m, unsigned owner);

// A TCP packet came to this worker from a port: whether ports deliver to the workers of the virtual server is what proves their rules.
void steer_count_landing(struct worker *w, uint16_t vserver);
