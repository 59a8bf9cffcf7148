// link_watch.h - what the control thread says about our addresses and gateways while the server runs: conflicts, and gateways
// that answer no more; in status, and on stderr when it changes.
//
// Thread:  the control thread.
// Memory:  borrows edge and its ports.
// Blocks:  never.

#pragma once

#include <jansson.h>
#include <stdio.h>

#include "dataplane/edge.h"

struct link_watch {
	const struct edge *edge;
	uint64_t conflicts[LIMIT_PORTS][IFACE_ADDRESSES]; // as seen last
	uint8_t quiet_s[LIMIT_PORTS][IFACE_ADDRESSES];    // until the next line about it
	uint8_t states[LIMIT_PORTS][IFACE_ADDRESSES];
	uint8_t gateways[LIMIT_PORTS][IFACE_GATEWAYS];
};

void link_watch_init(struct link_watch *watch, const struct edge *edge);

// Once a second: every change is a line on out.
void link_watch_poll(struct link_watch *watch, FILE *out);

// Put into the object of a port: "mac", "addresses": [{address, state, conflicts, other}], "gateways": [{address, state, mac}].
void link_watch_status(json_t *port, const struct edge *edge, uint16_t index);

// A line for each of these, below that of its port.
void link_watch_print(FILE *out, const json_t *port);
