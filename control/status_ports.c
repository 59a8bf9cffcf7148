#include "control/status_ports.h"

#include <string.h>

#include "control/link_watch.h"
#include "dataplane/port.h"
#include "dataplane/port_flow.h"

enum steered {
	STEERED_ANY, // every worker serves it
	STEERED_SOFTWARE,
	STEERED_UNPROVEN,
	STEERED_PROVEN,
	STEERED_CONTRADICTED,
};

static void put(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void put_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

uint64_t status_ports_missed(const struct edge *edge)
{
	uint64_t missed = 0;

	for (uint16_t i = 0; edge->ports != NULL && i < edge->ports->count; i++)
		missed += edge->ports->ports[i].missed;
	return missed;
}

static uint64_t sum(const struct edge *edge, unsigned slot, bool strayed)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < edge->worker_count; i++) {
		const struct edge_vserver_counters *c = &edge->workers[i]->vservers[slot];

		total += atomic_load_explicit(
			strayed ? &c->strayed : &c->landed, memory_order_relaxed);
	}
	return total;
}

static enum steered steered(
	const struct edge *edge, const struct edge_policy *policy, uint16_t vserver)
{
	const struct edge_vserver *v = &edge->vservers[policy->slot[vserver]];
	unsigned slot = policy->slot[vserver];
	unsigned own =
		(unsigned)__builtin_popcountll(policy->snapshot->vservers[vserver].worker_mask);

	if (own == edge->worker_count)
		return STEERED_ANY;
	if (!v->by_ports)
		return STEERED_SOFTWARE;
	if (sum(edge, slot, true) != v->strayed_before)
		return STEERED_CONTRADICTED;
	return sum(edge, slot, false) != v->landed_before ? STEERED_PROVEN : STEERED_UNPROVEN;
}

const char *status_ports_steering(
	const struct edge *edge, const struct edge_policy *policy, uint16_t vserver)
{
	switch (steered(edge, policy, vserver)) {
	case STEERED_ANY:
		return "any worker";
	case STEERED_SOFTWARE:
		return "software";
	case STEERED_UNPROVEN:
		return "ports, unproven";
	case STEERED_PROVEN:
		return "ports, proven";
	case STEERED_CONTRADICTED:
		return "ports, contradicted";
	}
	return "-";
}

// Where packets are steered in software, a flood on one virtual server costs the worker that receives for all; where all workers
// serve all, there is nothing to isolate with.
static void add_steering(json_t *status, const struct edge *edge, const struct edge_policy *policy)
{
	unsigned count[STEERED_CONTRADICTED + 1] = {0};
	unsigned vservers = policy->snapshot->vserver_count, by_ports;

	for (unsigned i = 0; i < vservers; i++)
		count[steered(edge, policy, (uint16_t)i)]++;
	by_ports = count[STEERED_UNPROVEN] + count[STEERED_PROVEN] + count[STEERED_CONTRADICTED];
	if (by_ports == 0)
		put_text(status, "steering", "software");
	else
		put_text(status, "steering",
			count[STEERED_SOFTWARE] == 0 ? "ports" : "ports and software");
	if (by_ports == 0 || count[STEERED_PROVEN] != vservers - count[STEERED_ANY])
		put_text(
			status, "isolation", count[STEERED_UNPROVEN] != 0 ? "unproven" : "partial");
	else
		put_text(status, "isolation", count[STEERED_ANY] == 0 ? "full" : "partial");
}

// "", "100" or "300.7".
static const char *vlan_text(const struct vlan *vlan, char out[16])
{
	out[0] = '\0';
	if (vlan->count == 1)
		snprintf(out, 16, "%u", vlan->ids[0]);
	if (vlan->count == 2)
		snprintf(out, 16, "%u.%u", vlan->ids[0], vlan->ids[1]);
	return out;
}

static json_t *port_json(const struct port *port, const struct port_flow *flow)
{
	json_t *object = json_object();
	char vlan[16];

	put_text(object, "device", port->device);
	put_text(object, "driver", port->driver);
	put_text(object, "vlan", vlan_text(&port->vlan, vlan));
	put_text(object, "nic", steering_nic_name(port->nic));
	put(object, "rx_queues", port->rx_queues);
	put(object, "tx_queues", port->tx_queues);
	put(object, "mtu", port->iface.mtu);
	put_text(object, "link", port->link_up ? "up" : "down");
	put(object, "link_mbit_s", port->link_mbit_s);
	put(object, "link_changes", port->link_changes);
	put(object, "missed", port->missed);
	put_text(object, "multicast", port->groups != NULL ? port->groups : "-");
	put_text(object, "checksums", port->sums_by_port ? "port" : "software");
	if (flow == NULL)
		return object;
	put(object, "rules", flow->taken);
	put(object, "rules_refused", flow->refused);
	if (flow->refused != 0)
		put_text(object, "refusal", flow->why);
	return object;
}

void status_ports_add(json_t *status, const struct edge *edge, const struct edge_policy *policy)
{
	json_t *ports = json_array();

	add_steering(status, edge, policy);
	for (uint16_t i = 0; edge->ports != NULL && i < edge->ports->count; i++) {
		json_t *port = port_json(&edge->ports->ports[i],
			edge->flows != NULL ? &edge->flows->ports[i] : NULL);

		link_watch_status(port, edge, i);
		json_array_append_new(ports, port);
	}
	json_object_set_new(status, "ports", ports);
}

bool status_ports_live(const struct edge *edge, struct steering_report_port live[LIMIT_PORTS])
{
	for (uint16_t i = 0; edge->ports != NULL && i < edge->ports->count; i++) {
		const struct port *port = &edge->ports->ports[i];
		const struct port_flow *flow = &edge->flows->ports[i];

		live[i] = (struct steering_report_port){
			.driver = port->driver, .queues = port->rx_queues};
		if (flow->taken + flow->refused == 0)
			snprintf(live[i].state, sizeof(live[i].state), "no rules in this port");
		else
			snprintf(live[i].state, sizeof(live[i].state),
				"%u rules taken, %u refused%s%s", flow->taken, flow->refused,
				flow->refused != 0 ? ": " : "", flow->why);
	}
	return edge->ports != NULL;
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "-";
}

void status_ports_print(FILE *out, const json_t *status)
{
	const json_t *port;
	size_t i;

	fprintf(out, "\n");
	json_array_foreach(json_object_get(status, "ports"), i, port)
	{
		fprintf(out,
			"port %zu   %s%s%s (%s): link %s, %lld changes, mtu %lld, queues %lld in "
			"%lld "
			"out, checksums by %s, missed %lld",
			i, text_of(port, "device"),
			text_of(port, "vlan")[0] != '\0' ? " vlan " : "", text_of(port, "vlan"),
			text_of(port, "nic"), text_of(port, "link"),
			number_of(port, "link_changes"), number_of(port, "mtu"),
			number_of(port, "rx_queues"), number_of(port, "tx_queues"),
			text_of(port, "checksums"), number_of(port, "missed"));
		if (number_of(port, "rules") + number_of(port, "rules_refused") != 0)
			fprintf(out, ", rules %lld taken, %lld refused", number_of(port, "rules"),
				number_of(port, "rules_refused"));
		if (json_object_get(port, "refusal") != NULL)
			fprintf(out, " (%s)", text_of(port, "refusal"));
		fprintf(out, "\n");
		link_watch_print(out, port);
	}
}
