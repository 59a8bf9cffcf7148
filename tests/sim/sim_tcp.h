// sim_tcp.h - two stacks, one link, many connections: each side sends octets that only it could have made, takes
// them in bites of random size, sometimes not at all for a while, and ends in one of several ways.

#pragma once

#include "sim/sim_link.h"
#include "tcp/tcp.h"

enum sim_tcp_ending {
	SIM_CLIENT_FIRST, // the client closes when it has everything, the server at peer_closed
	SIM_SERVER_FIRST,
	SIM_BOTH,  // each closes as soon as it has everything
	SIM_ABORT, // the client aborts somewhere in the middle
	SIM_ENDINGS
};

struct sim_tcp_config {
	struct sim_link_config link;
	uint32_t conns; // one after the other, at most at_once open
	uint32_t at_once;
	uint32_t octets_max;     // each way
	uint32_t blocks;         // of each stack
	uint32_t receive_window; // 0: default
	uint16_t server_mss;     // 0: 1460
	bool v6;
	uint32_t slots; // of the server; 0: enough
	bool lazy_apps; // they leave octets unread
	bool keepalive; // who gave up may have told in vain, with a RST that was lost
	bool aborts;    // some connections end by SIM_ABORT
};

struct sim_tcp_result {
	uint32_t orderly, reset, aborted, timed_out;
	uint64_t octets, virtual_us;
	uint64_t busy_us;     // until the last connection had ended for its application
	uint64_t bad_frames;  // refused before TCP saw them
	uint64_t told;        // ICMP errors heard
	uint64_t marks_heard; // frames that arrived with Congestion Experienced
	struct sim_link_counters link;
	struct tcp_counters counters[2];
};

// Run until every connection has ended on both sides. Aborts when an octet is wrong, when a connection that did not
// abort did not deliver everything, or when a slot or a block does not come back.
struct sim_tcp_result sim_tcp_run(const struct sim_tcp_config *config);
