#include "net/iface.h"

bool iface_has(const struct iface *iface, uint32_t v4)
{
	for (uint8_t i = 0; i < iface->address_count; i++) {
		if (iface->addresses[i].v4 == v4)
			return true;
	}
	return false;
}

uint32_t iface_next_hop(const struct iface *iface, uint32_t dst)
{
	for (uint8_t i = 0; i < iface->address_count; i++) {
		const struct iface_addr *a = &iface->addresses[i];

		if (((dst ^ a->v4) & a->mask) == 0)
			return dst;
	}
	return iface->has_gateway ? iface->gateway : 0;
}
