// load_kernel.h - the generator over kernel sockets, so that any server can be driven by the same client.
//
// Thread: its own loop (libuv). Blocks: in the kernel's poll only.

#pragma once

#include "load.h"

struct load_tell;

// Run the plan to its end. False: it could not begin, and why was printed.
bool load_kernel_run(const struct load_plan *plan, struct load_tell *tell);
