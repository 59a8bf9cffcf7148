// receive.h - from the wire to TCP: parse, steer to the owning worker, judge SYNs, answer ARP and ping.
//
// The worker of a flow is a function of (virtual server, 4-tuple) only, so any queue may receive any packet: what belongs to
// another worker goes over a ring, what is its own is handled in place. Received = handled + drops, over all workers.
//
// Thread:  the worker's lcore.
// Memory:  every packet buffer that comes in is freed, forwarded, or turned into the answer.
// Blocks:  never.

#pragma once

#include "dataplane/worker.h"

// Poll this worker's queue of every port and the rings from other workers. Returns packets seen.
unsigned receive_poll(struct worker *w);
