// edge.h - what the threads of postern-edge share: the running policy, tunables, the states of virtual servers, and each
// worker's rings and counters.
//
// Thread:  each field says who writes it. Readers are all threads.
// Memory:  one struct edge in the process, made by control/main.c before any worker runs.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "base/limits.h"
#include "config/snapshot.h"
#include "dataplane/log_record.h"
#include "dataplane/pressure.h"
#include "net/iface.h"
#include "smtp/smtp_session.h"

struct name_match_scratch;
struct rte_rcu_qsbr;
struct ssl_ctx_st;
struct port_flows;
struct port_set;
struct rte_ring;
struct worker;

// One epoch as the workers see it: published by one pointer store, freed when every worker has passed a quiescent state and
// the log records that name it are written. Immutable.
struct edge_policy {
	const struct snapshot *snapshot;
	uint16_t slot[LIMIT_VSERVERS];                // virtual server index -> edge.vservers[]
	struct smtp_service services[LIMIT_VSERVERS]; // by virtual server index
	struct name_match_scratch
		*scratch[LIMIT_WORKERS];        // each worker's for names; NULL without names
	struct ssl_ctx_st *tls[LIMIT_VSERVERS]; // likewise; NULL: no certificate
	int64_t tls_expires_s[LIMIT_VSERVERS];  // of the certificate
};

enum edge_vserver_state {
	EDGE_RUNNING,
	EDGE_PAUSED, // no new connections (SYN dropped, clients try again); open sessions go on
	EDGE_DRAINING, // no new connections (reset); open sessions get 421 at their next command outside a message
	EDGE_STOPPED, // no new connections (reset); open sessions get 421 now
};

// What a virtual server counts, per worker; written by that worker only.
struct edge_vserver_counters {
	_Atomic uint64_t connections, open, refused_connect, rcpt_accepted, rcpt_relayed,
		rcpt_refused, rcpt_deferred, messages, octets, messages_refused, tls_sessions,
		tls_resumed, tls_failed, // handshakes that came to an end
		tls_refused, tls_early,  // for want of room; octets between STARTTLS and TLS
		landed, strayed; // TCP packets a port gave to a worker of this one, or to another
};

// Keeps its place over reloads, by name; a name that is gone from the configuration keeps its slot until restart.
struct edge_vserver {
	char name[LIMIT_NAME_OCTETS + 1]; // control thread; "" free
	_Atomic uint8_t state;            // enum edge_vserver_state; control thread
	// Steering; control thread: whether ports do it, and the counters when they began to.
	bool by_ports;
	uint64_t landed_before, strayed_before;
};

// posternctl get|set. Written by the control thread, read by workers each loop or at each use.
struct edge_tunables {
	_Atomic uint32_t poll_busy;         // dataplane.poll: 1 busy, 0 adaptive
	_Atomic uint32_t syn_cookies;       // dataplane.syn_cookies: enum config_cookies
	_Atomic uint32_t command_timeout_s; // limits.command_timeout
	_Atomic uint32_t body_rate;         // limits.body_rate, octets/s; 0: any
	_Atomic uint32_t errors;            // limits.errors
	_Atomic uint32_t log_level; // log.level: 0 refusals only, 1 decisions, 2 sessions as well
};

// One worker as others see it. Counters: that worker writes, relaxed; anyone reads.
struct edge_worker {
	struct worker *self;
	unsigned lcore;
	struct rte_ring *log;                           // struct log_record, worker -> control
	struct rte_ring *name_questions, *name_answers; // name_record.h
	_Atomic uint64_t log_lost;
	_Atomic uint64_t rx_packets, tx_packets, rx_octets, tx_octets, tx_dropped, handled,
		steered_out, steered_in, reassembled;
	_Atomic uint64_t reassembling; // packets that wait for fragments now
	_Atomic uint64_t drops[DROP_COUNT];
	_Atomic uint64_t names_asked, names_failed,
		names_refused; // names of clients; refused: too many were being asked for
	_Atomic uint64_t loops, idle_loops, sleeps, busy_cycles;
	_Atomic uint64_t sessions;             // open now
	_Atomic uint64_t tls_open, tls_alerts; // TLS sessions now; fatal alerts that went or came
	_Atomic uint64_t connections, blocks_free, bufs_free;
	_Atomic uint8_t pressure_level;                   // enum pressure_level
	_Atomic uint64_t pressure_raised[PRESSURE_COUNT]; // how often each was reached
	_Atomic uint64_t pressure_pruned, pressure_reset; // connections
	_Atomic uint64_t cookies_sent, cookies_taken, cookies_bad, handshakes_pushed_out;
	_Atomic uint64_t icmp_errors, pmtu_cuts;
	_Atomic uint64_t tcp_retransmits, tcp_resets_in, tcp_resets_out, tcp_opened;
	struct edge_vserver_counters vservers[LIMIT_VSERVERS]; // by slot
};

// One address of ours on a link, by its place in struct iface; the first worker writes.
struct edge_address {
	_Atomic uint8_t state;      // enum dad_state
	_Atomic uint64_t conflicts; // packets in which somebody else claimed it
	_Atomic uint64_t other_mac; // who did last; edge_mac()
};

enum edge_gateway_state {
	EDGE_GATEWAY_ASKED, // not yet heard of
	EDGE_GATEWAY_REACHABLE,
	EDGE_GATEWAY_CHECKED, // being asked again, and used
	EDGE_GATEWAY_UNREACHABLE,
};

struct edge_gateway {
	_Atomic uint8_t state; // enum edge_gateway_state; the first worker
	_Atomic uint64_t mac;  // edge_mac(); 0: unknown
};

struct edge_link {
	_Atomic uint32_t ups; // how often the link came up; control thread
	struct edge_address addresses[IFACE_ADDRESSES];
	struct edge_gateway gateways[IFACE_GATEWAYS];
};

struct edge {
	const struct edge_policy
		*_Atomic policy; // control thread (reload.c) stores; workers load once a loop
	struct rte_rcu_qsbr *qsbr;
	struct edge_tunables tunables;
	struct edge_vserver vservers[LIMIT_VSERVERS];
	struct edge_worker *workers[LIMIT_WORKERS];
	unsigned worker_count;
	struct edge_link links[LIMIT_PORTS]; // by port
	_Atomic bool draining;               // STOP: as if every virtual server were draining
	_Atomic bool stop;                   // workers leave their loops
	_Atomic bool spool_accepting;        // spooler thread; false: MAIL gets 451
	_Atomic uint64_t spool_committed, spool_syncs, spool_errors; // spooler thread
	int64_t started_s;
	bool huge_pages;                // what EAL got
	const struct port_set *ports;   // NULL in tests without; control thread
	const struct port_flows *flows; // likewise
};

// A MAC address as a number, for counters.
static inline uint64_t edge_mac(const uint8_t octets[6])
{
	return (uint64_t)octets[0] << 40 | (uint64_t)octets[1] << 32 | (uint64_t)octets[2] << 24 |
	       (uint64_t)octets[3] << 16 | (uint64_t)octets[4] << 8 | octets[5];
}

// Add to a counter of one's own worker: no other thread writes it, so no locked instruction is needed.
static inline void edge_count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
		memory_order_relaxed);
}

// One packet ends here, under one name.
static inline void edge_account(struct edge_worker *w, enum drop why)
{
	edge_count(why == DROP_NONE ? &w->handled : &w->drops[why], 1);
}
