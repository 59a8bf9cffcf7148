#include "control/restart.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "config/schema.h"

struct check {
	const struct config *running, *next;
	config_mistake_fn *mistake;
	void *user;
	unsigned count;
};

// LCORES are laid out so (config.h).
struct lcores {
	uint32_t ids[LIMIT_WORKERS], count;
};

// A key that is back to its default is at the start of the file.
static void report(struct check *check, struct config_pos pos, const struct schema_row *row)
{
	const char *section = schema_section_path(row->section);
	const struct config_pos start = {1, 1};
	char message[160];

	snprintf(message, sizeof(message),
		"%s%s%s cannot change while running: this needs a restart, nothing was changed",
		section, *section == '\0' ? "" : ".", row->key);
	check->mistake(check->user, check->next->path, pos.line == 0 ? start : pos, message);
	check->count++;
}

// ---- Values

static bool is_same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

static bool has_lcore(const struct lcores *lcores, uint32_t id)
{
	for (uint32_t i = 0; i < lcores->count; i++) {
		if (lcores->ids[i] == id)
			return true;
	}
	return false;
}

// As sets. The order in dataplane.workers counts, as flows are spread by it.
static bool is_same_set(const struct lcores *a, const struct lcores *b)
{
	for (uint32_t i = 0; i < a->count; i++) {
		if (!has_lcore(b, a->ids[i]))
			return false;
	}
	return a->count == b->count;
}

static bool is_same_interfaces(const struct config_port *a, const struct config_port *b)
{
	for (uint32_t i = 0; i < a->address_count && i < b->address_count; i++) {
		if (a->addresses[i].len != b->addresses[i].len ||
			!ip_addr_eq(&a->addresses[i].addr, &b->addresses[i].addr))
			return false;
	}
	return a->address_count == b->address_count;
}

static bool is_same_gateways(const struct config_port *a, const struct config_port *b)
{
	for (uint32_t i = 0; i < a->gateway_count && i < b->gateway_count; i++) {
		if (!ip_addr_eq(&a->gateways[i].addr, &b->gateways[i].addr))
			return false;
	}
	return a->gateway_count == b->gateway_count;
}

// a, b: the struct of the row's section. A type that no key with RESTART has had so far is our own bug.
static bool is_same(const struct schema_row *row, const void *a, const void *b)
{
	const uint8_t *in_a = (const uint8_t *)a + row->offset,
		      *in_b = (const uint8_t *)b + row->offset;
	const char *text_a, *text_b;
	size_t octets = sizeof(uint32_t);

	if (row->type == SCHEMA_INTERFACES)
		return is_same_interfaces(a, b);
	if (row->type == SCHEMA_GATEWAYS)
		return is_same_gateways(a, b);
	if (row->type == SCHEMA_PATH || row->type == SCHEMA_WORD || row->type == SCHEMA_DEVICE) {
		memcpy(&text_a, in_a, sizeof(text_a));
		memcpy(&text_b, in_b, sizeof(text_b));
		return is_same_text(text_a, text_b);
	}
	if (row->type == SCHEMA_LCORES)
		octets = sizeof(struct lcores);
	else if (row->type == SCHEMA_VLANS)
		octets = sizeof(struct config_vlan);
	else if (row->type == SCHEMA_OCTETS64)
		octets = sizeof(uint64_t);
	else if (row->type == SCHEMA_U16)
		octets = sizeof(uint16_t);
	else
		assert(row->type == SCHEMA_U32 || row->type == SCHEMA_CHOICE);
	return memcmp(in_a, in_b, octets) == 0;
}

// ---- Sections

static bool is_fixed_value(const struct schema_row *row)
{
	return row->apply == SCHEMA_RESTART && row->type != SCHEMA_MAP && row->type != SCHEMA_MAPS;
}

static void check_ports(struct check *check, const struct schema_row *row)
{
	const struct config *a = check->running, *b = check->next;

	for (uint32_t i = 0; i < a->port_count && i < b->port_count; i++) {
		if (!is_same(row, &a->ports[i], &b->ports[i]))
			report(check, b->ports[i].pos, row);
	}
}

static void check_port_count(struct check *check)
{
	const struct schema_row *row = schema_find(SCHEMA_SECTION_TOP, "ports");

	if (check->running->port_count != check->next->port_count)
		report(check, check->next->places[row - schema_rows], row);
}

static struct lcores workers_of(const struct config *config, const struct config_vserver *vserver)
{
	const bool all = vserver->worker_count == 0;
	struct lcores lcores = {
		.count = all ? config->dataplane.worker_count : vserver->worker_count};

	memcpy(lcores.ids, all ? config->dataplane.workers : vserver->workers, sizeof(lcores.ids));
	return lcores;
}

// Its sessions are with its workers; with others their segments would go to workers that do not know them. A virtual server
// that is new has none.
static void check_workers_of(struct check *check, const struct config_vserver *next)
{
	const struct schema_row *row = schema_find(SCHEMA_SECTION_VSERVER, "workers");
	const struct config *running = check->running;

	for (uint32_t i = 0; i < running->vserver_count; i++) {
		const bool both_all =
			running->vservers[i].worker_count == 0 && next->worker_count == 0;

		if (both_all || strcmp(running->vservers[i].name, next->name) != 0)
			continue;
		const struct lcores before = workers_of(running, &running->vservers[i]);
		const struct lcores after = workers_of(check->next, next);

		if (!is_same_set(&before, &after))
			report(check, next->worker_count > 0 ? next->workers_pos : next->pos, row);
	}
}

unsigned restart_needed(const struct config *running, const struct config *next,
	config_mistake_fn *mistake, void *user)
{
	struct check check = {running, next, mistake, user, 0};

	for (const struct schema_row *row = schema_rows; row < schema_rows + schema_row_count;
		row++) {
		if (!is_fixed_value(row) || row->section == SCHEMA_SECTION_VSERVER)
			continue;
		if (row->section == SCHEMA_SECTION_PORT)
			check_ports(&check, row);
		else if (!is_same(row, running, next))
			report(&check, next->places[row - schema_rows], row);
	}
	check_port_count(&check);
	for (uint32_t i = 0; i < next->vserver_count; i++)
		check_workers_of(&check, &next->vservers[i]);
	return check.count;
}
