// iface.h - the addresses of one port and where packets leave it (on-link or by a gateway). Fixed after start.
//
// Thread: any lcore. Memory: a plain struct. Blocks: never. Cost: a look at each address of the port.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "base/limits.h"
#include "net/frame.h"

enum {
	IFACE_ADDRESSES = LIMIT_PORT_ADDRESSES + 1, // and the link-local one
	IFACE_GATEWAYS = 2,                         // one of each family
};

struct iface_addr {
	struct ip_addr addr;
	uint8_t len; // of its subnet; a v4 one has 96 + its length
};

struct iface {
	struct mac mac;
	uint16_t mtu;
	uint16_t address_count;
	uint8_t gateway_count;
	enum frame_sums sums;
	struct ip_addr gateways[IFACE_GATEWAYS];
	struct iface_addr addresses[IFACE_ADDRESSES];
};

// Where addr stands among the addresses; -1: it is none of them.
int iface_find(const struct iface *iface, const struct ip_addr *addr);

static inline bool iface_has(const struct iface *iface, const struct ip_addr *addr)
{
	return iface_find(iface, addr) >= 0;
}

// Add fe80::/64 with the interface identifier of the MAC address (RFC 4291 appendix A), if any address is v6.
void iface_add_link_local(struct iface *iface);

// Whether dst is in the subnet of this address.
bool iface_covers(const struct iface_addr *own, const struct ip_addr *dst);

// Whether dst is in a subnet of the port, or link-local.
bool iface_is_on_link(const struct iface *iface, const struct ip_addr *dst);

// Whose MAC address a packet to dst needs: dst itself or a gateway; NULL: no way. Lives as long as both arguments.
const struct ip_addr *iface_next_hop(const struct iface *iface, const struct ip_addr *dst);

static inline bool iface_is_link_local(const struct ip_addr *addr)
{
	return addr->octets[0] == 0xfe && (addr->octets[1] & 0xc0) == 0x80;
}
