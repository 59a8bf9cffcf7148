// transmit.h - from a segment to the wire: frame, next hop, neighbour, burst.
//
// A worker without a transmit queue of its own hands frames to the worker that has one.
//
// Thread:  the worker's lcore.
// Memory:  packet buffers from the common mempool; an empty mempool or full queue drops the frame, counted (TCP sends again).
// Blocks:  never.

#pragma once

#include "dataplane/worker.h"

// The emit function of struct tcp_env; user is the worker.
void transmit_segment(void *worker, const struct segment *s);

// A complete frame for this port; takes m.
void transmit_frame(struct worker *w, unsigned port, struct rte_mbuf *m);

// Send what other workers left for our queues and what this loop produced. Returns frames moved.
unsigned transmit_flush(struct worker *w);
