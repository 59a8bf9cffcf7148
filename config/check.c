#include "config/check.h"

#include <stdlib.h>
#include <string.h>

#include "config/address_key.h"
#include "config/snapshot_domains.h"
#include "config/value.h"

struct check {
	const struct config *config;
	struct reader *reader;
	struct mistakes *mistakes;
};

static const struct config_port *port_with(const struct config *config, const struct ip_addr *addr)
{
	for (uint32_t p = 0; p < config->port_count; p++) {
		for (uint32_t i = 0; i < config->ports[p].address_count; i++) {
			if (ip_addr_eq(&config->ports[p].addresses[i].addr, addr))
				return &config->ports[p];
		}
	}
	return NULL;
}

// Of the host bits of an address: none or all of them is no host's in v4, none is the routers' anycast address in v6 (RFC 4291
// 2.6.1). Subnets of two addresses (RFC 3021, RFC 6164) and of one have neither.
static bool is_edge(const struct ip_addr *addr, uint8_t len)
{
	const address_key mask = address_key_host_mask(len);
	const address_key host = address_key_of(addr) & mask;

	return len <= ADDRESS_KEY_BITS - 2 && (host == 0 || (host == mask && ip_addr_is_v4(addr)));
}

static const char *v4_wrong(const struct config_iface_addr *address)
{
	const uint32_t v4 = ip_addr_v4(&address->addr);

	if (address->len < ADDRESS_KEY_V4_LEN + 8)
		return "is in a subnet larger than /8: expected the prefix length of the subnet";
	if (v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >> 28 >= 14)
		return "is no address that a machine can have: expected a unicast address";
	return NULL;
}

static bool is_link_local(const struct ip_addr *addr)
{
	return addr->octets[0] == 0xfe && (addr->octets[1] & 0xc0) == 0x80;
}

static const char *v6_wrong(const struct config_iface_addr *address)
{
	static const uint8_t zero[12];
	const struct ip_addr *addr = &address->addr;

	if (is_link_local(addr))
		return "is link-local: Postern makes that one itself, leave it out";
	if (address->len < 32)
		return "is in a subnet larger than /32: expected the prefix length of the subnet";
	if (addr->octets[0] == 0xff || memcmp(addr->octets, zero, sizeof(zero)) == 0)
		return "is no address that a machine can have: expected a unicast address";
	return NULL;
}

static const char *interface_wrong(const struct config_iface_addr *address)
{
	const bool v4 = ip_addr_is_v4(&address->addr);
	const char *wrong = v4 ? v4_wrong(address) : v6_wrong(address);

	if (wrong != NULL)
		return wrong;
	if (is_edge(&address->addr, address->len))
		return v4 ? "is the first or last of its subnet: expected an address of a machine"
			  : "is the first of its subnet: expected an address of a machine";
	return NULL;
}

// The first place that has this address, in order of the file.
static const struct config_iface_addr *first_with(
	const struct config *config, const struct ip_addr *addr)
{
	const struct config_port *port = port_with(config, addr);

	for (uint32_t i = 0;; i++) {
		if (ip_addr_eq(&port->addresses[i].addr, addr))
			return &port->addresses[i];
	}
}

static void check_interface(const struct check *check, const struct config_iface_addr *address)
{
	const struct config_iface_addr *first = first_with(check->config, &address->addr);
	const char *wrong = interface_wrong(address);
	char text[IP_ADDR_TEXT_MAX];

	(void)ip_addr_print(&address->addr, text);
	if (wrong != NULL)
		mistakes_add(check->mistakes, address->pos, "addresses: %s %s", text, wrong);
	if (first != address)
		mistakes_add(check->mistakes, address->pos,
			"addresses: %s is there already on line %u: expected each address once",
			text, first->pos.line);
}

static bool has_v6(const struct config_port *port)
{
	for (uint32_t i = 0; i < port->address_count; i++) {
		if (!ip_addr_is_v4(&port->addresses[i].addr))
			return true;
	}
	return false;
}

static bool on_link(const struct config_port *port, const struct ip_addr *addr)
{
	const address_key key = address_key_of(addr);

	for (uint32_t i = 0; i < port->address_count; i++) {
		const struct config_iface_addr *own = &port->addresses[i];

		if (address_key_covers(address_key_of(&own->addr), own->len, key) &&
			!(is_edge(addr, own->len) && ip_addr_is_v4(addr)))
			return true;
	}
	return is_link_local(addr) && has_v6(port);
}

static void check_gateway(const struct check *check, const struct config_port *port,
	const struct config_gateway *gateway)
{
	char text[IP_ADDR_TEXT_MAX];

	(void)ip_addr_print(&gateway->addr, text);
	if (port_with(check->config, &gateway->addr) != NULL)
		mistakes_add(check->mistakes, gateway->pos,
			"gateway: %s is an address of this server: expected that of a router",
			text);
	else if (!on_link(port, &gateway->addr))
		mistakes_add(check->mistakes, gateway->pos,
			"gateway: %s is in no subnet of this port: expected an address of one",
			text);
}

static void check_mtu(const struct check *check, const struct config_port *port)
{
	if (port->mtu < 1280 && has_v6(port))
		mistakes_add(check->mistakes, port->pos,
			"mtu: found %u on a port with IPv6: expected at least 1280 (RFC 8200 5)",
			port->mtu);
}

static bool is_same_vlan(const struct config_port *a, const struct config_port *b)
{
	return a->vlan.count == b->vlan.count &&
	       memcmp(a->vlan.ids, b->vlan.ids, a->vlan.count * sizeof(a->vlan.ids[0])) == 0;
}

static void check_ports(const struct check *check)
{
	const struct config *config = check->config;

	for (uint32_t p = 0; p < config->port_count; p++) {
		const struct config_port *port = &config->ports[p];

		for (uint32_t i = 0; i < port->address_count; i++)
			check_interface(check, &port->addresses[i]);
		for (uint32_t i = 0; i < port->gateway_count; i++)
			check_gateway(check, port, &port->gateways[i]);
		check_mtu(check, port);
		for (uint32_t before = 0; before < p; before++) {
			const struct config_port *other = &config->ports[before];

			if (port->device != NULL && other->device != NULL &&
				strcmp(port->device, other->device) == 0 &&
				is_same_vlan(port, other))
				mistakes_add(check->mistakes, port->pos,
					"device: %s is a port already on line %u: expected another "
					"device, or another vlan of it",
					mistakes_quote(port->device).text, other->pos.line);
		}
	}
}

static const char *name_of(const struct config_vserver *vserver)
{
	return vserver->name != NULL ? vserver->name : "(without name)";
}

static const struct config_listen *claim_of(
	const struct config_vserver *vserver, const struct ip_addr *addr)
{
	for (uint32_t i = 0; i < vserver->listen_count; i++) {
		if (ip_addr_eq(&vserver->listen[i].addr, addr))
			return &vserver->listen[i];
	}
	return NULL;
}

static void check_other_claims(const struct check *check, uint32_t index,
	const struct config_listen *listen, const char *text)
{
	for (uint32_t before = 0; before < index; before++) {
		const struct config_vserver *other = &check->config->vservers[before];
		const struct config_listen *claim = claim_of(other, &listen->addr);

		if (claim == NULL)
			continue;
		mistakes_add(check->mistakes, listen->pos,
			"listen: %s is claimed by virtual server %s on line %u already: an address "
			"belongs to one virtual server, with all its ports",
			text, name_of(other), claim->pos.line);
		return;
	}
}

static void check_listen(const struct check *check, uint32_t index, uint32_t entry)
{
	const struct config_vserver *vserver = &check->config->vservers[index];
	const struct config_listen *listen = &vserver->listen[entry];
	char text[IP_ADDR_TEXT_MAX];

	(void)ip_addr_print(&listen->addr, text);
	if (reader_is_good(check->reader, "ports") &&
		port_with(check->config, &listen->addr) == NULL)
		mistakes_add(check->mistakes, listen->pos,
			"listen: %s is no address of any port: expected one of those under ports",
			text);
	for (uint32_t i = 0; i < entry; i++) {
		if (ip_addr_eq(&vserver->listen[i].addr, &listen->addr) &&
			vserver->listen[i].port == listen->port)
			mistakes_add(check->mistakes, listen->pos,
				"listen: %s port %u is there already on line %u", text,
				listen->port, vserver->listen[i].pos.line);
	}
	check_other_claims(check, index, listen, text);
}

static void check_unassigned(const struct check *check, uint32_t index)
{
	const struct config_vserver *vserver = &check->config->vservers[index];

	for (uint32_t before = 0; vserver->all_unassigned && before < index; before++) {
		const struct config_vserver *other = &check->config->vservers[before];

		if (!other->all_unassigned)
			continue;
		mistakes_add(check->mistakes, vserver->all_unassigned_pos,
			"listen: all-unassigned is claimed by virtual server %s on line %u already",
			name_of(other), other->all_unassigned_pos.line);
		return;
	}
}

// Port 465 is TLS from the first octet (RFC 8314 3.3), on whatever address.
static void check_tls(const struct check *check, const struct config_vserver *vserver)
{
	const struct config_tls *tls = &vserver->tls;
	const bool whole = tls->certificate.path != NULL && tls->key.path != NULL;

	if (tls->pos.line != 0 && !whole && reader_is_good(check->reader, "virtual_servers"))
		mistakes_add(check->mistakes, tls->pos, "tls: %s is missing: expected both %s",
			tls->key.path == NULL && tls->certificate.path != NULL ? "key"
									       : "certificate",
			"certificate and key");
	if (tls->pos.line != 0)
		return;
	for (uint32_t i = 0; i < vserver->listen_count; i++) {
		if (vserver->listen[i].port == 465)
			mistakes_add(check->mistakes, vserver->listen[i].pos,
				"listen: port 465 is TLS from the first octet: expected tls in "
				"virtual server %s as well",
				name_of(vserver));
	}
	if (vserver->all_unassigned && vserver->all_unassigned_port == 465)
		mistakes_add(check->mistakes, vserver->all_unassigned_pos,
			"listen: port 465 is TLS from the first octet: expected tls in virtual "
			"server %s as well",
			name_of(vserver));
}

static bool same(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static void check_names(const struct check *check, uint32_t index)
{
	const struct config_vserver *vserver = &check->config->vservers[index];

	for (uint32_t before = 0; before < index; before++) {
		const struct config_vserver *other = &check->config->vservers[before];

		if (same(vserver->name, other->name))
			mistakes_add(check->mistakes, vserver->pos,
				"name: %s is a virtual server already on line %u", vserver->name,
				other->pos.line);
		if (same(vserver->log_file, other->log_file))
			mistakes_add(check->mistakes, vserver->log_file_pos,
				"file: %s is the log of virtual server %s on line %u already",
				mistakes_quote(vserver->log_file).text, name_of(other),
				other->log_file_pos.line);
	}
}

static void check_workers(const struct check *check, const struct config_vserver *vserver)
{
	const struct config_dataplane *dataplane = &check->config->dataplane;

	if (!reader_is_good(check->reader, "dataplane"))
		return;
	for (uint32_t i = 0; i < vserver->worker_count; i++) {
		uint32_t k = 0;

		while (k < dataplane->worker_count && dataplane->workers[k] != vserver->workers[i])
			k++;
		if (k == dataplane->worker_count)
			mistakes_add(check->mistakes, vserver->workers_pos,
				"workers: CPU %u is not in dataplane.workers: expected some of "
				"those",
				vserver->workers[i]);
	}
}

// What is sorted when the domains must stay where they are.
struct reference {
	const struct config_domain *domain;
};

static int compare_domains(const void *left, const void *right)
{
	const struct config_domain *a = ((const struct reference *)left)->domain;
	const struct config_domain *b = ((const struct reference *)right)->domain;
	const int by_name = strcmp(a->name, b->name);

	if (by_name != 0)
		return by_name;
	if (a->pos.line != b->pos.line)
		return a->pos.line < b->pos.line ? -1 : 1;
	return a->pos.column < b->pos.column ? -1 : 1;
}

// list is sorted in place.
static void check_twice(
	const struct check *check, const char *what, struct reference *list, uint32_t count)
{
	if (count > 1)
		qsort(list, count, sizeof(list[0]), compare_domains);
	for (uint32_t i = 1; i < count; i++) {
		if (strcmp(list[i].domain->name, list[i - 1].domain->name) == 0)
			mistakes_add(check->mistakes, list[i].domain->pos,
				"%s: %s is there already on line %u: expected each domain once",
				what, list[i].domain->name, list[i - 1].domain->pos.line);
	}
}

static void check_route(const struct check *check, const struct snapshot_domains *routed,
	const char *what, const struct config_domain *domain)
{
	char name[LIMIT_DOMAIN_OCTETS + 2] = "*";
	const char *asked = domain->name;

	if (asked[0] == '.') { // any name below: one that no route can name alone
		memcpy(name + 1, asked, strlen(asked) + 1);
		asked = name;
	}
	if (snapshot_domains_find(routed, (struct slice){(const uint8_t *)asked, strlen(asked)}) ==
		NULL)
		mistakes_add(check->mistakes, domain->pos,
			"%s: no route for %s: expected it, or \"*\", in the domains of a route",
			what, domain->name);
}

static void check_domains(const struct check *check, const struct snapshot_domains *routed,
	const struct config_vserver *vserver)
{
	const uint32_t local = vserver->local_domain_count, relay = vserver->relay_domain_count;
	struct reference *all =
		arena_take_array(check->reader->arena, local + relay, sizeof(all[0]));

	for (uint32_t i = 0; i < local + relay; i++)
		all[i].domain =
			i < local ? &vserver->local_domains[i] : &vserver->relay_domains[i - local];
	for (uint32_t i = 0; routed != NULL && i < local + relay; i++)
		check_route(check, routed, i < local ? "local_domains" : "relay_domains",
			all[i].domain);
	check_twice(check, "local_domains and relay_domains", all, local + relay);
}

static bool relays_for_some(const struct config_list *relay)
{
	return relay->mode == CONFIG_LIST_ALL_EXCEPT ||
	       (relay->mode == CONFIG_LIST_ONLY && relay->prefix_count > 0);
}

static void check_relay_route(const struct check *check, const struct snapshot_domains *routed,
	const struct config_vserver *vserver)
{
	static const struct slice any = {(const uint8_t *)"*", 1};

	if (routed == NULL || !relays_for_some(&vserver->relay) ||
		snapshot_domains_find(routed, any) != NULL)
		return;
	mistakes_add(check->mistakes, vserver->relay.pos,
		"relay: virtual server %s relays, but there is no route for other domains: "
		"expected a route with domains: [\"*\"]",
		name_of(vserver));
}

// All domains of all routes in one array, which is what a set of them borrows.
static struct config_domain *gather_routed(const struct check *check, uint32_t *count)
{
	const struct config *config = check->config;
	struct config_domain *all;
	uint32_t total = 0;

	for (uint32_t r = 0; r < config->route_count; r++)
		total += config->routes[r].domain_count;
	all = arena_take_array(check->reader->arena, total, sizeof(all[0]));
	*count = 0;
	for (uint32_t r = 0; r < config->route_count; r++) {
		for (uint32_t i = 0; i < config->routes[r].domain_count; i++)
			all[(*count)++] = config->routes[r].domains[i];
	}
	return all;
}

// NULL: the routes are wrong themselves, so nothing can be said about what they cover.
static const struct snapshot_domains *check_routes(const struct check *check)
{
	const struct siphash_key key = {0, 0}; // nobody but the operator names domains here
	uint32_t count;
	const struct config_domain *all = gather_routed(check, &count);
	struct reference *order = arena_take_array(check->reader->arena, count, sizeof(order[0]));

	for (uint32_t i = 0; i < count; i++)
		order[i].domain = &all[i];
	check_twice(check, "domains", order, count);
	if (!reader_is_good(check->reader, "routes"))
		return NULL;
	return snapshot_domains_build(check->reader->arena, all, count, key);
}

static void check_hops(const struct check *check, const struct config_route *route)
{
	for (uint32_t i = 0; i < route->hop_count; i++) {
		struct ip_addr addr;

		if (ip_addr_parse(route->hops[i].host, &addr) &&
			port_with(check->config, &addr) != NULL)
			mistakes_add(check->mistakes, route->hops[i].pos,
				"to: %s is an address of this server: mail would come back, "
				"expected another server",
				route->hops[i].host);
	}
}

static void check_delivery(const struct check *check)
{
	const struct config_delivery *delivery = &check->config->delivery;
	char text[IP_ADDR_TEXT_MAX];

	if (port_with(check->config, &delivery->source) != NULL)
		mistakes_add(check->mistakes,
			reader_pos(check->reader, SCHEMA_SECTION_DELIVERY, "source"),
			"source: %s is an address of a port of Postern: expected one of the "
			"kernel's",
			ip_addr_print(&delivery->source, text));
	if (!reader_is_good(check->reader, "delivery"))
		return;
	if (delivery->retry_max_s < delivery->retry_first_s)
		mistakes_add(check->mistakes,
			reader_pos(check->reader, SCHEMA_SECTION_DELIVERY, "retry_max"),
			"retry_max: found %us: expected at least retry_first, %us",
			delivery->retry_max_s, delivery->retry_first_s);
	if (delivery->expire_s < delivery->retry_first_s)
		mistakes_add(check->mistakes,
			reader_pos(check->reader, SCHEMA_SECTION_DELIVERY, "expire"),
			"expire: found %us: expected at least retry_first, %us", delivery->expire_s,
			delivery->retry_first_s);
}

void check_config(const struct config *config, struct reader *reader)
{
	const struct check check = {config, reader, reader->mistakes};
	const struct snapshot_domains *routed = check_routes(&check);

	check_ports(&check);
	for (uint32_t v = 0; v < config->vserver_count; v++) {
		const struct config_vserver *vserver = &config->vservers[v];

		check_names(&check, v);
		for (uint32_t i = 0; i < vserver->listen_count; i++)
			check_listen(&check, v, i);
		check_unassigned(&check, v);
		check_tls(&check, vserver);
		check_workers(&check, vserver);
		check_domains(&check, routed, vserver);
		check_relay_route(&check, routed, vserver);
	}
	for (uint32_t r = 0; r < config->route_count; r++)
		check_hops(&check, &config->routes[r]);
	check_delivery(&check);
}
