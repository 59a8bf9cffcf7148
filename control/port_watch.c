#include "control/port_watch.h"

#include <stdio.h>

static uint64_t counted(const struct edge *edge, unsigned slot, bool strayed)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < edge->worker_count; i++) {
		const struct edge_vserver_counters *c = &edge->workers[i]->vservers[slot];

		total += atomic_load_explicit(
			strayed ? &c->strayed : &c->landed, memory_order_relaxed);
	}
	return total;
}

static void say_rules(const struct port_watch *watch)
{
	for (uint16_t i = 0; i < watch->ports->count; i++) {
		const struct port_flow *flow = &watch->flows->ports[i];

		if (flow->taken + flow->refused == 0)
			continue;
		fprintf(stderr, "postern-edge: port %s: %u steering rules taken, %u refused%s%s\n",
			watch->ports->ports[i].device, flow->taken, flow->refused,
			flow->refused != 0 ? ": " : "", flow->why);
	}
}

// New rules have to prove themselves again.
static void begin_proof(struct port_watch *watch)
{
	const struct edge_policy *policy = reload_policy(watch->reload);

	for (uint16_t v = 0; v < policy->snapshot->vserver_count; v++) {
		unsigned slot = policy->slot[v];

		watch->edge->vservers[slot].landed_before = counted(watch->edge, slot, false);
		watch->edge->vservers[slot].strayed_before = counted(watch->edge, slot, true);
	}
}

void port_watch_rules(struct port_watch *watch)
{
	const struct edge_policy *policy = reload_policy(watch->reload);
	const struct snapshot *snapshot = policy->snapshot;

	if (snapshot->epoch == watch->epoch)
		return;
	watch->epoch = snapshot->epoch;
	if (!port_flow_apply(watch->flows, watch->ports, snapshot))
		return;
	for (uint16_t v = 0; v < snapshot->vserver_count; v++)
		watch->edge->vservers[policy->slot[v]].by_ports =
			port_flow_holds(watch->flows, watch->ports, snapshot, v);
	begin_proof(watch);
	watch->unsettled = true;
	say_rules(watch);
}

void port_watch_links(struct port_watch *watch)
{
	uint32_t changed = port_set_watch(watch->ports);

	// What was in the queues when the rules changed is no evidence against them.
	if (watch->unsettled)
		begin_proof(watch);
	watch->unsettled = false;
	for (uint16_t i = 0; i < watch->ports->count; i++) {
		const struct port *port = &watch->ports->ports[i];

		if ((changed >> i & 1) != 0 && port->link_up)
			atomic_fetch_add_explicit(
				&watch->edge->links[i].ups, 1, memory_order_relaxed);
		if (changed >> i & 1)
			fprintf(stderr, "postern-edge: port %s: link is %s\n", port->device,
				port->link_up ? "up" : "down");
	}
}
