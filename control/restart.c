#include "control/restart.h"

#include <stdio.h>
#include <string.h>

struct check {
	const struct config *running, *next;
	config_mistake_fn *mistake;
	void *user;
	unsigned count;
};

static void report(struct check *check, struct config_pos pos, const char *key)
{
	char message[160];

	snprintf(message, sizeof(message),
		"%s cannot change while running: this needs a restart, nothing was changed", key);
	check->mistake(check->user, check->next->path, pos, message);
	check->count++;
}

static bool is_same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool is_same_address(const struct config_iface_addr *a, const struct config_iface_addr *b)
{
	return a->len == b->len && ip_addr_eq(&a->addr, &b->addr);
}

static bool is_same_port(const struct config_port *a, const struct config_port *b)
{
	if (!is_same_text(a->device, b->device) || a->mtu != b->mtu ||
		a->address_count != b->address_count || a->gateway_count != b->gateway_count)
		return false;
	for (uint32_t i = 0; i < a->gateway_count; i++)
		if (!ip_addr_eq(&a->gateways[i].addr, &b->gateways[i].addr))
			return false;
	if (a->vlan.count != b->vlan.count ||
		memcmp(a->vlan.ids, b->vlan.ids, sizeof(a->vlan.ids)) != 0)
		return false;
	for (uint32_t i = 0; i < a->address_count; i++)
		if (!is_same_address(&a->addresses[i], &b->addresses[i]))
			return false;
	return true;
}

static void check_ports(struct check *check)
{
	const struct config *a = check->running, *b = check->next;
	uint32_t common = a->port_count < b->port_count ? a->port_count : b->port_count;

	for (uint32_t i = 0; i < common; i++)
		if (!is_same_port(&a->ports[i], &b->ports[i]))
			report(check, b->ports[i].pos, "ports");
	for (uint32_t i = common; i < b->port_count; i++)
		report(check, b->ports[i].pos, "ports");
	if (a->port_count > b->port_count)
		report(check, (struct config_pos){0, 0}, "ports");
}

static void check_dataplane(struct check *check)
{
	const struct config_dataplane *a = &check->running->dataplane, *b = &check->next->dataplane;

	if (a->worker_count != b->worker_count ||
		memcmp(a->workers, b->workers, a->worker_count * sizeof(a->workers[0])) != 0)
		report(check, b->pos, "dataplane.workers");
	if (a->memory_octets != b->memory_octets)
		report(check, b->pos, "dataplane.memory");
	if (a->huge_pages != b->huge_pages)
		report(check, b->pos, "dataplane.huge_pages");
	if (a->max_connections != b->max_connections)
		report(check, b->pos, "dataplane.max_connections");
}

unsigned restart_needed(const struct config *running, const struct config *next,
	config_mistake_fn *mistake, void *user)
{
	struct check check = {running, next, mistake, user, 0};
	const struct config_pos nowhere = {0, 0};

	check_dataplane(&check);
	if (!is_same_text(running->control_socket, next->control_socket))
		report(&check, nowhere, "control.socket");
	if (!is_same_text(running->control_user, next->control_user))
		report(&check, nowhere, "control.user");
	if (!is_same_text(running->spool, next->spool))
		report(&check, nowhere, "spool");
	check_ports(&check);
	return check.count;
}
