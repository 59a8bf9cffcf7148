// turn_rig.h - one worker, turn by turn, in virtual time: the port is a ring, the clients are our own TCP on its other side, and the
// spooler is the test's. What the edge sends is kept, segment by segment, with the turn it left in.
//
// Thread: the test's; there is no other.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/worker.h"

enum {
	TURN_US = 200,         // one turn, there and back
	TURN_SPOOL_BUFS = 256, // body buffers of the worker
	TURN_BLOCKS = 4096,    // blocks of its TCP stack
	TURN_SEGMENTS = 65536, // kept since the last turn_rig_forget()
	TURN_TEXT = 65536,
};

struct turn_segment {
	uint64_t at_us;
	uint32_t window, payload; // octets; window unscaled
	uint16_t port;            // of the client
	uint8_t flags;            // SEGMENT_*
};

struct turn_client {
	struct turn_client *next;
	struct turn_rig *rig;
	struct tcp_conn *conn; // NULL: closed
	uint64_t flood;        // octets of a body still to be sent
	uint16_t port;
	uint8_t edge_scale;
	bool open, fin, reset;
	size_t len;
	char text[TURN_TEXT]; // heard since the last turn_rig_send()
};

struct turn_rig {
	struct worker *w;
	struct edge edge;
	uint64_t now_us;
	uint32_t spool_rate; // requests that the spooler answers in a turn; 0: it hangs
	uint64_t spooled;    // octets of chunks it has had
	uint32_t committed;
	uint32_t lose; // so many of the next segments of clients do not arrive
	struct turn_segment *segments;
	uint32_t segment_count;
	struct turn_rig_parts *parts;
};

// yaml: configuration text with one worker, lcore 0, and a port net_ring_rig. Asserts on every failure. One rig a process.
struct turn_rig *turn_rig_start(const char *yaml);
void turn_rig_free(struct turn_rig *rig);

// Its configuration is another from the worker's next turn on.
void turn_rig_reload(struct turn_rig *rig, const char *yaml);

// For those who make and take frames themselves: the two ends of the link, where frames are made of, and who is at its ends.
struct turn_link {
	struct rte_ring *to_edge, *from_edge;
	struct rte_mempool *mbufs;
	struct mac host, edge;
};

struct turn_link turn_rig_link(const struct turn_rig *rig);

// One turn of the worker; what it sends is kept, but no client hears it yet.
void turn_rig_worker(struct turn_rig *rig);

// So much time of everybody.
void turn_rig_run_us(struct turn_rig *rig, uint64_t us);

void turn_rig_forget(struct turn_rig *rig);

// Segments since then with payload (data) or without (bare), SYN left out.
uint32_t turn_rig_data(const struct turn_rig *rig);
uint32_t turn_rig_bare(const struct turn_rig *rig);

// Open a connection and wait for the greeting, or what comes instead.
struct turn_client *turn_rig_connect(struct turn_rig *rig, const char *from, const char *to);
void turn_rig_close(struct turn_client *c);

// The same to another port, whose peer waits for no greeting.
struct turn_client *turn_rig_connect_port(
	struct turn_rig *rig, const char *from, const char *to, uint16_t port);

// Its frames are on the wire when this returns, as far as the window allows.
void turn_rig_send(struct turn_client *c, const char *text);

// Octets that may be no text; what was heard stays.
void turn_rig_send_octets(struct turn_client *c, struct slice octets);

// Send and run until a line that begins so has come; fails the test after 1 s. Returns what was heard.
const char *turn_rig_say(struct turn_client *c, const char *text, const char *begin);

// From the end of DATA's 354 on: lines of text, until so many octets have been sent.
void turn_rig_flood(struct turn_client *c, uint64_t octets);
