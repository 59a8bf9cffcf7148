// load.h - the crowd: which sessions are open, who hands in the next mail, and when it is over. The same over kernel sockets and
// over DPDK; a backend gives it wires and tells it what happened on them.
//
// With a rate, mails are due by the clock whether or not a session is free, and their latency counts from then: a server that
// stalls is not asked less (no coordinated omission).
//
// Thread:  the backend's loop.
// Memory:  one slot a connection, made at start.
// Blocks:  never.
// Clock:   now_ns, monotonic, is an argument.

#pragma once

#include "load_histogram.h"
#include "load_session.h"

struct load;

// What a backend can do. slot: below plan.connections.
struct load_wires {
	bool (*connect)(void *backend, uint32_t slot); // false: not now, try again later
	size_t (*write)(void *backend, uint32_t slot, struct slice octets);
	void (*close)(void *backend, uint32_t slot, bool abort); // load_closed() does not follow
};

struct load_counters {
	uint64_t opened, ready, mails, octets, closed;
	uint64_t refused;           // RST or ICMP to the SYN, 554 or 421 as greeting
	uint64_t failed, timed_out; // sessions that ended otherwise than meant
	uint64_t late;              // mails that were due and never got a session
	uint64_t syns, syn_answers; // flood
	uint64_t codes[600];        // of refusing replies
};

struct load_result {
	struct load_counters count;
	struct load_histogram phases[LOAD_PHASE_COUNT];
	uint64_t started_ns, ended_ns;
	uint32_t open, open_most; // sessions past EHLO
};

struct load *load_make(const struct load_plan *plan, const struct load_wires *wires, void *backend,
	uint64_t now_ns);
void load_free(struct load *load);

// Events of a wire.
void load_connected(struct load *load, uint32_t slot, uint64_t now_ns);
void load_input(struct load *load, uint32_t slot, struct slice in, uint64_t now_ns);
void load_writable(struct load *load, uint32_t slot, uint64_t now_ns);
void load_closed(struct load *load, uint32_t slot, bool refused, uint64_t now_ns);

// Open what is to be opened, hand in what is due, give up on what takes too long. Call at least each millisecond; a bounded part
// of the slots is looked at. False: everything is done, or the time is over.
bool load_tick(struct load *load, uint64_t now_ns);

// Stop handing in and end open sessions; load_tick() says when all are gone.
void load_stop(struct load *load, uint64_t now_ns);

struct load_result *load_result(struct load *load);
