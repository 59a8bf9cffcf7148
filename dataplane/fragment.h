// fragment.h - one worker's fragments: from packet buffers to whole packets (net/reassembly.h), and pings that are too large for a frame.
//
// Thread:  the worker's lcore.
// Memory:  the worker's reassembly table, taken once; a whole packet lies in the buffer of the fragment that came last.
// Blocks:  never.

#pragma once

#include "base/siphash.h"
#include "dataplane/worker.h"
#include "net/frame.h"

struct rte_mbuf;

// NULL: EAL has too little memory.
struct fragments *fragment_make(struct worker *w, const struct siphash_key *key);

// A FRAME_FRAGMENT to an address of ours; takes m. The whole packet as a frame that came from the same port, not accounted for yet. NULL:
// not whole, and the fragment is accounted for or waits; or whole, larger than a frame, and done with: an echo request is answered
// in fragments, nothing else is so large with honest peers (our MSS fits the link).
struct rte_mbuf *fragment_join(struct worker *w, struct rte_mbuf *m, const struct frame *f);

// Once a loop: packets whose time is over.
void fragment_poll(struct worker *w);
