// port_flow.h - the rules of steering.h given to real NICs, and what became of them. The only user of rte_flow_*.
//
// A rule that a NIC refuses is counted, and software steers what it was for. One that it takes is a promise: whether packets keep to
// it is seen where they arrive (edge.h: landed, strayed).
//
// Thread:  the control thread.
// Memory:  the caller's struct port_flows; handles of rules are DPDK's.
// Blocks:  as long as the driver takes for a rule.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/port.h"
#include "dataplane/steering.h"

struct rte_flow;

enum {
	PORT_FLOW_WHY_OCTETS = 128,
};

struct port_flow {
	uint32_t count; // rules asked for
	uint32_t taken, refused;
	char why[PORT_FLOW_WHY_OCTETS]; // what the NIC said to the first one it refused
	struct steering_rule rules[LIMIT_STEERING_RULES];
	struct rte_flow *handles[LIMIT_STEERING_RULES]; // NULL: not in the NIC
};

struct port_flows {
	struct port_flow ports[LIMIT_PORTS];
};

// Bring the rules of all ports to those that this configuration needs. Ports whose rules are the same already are left alone.
// True: something changed.
bool port_flow_apply(
	struct port_flows *flows, const struct port_set *set, const struct snapshot *snapshot);

// Whether the ports themselves send every packet of this virtual server to its workers: by rules they took, or because all
// workers are its own.
bool port_flow_holds(const struct port_flows *flows, const struct port_set *set,
	const struct snapshot *snapshot, uint16_t vserver);
