// arp.h - ARP over Ethernet (RFC 826): requests, replies, announcements (RFC 5227).
//
// Thread: any lcore. Memory: none. Blocks: never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "net/frame.h"

enum {
	ARP_FRAME_OCTETS = 60, // with Ethernet padding
};

struct arp {
	bool request; // else reply
	struct mac sender_mac;
	uint32_t sender, target; // v4, host order
};

enum drop arp_parse(const struct frame *f, struct arp *out);

struct arp_ask {
	struct mac sender_mac;
	uint32_t sender;           // 0: only looks whether target is free (RFC 5227 2.1.1)
	uint32_t target;           // equal to sender: announces it
	const struct mac *dst_mac; // ask the target there (RFC 1122 2.3.2.1); NULL: all
};

// Both return ARP_FRAME_OCTETS.
uint32_t arp_build_request(uint8_t *out, const struct arp_ask *ask);
uint32_t arp_build_reply(
	uint8_t *out, struct mac sender_mac, uint32_t sender, const struct arp *request);
