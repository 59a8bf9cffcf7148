#include "net/iface.h"

int iface_find(const struct iface *iface, const struct ip_addr *addr)
{
	for (uint16_t i = 0; i < iface->address_count; i++) {
		if (ip_addr_eq(&iface->addresses[i].addr, addr))
			return i;
	}
	return -1;
}

void iface_add_link_local(struct iface *iface)
{
	struct ip_addr *a = &iface->addresses[iface->address_count].addr;
	bool v6 = false;

	for (uint16_t i = 0; i < iface->address_count; i++)
		v6 = v6 || !ip_addr_is_v4(&iface->addresses[i].addr);
	if (!v6)
		return;
	*a = (struct ip_addr){{0xfe, 0x80}};
	memcpy(a->octets + 8, iface->mac.octets, 3);
	a->octets[8] ^= 2;
	a->octets[11] = 0xff;
	a->octets[12] = 0xfe;
	memcpy(a->octets + 13, iface->mac.octets + 3, 3);
	iface->addresses[iface->address_count++].len = 64;
}

bool iface_covers(const struct iface_addr *own, const struct ip_addr *dst)
{
	size_t whole = own->len / 8;
	uint8_t rest = (uint8_t)(0xff00 >> own->len % 8);

	if (memcmp(own->addr.octets, dst->octets, whole) != 0)
		return false;
	return rest == 0 || ((own->addr.octets[whole] ^ dst->octets[whole]) & rest) == 0;
}

bool iface_is_on_link(const struct iface *iface, const struct ip_addr *dst)
{
	for (uint16_t i = 0; i < iface->address_count; i++) {
		if (iface_covers(&iface->addresses[i], dst))
			return true;
	}
	return iface_is_link_local(dst);
}

const struct ip_addr *iface_next_hop(const struct iface *iface, const struct ip_addr *dst)
{
	if (iface_is_on_link(iface, dst))
		return dst;
	for (uint8_t i = 0; i < iface->gateway_count; i++) {
		if (ip_addr_is_v4(&iface->gateways[i]) == ip_addr_is_v4(dst))
			return &iface->gateways[i];
	}
	return NULL;
}
