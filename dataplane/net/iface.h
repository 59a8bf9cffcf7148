// iface.h - the addresses of one port and where packets leave it (on-link or by the gateway). Fixed after start.
//
// Thread: any lcore. Memory: a plain struct. Blocks: never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/limits.h"
#include "net/frame.h"

struct iface_addr {
	uint32_t v4; // host order
	uint32_t mask;
};

struct iface {
	struct mac mac;
	uint16_t mtu;
	uint8_t address_count;
	bool has_gateway;
	uint32_t gateway; // v4, host order
	enum frame_sums sums;
	struct iface_addr addresses[LIMIT_LISTEN];
};

bool iface_has(const struct iface *iface, uint32_t v4);

// Whom to ask ARP for, to reach dst: dst itself or the gateway; 0: no way.
uint32_t iface_next_hop(const struct iface *iface, uint32_t dst);
