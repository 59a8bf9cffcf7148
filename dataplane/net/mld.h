// mld.h - which multicast groups we want to hear (RFC 3810, RFC 2710), for switches that send a group only where somebody asked.
//
// Only the groups of neighbour discovery: the solicited-node groups of our addresses. All nodes is never reported.
//
// Thread: any lcore. Memory: none. Blocks: never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "net/frame.h"

enum {
	MLD_GROUPS = 64, // in one report
	MLD_RECORD_OCTETS = 20,
	MLD_FRAME_OCTETS_MAX =
		FRAME_ETHER_OCTETS + IP_V6_OCTETS + 8 + 8 + MLD_GROUPS * MLD_RECORD_OCTETS,
};

struct mld_query {
	bool v1;            // of a querier that knows RFC 2710 only
	uint32_t within_ms; // answer by then
};

// Kind FRAME_MLD. DROP_NONE or DROP_ICMP_BAD.
enum drop mld_parse(const struct frame *f, struct mld_query *out);

struct mld_report {
	struct mac src_mac;
	struct ip_addr src; // link-local, or unspecified while it is not verified
	const struct ip_addr *groups;
	uint16_t count; // 1 to MLD_GROUPS; of version 1 exactly one
	bool joins;     // unasked: a change; else the answer to a query
};

// out has MLD_FRAME_OCTETS_MAX. Return the octets written.
uint32_t mld_build_report(uint8_t *out, const struct mld_report *report);
uint32_t mld_build_report_v1(uint8_t *out, const struct mld_report *report);
