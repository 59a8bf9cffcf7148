// neighbour.h - the other ends of the links, as one worker knows them: ARP and neighbour discovery in, questions and answers out.
//
// Every worker has a table of its own (net/neigh.h), so the transmit path takes no lock; the worker that receives a packet answers
// it and passes copies of what others may learn from.
//
// Thread:  the worker's lcore.
// Memory:  packet buffers from the common mempool; with none left a question is asked later.
// Blocks:  never.

#pragma once

#include "dataplane/worker.h"
#include "net/frame.h"

// Before the first loop: know the gateways.
void neighbour_start(struct worker *w);

// A FRAME_ARP, FRAME_ND or FRAME_MLD that this worker received; takes m and accounts for it.
void neighbour_input(struct worker *w, struct rte_mbuf *m, const struct frame *f);

// A copy of one that another worker received; does not take it.
void neighbour_hear(struct worker *w, unsigned port, const struct frame *f);

// Fill in the Ethernet destination of a frame and send it, or let it wait for an answer; takes m.
void neighbour_send(struct worker *w, unsigned port, const struct ip_addr *to, struct rte_mbuf *m);

// Once a loop: what is due.
void neighbour_poll(struct worker *w);
