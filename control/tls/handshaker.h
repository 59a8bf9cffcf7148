// handshaker.h - the threads that do TLS handshakes: a key exchange takes a millisecond of a CPU, for which no worker may stand still.
//
// Each thread has a pair of rings with each worker. It does one step of each job in turn and knows nothing of connections.
//
// Thread:  handshaker_start() and handshaker_stop() on the control thread, the latter when the workers have ended.
// Memory:  none but OpenSSL's, in the accounts of its sessions.
// Blocks:  the threads sleep while there is nothing to do, in steps that grow to some milliseconds.

#pragma once

#include <stdbool.h>

#include "base/limits.h"

struct handshaker;
struct rte_ring;
struct tls_job;

struct handshaker_queue {
	struct rte_ring *jobs, *answers; // of struct tls_job *
};

// queues[thread][worker]. NULL: no memory, or no threads.
struct handshaker *handshaker_start(
	struct handshaker_queue queues[][LIMIT_WORKERS], unsigned workers);

void handshaker_stop(struct handshaker *h);

// One step, as the threads do it. For tests.
void handshaker_step(struct tls_job *job);
