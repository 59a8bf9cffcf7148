// load_dpdk.h - the generator on a DPDK port with our own TCP: the same stack as the server's, opening actively.
//
// Its clients are addresses of --sources; it answers ARP for all of them. v4 only.
//
// Thread:  main, pinned to plan.lcore; polls without rest.
// Memory:  EAL's without huge pages for frames; the stack's is allocated once.
// Blocks:  never while it runs.

#pragma once

#include "load.h"

struct load_tell;

// Run the plan to its end. False: it could not begin, and why was printed.
bool load_dpdk_run(const struct load_plan *plan, struct load_tell *tell);
