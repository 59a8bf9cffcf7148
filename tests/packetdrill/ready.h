// ready.h - what can be done with a socket without waiting: poll().
//
// Thread: any, with the lock of the world. Memory: none. Blocks: ready_poll() (call.h).

#pragma once

#include <poll.h>
#include <stdint.h>

struct sock;
struct world;

// POLL* bits that are so, as Linux counts them for TCP.
uint32_t ready_events(struct sock *sock);

// How many are ready, or -errno.
int ready_poll(struct world *world, struct pollfd *fds, nfds_t count, int timeout_ms);
