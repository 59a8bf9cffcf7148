// dispatch.h - from the queue to next hops and back: due messages are routed and split, results become outcomes, later attempts or bounces.
//
// Thread: the event loop of postern-deliver. Memory: none of its own. Blocks: on the disk.

#pragma once

#include "deliver/deliver.h"

extern const struct hop_user dispatch_hop_user; // user is struct deliver

// Some of what is due; the rest when the loop comes round again.
void dispatch_due(struct deliver *d);
