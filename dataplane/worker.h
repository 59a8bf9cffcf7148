// worker.h - one polling lcore: the loop, and what its parts (receive, transmit, conn, mail) share.
//
// The loop of every worker, whatever the NIC (worker.c):
//   receive a burst -> steer -> tcp -> smtp -> policy;  answers of the spooler;  timers;  transmit;  quiescent.
//
// Thread:  worker_make() on the control thread, worker_run() on the lcore; everything else is the lcore's.
// Memory:  all taken at worker_make() from EAL; nothing is allocated later.
// Blocks:  never. With poll: adaptive an idle worker sleeps in short steps; under load it does not.
// Clock:   worker.c is the only reader; now_us and wall_us are set once a loop.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/siphash.h"
#include "dataplane/client_count.h"
#include "dataplane/edge.h"
#include "dataplane/port.h"
#include "dataplane/pressure.h"
#include "net/neigh.h"
#include "spool/spool_writer.h"
#include "tcp/tcp.h"

struct fragments;
struct mail;
struct name_table;
struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

// What is lent to every worker; made once by control/main.c.
struct worker_common {
	struct edge *edge;
	struct port_set *ports;
	struct rte_mempool *mbufs;
	uint64_t boot;       // upper part of message ids
	uint32_t conns;      // most connections of one worker
	uint32_t blocks;     // small blocks of one worker
	uint32_t spool_bufs; // body buffers of one worker
	uint16_t mss;
};

struct mail_list {
	struct mail *first, *last;
	uint32_t count;
};

// A received frame that an answer may be written into, and what it said.
struct worker_answered {
	struct rte_mbuf *frame; // NULL: none, or it has been used
	const struct segment *segment;
	struct mac from;
};

struct worker {
	struct edge *edge;
	struct edge_worker *shared;
	const struct worker_common *common;
	unsigned index;
	uint64_t loops, now_us;
	int64_t wall_us;                  // UTC, read when a loop finds work
	const struct edge_policy *policy; // of this loop
	struct tcp_stack *tcp;

	struct worker_answered answered;

	// Frames on their way out, by port.
	struct rte_mbuf *tx[LIMIT_PORTS][PORT_BURST];
	unsigned tx_count[LIMIT_PORTS];
	struct neigh_table neigh;
	uint64_t gateways_due_us;      // when to tell others of them
	struct fragments *fragments;   // packets that wait for the rest of them
	struct address_set *addresses; // of the first worker; NULL: others look after our addresses

	// To and from the other workers; [own index] is NULL.
	struct rte_ring *steer_in[LIMIT_WORKERS],
		*steer_out[LIMIT_WORKERS]; // received frames for their owner
	struct rte_ring *tx_in[LIMIT_WORKERS],
		*tx_out[LIMIT_WORKERS]; // frames for the owner of a transmit queue

	// To and from the spooler.
	struct rte_ring *requests; // struct spool_request
	struct rte_ring *answers;  // struct spool_answer
	struct spool_buf *free_bufs;
	uint32_t free_buf_count;
	uint32_t commits_owed; // asked for and not answered: their 250 is due any moment
	uint64_t next_message;

	struct pressure pressure;
	struct client_count *clients;
	struct name_table *names;
	uint32_t names_open;                    // questions about names of clients (conn_name.h)
	uint32_t names_open_of[LIMIT_VSERVERS]; // by slot
	struct conn_tls_desk *tls;         // what TLS sessions need beside their own (conn_tls.c)
	struct mail_list holding, stalled; // have a body buffer, wait for one (mail.h)
	struct mail_list coming;           // octets of them may come
	uint64_t offered;    // octets that windows of theirs are open for (conn_flow.h)
	uint32_t share;      // what each of them may have of the free buffers
	uint32_t told_share; // the least that one of them may still think it is
	uint32_t untold;     // of them have to hear of a larger one
	uint64_t next_session;
	uint64_t refusals_logged_s; // second in which refusals_logged counts
	uint32_t refusals_logged;
	uint8_t walk_pending; // walk open connections: a virtual server's state changed
	uint32_t walk_cursor;
	uint32_t states_seen; // hash of all virtual server states
	struct siphash_key client_key;
	uint8_t scratch[2 * SMTP_REPLY_MAX_OCTETS];
};

// NULL: EAL has too little memory. The rings between workers are made by worker_connect() when all exist.
struct worker *worker_make(
	const struct worker_common *common, unsigned index, struct edge_worker *shared);
bool worker_connect(struct worker **workers, unsigned count);

// One turn of the loop: everything a burst brings is done before the next one is looked at, and all replies to it leave
// together. Returns whether there was anything to do. For tests: time is theirs.
bool worker_turn(struct worker *w, uint64_t now_us, int64_t wall_us);

// The lcore's main function (argument: struct worker *); returns when edge.stop is set.
int worker_run(void *worker);

// Report a decision; loses it, counted, when the ring is full.
void worker_log(struct worker *w, const struct log_record *record);
