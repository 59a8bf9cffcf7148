// port_watch.h - what the control thread does about ports while the server runs: rules for the configuration that runs, links that come
// and go.
//
// Thread:  the control thread.
// Memory:  borrows edge, its ports and the flows.
// Blocks:  as long as a driver takes for its rules, after a reload.

#pragma once

#include "control/reload.h"
#include "dataplane/edge.h"
#include "dataplane/port_flow.h"

struct port_watch {
	struct edge *edge;
	struct port_set *ports;
	struct port_flows *flows;
	struct reload *reload;
	uint64_t epoch; // whose rules are in the ports; 0: none
	bool unsettled; // rules are younger than a second
};

// Bring the ports' rules to the configuration that runs, if that is another than the last time. Any time after the workers exist.
void port_watch_rules(struct port_watch *watch);

// Once a second: links and losses; a change is said on stderr.
void port_watch_links(struct port_watch *watch);
