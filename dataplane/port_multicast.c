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

const char *port_multicast(const struct port *port)
{
	static const struct ip_addr all_nodes = {{0xff, 2, [15] = 1}};
	struct rte_ether_addr groups[IFACE_ADDRESSES + 1];
	uint32_t count = 0;

	for (uint16_t i = 0; i < port->iface.address_count; i++) {
		struct ip_addr group = nd_solicited_node(&port->iface.addresses[i].addr);

		if (!ip_addr_is_v4(&port->iface.addresses[i].addr))
			put_group(groups, &count, &group);
	}
	if (count == 0)
		return "none needed";
	put_group(groups, &count, &all_nodes);
	if (rte_eth_dev_set_mc_addr_list(port->id, groups, count) == 0)
		return "those of our addresses";
	if (rte_eth_allmulticast_enable(port->id) == 0)
		return "all";
	return rte_eth_promiscuous_enable(port->id) == 0 ? "all, promiscuous" : "not filtered";
}
