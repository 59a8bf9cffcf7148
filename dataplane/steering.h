// steering.h - which rules a NIC needs, so that packets of a virtual server arrive at its workers' queues.
//
// A pure function of a configuration and a kind of NIC; port_flow.c gives the rules to a real one. Worker n polls queue n. What a
// kind of NIC can do is one row of a table in steering.c, read off the drivers of DPDK 22.11. A rule that is missing, refused or
// ignored costs a ring hop and isolation, nothing else: every worker passes on what is not its own (receive.h).
//
// Thread:  any.
// Memory:  the caller's.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/snapshot.h"

enum {
	STEERING_TEXT_MAX = 512, // octets of one printed rule, with the final NUL
};

// What a rule matches. Addresses are matched in layer 3 only, so that fragments follow.
enum steering_match {
	STEERING_ARP,
	STEERING_ADDRESS,          // every packet to addr
	STEERING_ADDRESS_TCP,      // i40e keeps packets to an address in three tables: TCP,
	STEERING_ADDRESS_FRAGMENT, // fragments,
	STEERING_ADDRESS_OTHER,    // and the rest, ICMP and ND among it
	STEERING_ADDRESS_ICMP,     // ICMP or ICMPv6 to addr
	STEERING_ICMP,             // to any address
	STEERING_ICMP6,
	STEERING_ND, // addr is a multicast address that neighbours are asked for at
};

// Who does it.
enum steering_by {
	STEERING_BY_RULE,
	STEERING_BY_RSS, // all queues are wanted: the port's own RSS needs no rule
	STEERING_BY_SOFTWARE,
};

struct steering_rule {
	enum steering_match match;
	enum steering_by by;
	bool spread; // RSS over queues; else all to the only one
	bool table;  // and by our key and a table of RSS_TABLE_ENTRIES, as rss_pick() does
	uint8_t priority;
	uint16_t vserver; // SNAPSHOT_NO_VSERVER: of none
	struct ip_addr addr;
	uint64_t queues; // bit n: queue n
	uint64_t
		wanted; // what queues should have been; more when the NIC cannot spread over just these
};

// A kind of NIC; one row.
struct steering_nic;

// By the word an operator uses ("ice"); NULL: no such kind.
const struct steering_nic *steering_nic_named(const char *name);

// By the name of a DPDK driver or by a device of the configuration ("net_ice", "net_tap0,iface=x"); "other" for a
// driver that no row knows. NULL: no driver at all, such as a PCI address.
const struct steering_nic *steering_nic_of_driver(const char *driver);

// The n-th kind; NULL: there are fewer.
const struct steering_nic *steering_nic_at(size_t n);

const char *steering_nic_name(const struct steering_nic *nic);
const char *steering_nic_remark(const struct steering_nic *nic); // what to know of it, one sentence
// For tests.
bool steering_nic_has_rules(const struct steering_nic *nic);

// The rules of one port that has that many receive queues. Returns how many were written to out; at most
// LIMIT_STEERING_RULES, addresses beyond that are left to software.
uint32_t steering_plan(const struct snapshot *snapshot, uint32_t port, uint16_t queues,
	const struct steering_nic *nic, struct steering_rule out[LIMIT_STEERING_RULES]);

// As testpmd would take it; a rule that is not the NIC's business becomes a comment. Returns out.
char *steering_print(const struct snapshot *snapshot, uint32_t port,
	const struct steering_rule *rule, char out[STEERING_TEXT_MAX]);
