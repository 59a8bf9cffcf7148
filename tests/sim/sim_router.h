// sim_router.h - what a router between the two hosts of a sim_link does with a frame: marks congestion, says that a packet is too big.
//
// Thread: any. Memory: none. Blocks: never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	SIM_ROUTER_ETHER_OCTETS = 14,
	SIM_ROUTER_TOLD_MAX = SIM_ROUTER_ETHER_OCTETS + 40 + 8 + 1232, // RFC 4443 2.4 (c)
};

// Congestion Experienced (RFC 3168 5), if the packet's sender asked for it. False: it did not.
bool sim_router_mark(uint8_t *frame, uint32_t octets);

// The frame of an ICMP error that says so of the packet in frame, to who sent it; at least SIM_ROUTER_TOLD_MAX octets at out. 0: it may be
// fragmented, or is no IP packet, and nothing is said.
uint32_t sim_router_too_big(const uint8_t *frame, uint32_t octets, uint32_t mtu, uint8_t *out);
