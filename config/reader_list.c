#include "config/reader_list.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "config/name_pattern.h"
#include "config/value.h"

// Lists of lcores are laid out as these two, so that one reader serves both.
struct lcores {
	uint32_t ids[LIMIT_WORKERS];
	uint32_t count;
};
static_assert(offsetof(struct config_vserver, worker_count) ==
		      offsetof(struct config_vserver, workers) + offsetof(struct lcores, count),
	"the count must follow the list");
static_assert(offsetof(struct config_dataplane, worker_count) ==
		      offsetof(struct config_dataplane, workers) + offsetof(struct lcores, count),
	"the count must follow the list");

static void *field_of(const struct schema_row *row, void *base)
{
	return (uint8_t *)base + row->offset;
}

// The members of a list that are single values; a single value stands for a list of it alone.
static const struct yaml_node *first_of(const struct yaml_node *node)
{
	return node->kind == YAML_LIST ? node->first : node;
}

static const struct yaml_node *next_of(const struct yaml_node *list, const struct yaml_node *node)
{
	return node == list ? NULL : node->next;
}

// How many members, at most and at least what the schema says. False: the list cannot be read.
static bool count_of(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, uint32_t *count)
{
	char wrong[96];

	*count = node->kind == YAML_LIST ? node->count : 1;
	if (*count >= row->least && *count <= row->most)
		return true;
	if (*count == 0)
		(void)snprintf(wrong, sizeof(wrong), "found an empty list: expected %s",
			schema_type_text(row->type));
	else
		(void)snprintf(wrong, sizeof(wrong), "found %u entries: expected at most %lu",
			*count, row->most);
	reader->lost++;
	mistakes_add(reader->mistakes, node->pos, "%s: %s", row->key, wrong);
	return false;
}

// False: this member is no single value, which is then said.
static bool member(
	struct reader *reader, const struct schema_row *row, const struct yaml_node *node)
{
	if (node->kind == YAML_SCALAR && !yaml_is_nothing(node) && !node->refused)
		return true;
	reader->lost++;
	if (node->refused)
		return false;
	mistakes_add(reader->mistakes, node->pos,
		node->kind == YAML_MAP
			? "%s: found %s in the list: options of an entry are " VALUE_LATER
			: "%s: found %s in the list: expected a single value",
		row->key, yaml_kind_text(node));
	return false;
}

// The single values of a list in turn; what is none is said and passed over.
static const struct yaml_node *value_from(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *list, const struct yaml_node *node)
{
	while (node != NULL && !member(reader, row, node))
		node = next_of(list, node);
	return node;
}

static const struct yaml_node *first_value(
	struct reader *reader, const struct schema_row *row, const struct yaml_node *list)
{
	return value_from(reader, row, list, first_of(list));
}

static const struct yaml_node *next_value(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *list, const struct yaml_node *node)
{
	return value_from(reader, row, list, next_of(list, node));
}

static bool lcore_known(const struct lcores *lcores, uint64_t id)
{
	for (uint32_t i = 0; i < lcores->count; i++) {
		if (lcores->ids[i] == id)
			return true;
	}
	return false;
}

static void read_lcores(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct lcores *lcores = field_of(row, base);
	uint32_t count;

	if (row->section == SCHEMA_SECTION_VSERVER)
		((struct config_vserver *)base)->workers_pos = node->pos;
	if (!count_of(reader, row, node, &count))
		return;
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		uint64_t id = 0;

		if (value_number(at->text, &id) != NULL || id > 1023)
			reader_refuse(reader, row, at, "expected a CPU number");
		else if (lcore_known(lcores, id))
			reader_refuse(reader, row, at, "is in the list twice");
		else
			lcores->ids[lcores->count++] = (uint32_t)id;
	}
}

// Outer and inner tag may have the same number.
static void read_vlans(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_vlan *vlan = field_of(row, base);
	uint32_t count;

	if (!count_of(reader, row, node, &count))
		return;
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		uint64_t id = 0;

		if (value_number(at->text, &id) != NULL || id < 1 || id > 4094)
			reader_refuse(reader, row, at, "expected a VLAN number, 1 to 4094");
		else
			vlan->ids[vlan->count++] = (uint16_t)id;
	}
}

// False: it cannot be read. One whose meaning is plain (host bits set, v4 in v6 form) is a mistake and kept.
static bool read_prefix(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, struct config_prefix *prefix)
{
	struct value_why why = {""};
	const char *wrong = value_prefix(node->text, &prefix->addr, &prefix->len, &why);

	prefix->pos = node->pos;
	prefix->text = node->text;
	if (wrong != why.text)
		return reader_accept(reader, row, node, wrong);
	reader_remark(reader, row, node, wrong);
	return true;
}

static struct config_prefix *prefixes_of(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, uint32_t *kept)
{
	struct config_prefix *prefixes;
	uint32_t count;

	*kept = 0;
	if (!count_of(reader, row, node, &count))
		return NULL;
	prefixes = arena_take_array(reader->arena, count, sizeof(prefixes[0]));
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		if (read_prefix(reader, row, at, &prefixes[*kept]))
			(*kept)++;
	}
	return prefixes;
}

static void read_prefixes(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config *config = base;

	if (row->offset == offsetof(struct config, own_networks))
		config->own_networks = prefixes_of(reader, row, node, &config->own_network_count);
	else
		config->dynamic_pools = prefixes_of(reader, row, node, &config->dynamic_pool_count);
}

static void read_name(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, struct config_list *list)
{
	struct value_why why;

	if (reader_accept(reader, row, node, name_pattern_wrong(node->text, &why)))
		list->names[list->name_count++] =
			(struct config_name){.text = node->text, .pos = node->pos};
}

// Prefixes and names as they come.
static void read_entries(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, struct config_list *list)
{
	uint32_t count, names = 0;

	if (!count_of(reader, row, node, &count))
		return;
	for (const struct yaml_node *at = first_of(node); at != NULL; at = next_of(node, at))
		names += at->kind == YAML_SCALAR && value_looks_like_name(at->text);
	list->prefixes = arena_take_array(reader->arena, count - names, sizeof(list->prefixes[0]));
	list->names = arena_take_array(reader->arena, names, sizeof(list->names[0]));
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		if (value_looks_like_name(at->text))
			read_name(reader, row, at, list);
		else
			list->prefix_count +=
				read_prefix(reader, row, at, &list->prefixes[list->prefix_count]);
	}
}

static void read_list(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_list *list = field_of(row, base);

	if (list->mode != CONFIG_LIST_NONE) {
		mistakes_add(reader->mistakes, node->key_pos,
			"%s: found both only and all_except: expected one of them", row->key);
		return;
	}
	list->mode = row->type == SCHEMA_ONLY ? CONFIG_LIST_ONLY : CONFIG_LIST_ALL_EXCEPT;
	list->pos = node->key_pos;
	if (row->section == SCHEMA_SECTION_GUARANTEED ||
		row->section == SCHEMA_SECTION_GUARANTEED_CONNECT)
		list->prefixes = prefixes_of(reader, row, node, &list->prefix_count);
	else
		read_entries(reader, row, node, list);
}

static void read_names(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_list *list = field_of(row, base);
	uint32_t count;

	if (!count_of(reader, row, node, &count))
		return;
	list->names = arena_take_array(reader->arena, count, sizeof(list->names[0]));
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		read_name(reader, row, at, list);
	}
}

static void read_guaranteed(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_list *list = field_of(row, base);

	if (node->kind == YAML_MAP) {
		reader_read_map(reader,
			row->offset == offsetof(struct config_guarantee, connects)
				? SCHEMA_SECTION_GUARANTEED_CONNECT
				: SCHEMA_SECTION_GUARANTEED,
			node, base);
		return;
	}
	if (node->kind == YAML_LIST || strcmp(node->text, "nobody") != 0) {
		reader_refuse(reader, row, node, "expected nobody, or {only: [...]}");
		return;
	}
	list->mode = CONFIG_LIST_ONLY;
	list->pos = node->pos;
}

static const char *lower(struct reader *reader, const char *text)
{
	const size_t len = strlen(text);

	if (strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL)
		return text;
	char *copy = arena_take_text(reader->arena, text, len);

	for (size_t i = 0; i < len; i++) {
		if (copy[i] >= 'A' && copy[i] <= 'Z')
			copy[i] = (char)(copy[i] | 0x20);
	}
	return copy;
}

static struct config_domain *domains_of(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, uint32_t *kept)
{
	struct config_domain *domains;
	uint32_t count;

	*kept = 0;
	if (!count_of(reader, row, node, &count))
		return NULL;
	domains = arena_take_array(reader->arena, count, sizeof(domains[0]));
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		if (!reader_accept(reader, row, at, value_domain(at->text)))
			continue;
		domains[(*kept)++] =
			(struct config_domain){.name = lower(reader, at->text), .pos = at->pos};
	}
	return domains;
}

static void read_domains(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_vserver *vserver = base;

	if (row->offset == offsetof(struct config_vserver, local_domains))
		vserver->local_domains =
			domains_of(reader, row, node, &vserver->local_domain_count);
	else
		vserver->relay_domains =
			domains_of(reader, row, node, &vserver->relay_domain_count);
}

static void read_route_domains(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_route *route = base;

	route->domains = domains_of(reader, row, node, &route->domain_count);
}

// Part of a text as a text of its own, in the arena.
static const char *part(struct reader *reader, const char *text, size_t len)
{
	return arena_take_text(reader->arena, text, len);
}

static const char *listen_wrong(struct reader *reader, const char *text,
	struct config_vserver *vserver, struct config_listen *listen)
{
	const char *host = NULL;
	size_t len = 0;

	listen->port = 25;
	const char *wrong = value_endpoint(text, &host, &len, &listen->port);

	if (wrong != NULL)
		return wrong;
	if (len != strlen("all-unassigned") || memcmp(host, "all-unassigned", len) != 0)
		return value_address(part(reader, host, len), &listen->addr);
	if (vserver->all_unassigned)
		return "all-unassigned is in the list twice";
	vserver->all_unassigned = true;
	vserver->all_unassigned_port = listen->port;
	return NULL;
}

static void read_listen(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_vserver *vserver = base;
	uint32_t count;

	if (!count_of(reader, row, node, &count))
		return;
	vserver->listen = arena_take_array(reader->arena, count, sizeof(vserver->listen[0]));
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		struct config_listen *listen = &vserver->listen[vserver->listen_count];
		const bool before = vserver->all_unassigned;

		if (!reader_accept(
			    reader, row, at, listen_wrong(reader, at->text, vserver, listen)))
			continue;
		listen->pos = at->pos;
		if (vserver->all_unassigned == before)
			vserver->listen_count++;
		else
			vserver->all_unassigned_pos = at->pos;
	}
}

static void read_interfaces(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_port *port = base;
	uint32_t count;

	if (!count_of(reader, row, node, &count))
		return;
	port->addresses = arena_take_array(reader->arena, count, sizeof(port->addresses[0]));
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		struct config_iface_addr *address = &port->addresses[port->address_count];
		struct value_why why;

		if (!reader_accept(reader, row, at,
			    value_interface(at->text, &address->addr, &address->len, &why)))
			continue;
		address->pos = at->pos;
		port->address_count++;
	}
}

static const char *gateway_wrong(
	const struct config_port *port, const char *text, struct ip_addr *addr)
{
	const char *wrong = value_address(text, addr);

	for (uint32_t i = 0; wrong == NULL && i < port->gateway_count; i++) {
		if (ip_addr_is_v4(&port->gateways[i].addr) == ip_addr_is_v4(addr))
			wrong = "expected one router of each family only";
	}
	return wrong;
}

static void read_gateways(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_port *port = base;

	if (node->kind == YAML_MAP) {
		reader_refuse(reader, row, node, "expected an address");
		return;
	}
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		struct ip_addr addr;

		if (!reader_accept(reader, row, at, gateway_wrong(port, at->text, &addr)))
			continue;
		port->gateways[port->gateway_count++] =
			(struct config_gateway){.addr = addr, .pos = at->pos};
	}
}

static const char *hop_wrong(struct reader *reader, const char *text, struct config_hop *hop)
{
	const char *host = NULL;
	struct ip_addr addr;
	size_t len = 0;

	if (strcmp(text, "mx") == 0)
		return "expected mx to be the only one";
	hop->port = 25;
	const char *wrong = value_endpoint(text, &host, &len, &hop->port);

	if (wrong != NULL)
		return wrong;
	hop->host = part(reader, host, len);
	return ip_addr_parse(hop->host, &addr) ? NULL : value_host(hop->host);
}

static void read_hops(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_route *route = base;
	uint32_t count;

	if (!count_of(reader, row, node, &count))
		return;
	route->mx = count == 1 && strcmp(first_of(node)->text, "mx") == 0;
	if (route->mx)
		return;
	route->hops = arena_take_array(reader->arena, count, sizeof(route->hops[0]));
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		struct config_hop *hop = &route->hops[route->hop_count];

		if (!reader_accept(reader, row, at, hop_wrong(reader, at->text, hop)))
			continue;
		hop->pos = at->pos;
		route->hop_count++;
	}
}

static const char *dns_server_wrong(
	struct reader *reader, const char *text, struct config_server *server)
{
	const char *host = NULL;
	size_t len = 0;

	server->port = 53;
	const char *wrong = value_endpoint(text, &host, &len, &server->port);

	if (wrong != NULL)
		return wrong;
	return ip_addr_parse(part(reader, host, len), &server->addr) ? NULL : "expected an address";
}

static void read_dns_servers(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config *config = base;
	uint32_t count;

	if (!count_of(reader, row, node, &count))
		return;
	config->dns.servers =
		arena_take_array(reader->arena, count, sizeof(config->dns.servers[0]));
	for (const struct yaml_node *at = first_value(reader, row, node); at != NULL;
		at = next_value(reader, row, node, at)) {
		struct config_server *server = &config->dns.servers[config->dns.server_count];

		config->dns.server_count +=
			reader_accept(reader, row, at, dns_server_wrong(reader, at->text, server));
	}
}

static reader_fn *const readers[SCHEMA_TYPE_COUNT] = {
	[SCHEMA_VLANS] = read_vlans,
	[SCHEMA_LCORES] = read_lcores,
	[SCHEMA_PREFIXES] = read_prefixes,
	[SCHEMA_ONLY] = read_list,
	[SCHEMA_ALL_EXCEPT] = read_list,
	[SCHEMA_NAMES] = read_names,
	[SCHEMA_DOMAINS] = read_domains,
	[SCHEMA_ROUTE_DOMAINS] = read_route_domains,
	[SCHEMA_LISTEN] = read_listen,
	[SCHEMA_INTERFACES] = read_interfaces,
	[SCHEMA_GATEWAYS] = read_gateways,
	[SCHEMA_HOPS] = read_hops,
	[SCHEMA_DNS_SERVERS] = read_dns_servers,
	[SCHEMA_GUARANTEED] = read_guaranteed,
};

void reader_list(struct reader *reader, const struct schema_row *row, const struct yaml_node *node,
	void *base)
{
	assert(readers[row->type] != NULL);
	if (node->kind == YAML_MAP && row->type != SCHEMA_GUARANTEED)
		reader_refuse_kind(reader, row, node);
	else
		readers[row->type](reader, row, node, base);
}
