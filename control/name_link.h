// name_link.h - questions of the workers about names of clients, to postern-lookup and back.
//
// Each question of a worker's ring is answered exactly once in its other ring: by postern-lookup, or NAME_FAILED when that is gone, slow, or
// too many questions are open. So a kill of postern-lookup defers what hangs on a name, and nothing else.
//
// Thread:  control thread.
// Memory:  what the open questions need, bounded by LIMIT_NAME_QUESTIONS.
// Blocks:  never.

#pragma once

#include <uv.h>

#include "dataplane/edge.h"

struct name_link;

// NULL: no memory. The workers of edge are there.
struct name_link *name_link_new(uv_loop_t *loop, struct edge *edge);

// A new end towards postern-lookup. Owns fd.
void name_link_attach(struct name_link *link, int fd);

// Take the workers' questions; to be called every few milliseconds.
void name_link_poll(struct name_link *link);
