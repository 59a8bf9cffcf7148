#include "dataplane/port_multicast.h"

#include <rte_ethdev.h>
#include <string.h>

#include "net/nd.h"

static void put_group(struct rte_ether_addr *list, uint32_t *count, const struct ip_addr *group)
{
	struct mac mac = nd_group_mac(group);

	for (uint32_t i = 0; i < *count; i++) {
		if (memcmp(list[i].addr_bytes, mac.octets, 6) == 0)
			return;
	}
	memcpy(list[(*count)++].addr_bytes, mac.octets, 6);
}

static void put_groups_of(struct rte_ether_addr *list, uint32_t *count, const struct iface *iface)
{
	for (uint16_t i = 0; i < iface->address_count; i++) {
		struct ip_addr group = nd_solicited_node(&iface->addresses[i].addr);

		if (!ip_addr_is_v4(&iface->addresses[i].addr))
			put_group(list, count, &group);
	}
}

const char *port_multicast(const struct port_set *set, uint16_t device_port)
{
	static const struct ip_addr all_nodes = {{0xff, 2, [15] = 1}};
	struct rte_ether_addr groups[LIMIT_PORTS * IFACE_ADDRESSES + 1];
	uint16_t id = set->ports[device_port].id;
	uint32_t count = 0;

	for (uint16_t i = device_port; i < set->count; i++) {
		if (set->ports[i].device_port == device_port)
			put_groups_of(groups, &count, &set->ports[i].iface);
	}
	if (count == 0)
		return "none needed";
	put_group(groups, &count, &all_nodes);
	if (rte_eth_dev_set_mc_addr_list(id, groups, count) == 0)
		return "those of our addresses";
	if (rte_eth_allmulticast_enable(id) == 0)
		return "all";
	return rte_eth_promiscuous_enable(id) == 0 ? "all, promiscuous" : "not filtered";
}
