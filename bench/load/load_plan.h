// load_plan.h - what the load generator is to do: read from the command line once, then constant.
//
// Thread: written by main, read by one loop. Memory: texts are argv's; messages are allocated once.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/slice.h"

#define LOAD_KINDS(KIND)                                                                           \
	KIND(MAILS, "mails", "sessions that hand in mail")                                         \
	KIND(SESSIONS, "sessions", "connect, greeting, EHLO, QUIT, again and again")               \
	KIND(REFUSED, "refused",                                                                   \
		"connect from a source that may not; being refused is the success")                \
	KIND(IDLE, "idle", "open sessions, EHLO, and stay")                                        \
	KIND(SYN_FLOOD, "syn-flood", "SYNs from sources that do not exist (--device only)")

enum load_kind {
#define KIND(name, text, about) LOAD_##name,
	LOAD_KINDS(KIND)
#undef KIND
		LOAD_KIND_COUNT
};

enum {
	LOAD_MESSAGES = 256, // different messages that are sent in turn
	LOAD_CONNECTIONS = 10000000,
	LOAD_MESSAGE_LEAST = 128, // octets of the smallest mail that is made
	LOAD_MESSAGE_MOST = 1 << 30,
};

struct load_plan {
	enum load_kind kind;
	struct ip_addr target;
	uint16_t port;
	// Clients.
	uint32_t connections;     // at once
	uint32_t mails_a_session; // 0: until the end
	bool pipelining;
	const char *helo, *sender, *recipient;
	// Work.
	uint64_t count; // mails, or sessions; 0: until the time is over
	double seconds; // 0: until count is done
	double rate; // arrivals a second, whether or not the server keeps up; 0: as fast as it goes
	double ramp_s;    // connections are opened evenly over this time
	double give_up_s; // a phase that takes longer is a failure
	// Where from.
	const char *device; // DPDK; NULL: kernel sockets
	struct ip_addr source;
	uint32_t sources; // consecutive addresses from source
	uint8_t source_len;
	struct ip_addr gateway; // our next hop; all zero: the target is on the link
	struct ip_addr
		router; // an address that we answer ARP for beside the clients'; all zero: none
	unsigned lcore;
	// What is handed in, dots stuffed and end of data included.
	struct slice messages[LOAD_MESSAGES];
	uint32_t message_count;
	// How it is told.
	bool json, quiet;
	const char *html;
};

// False: what is wrong was printed. exit_status: what main() returns then.
bool load_plan_read(struct load_plan *plan, int argc, char **argv, int *exit_status);
void load_plan_free(struct load_plan *plan);

// The n-th client address, counted round.
struct ip_addr load_plan_source(const struct load_plan *plan, uint32_t n);

const char *load_plan_kind(enum load_kind kind);
