// status_ports.h - the part of status about ports: links, offloads, and who steers packets to their workers.
//
// Thread:  the control thread.
// Memory:  the caller's json_t; texts are static.
// Blocks:  never.

#pragma once

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "control/steering_report.h"
#include "dataplane/edge.h"

// Packets that devices lost before a worker saw them, over all ports.
uint64_t status_ports_missed(const struct edge *edge);

// Who steers packets of this virtual server: "any worker" (nothing to steer), "software", "ports, unproven" (the rules are in, no
// packet yet), "ports, proven" (packets came, all where they should), "ports, contradicted" (some did not).
const char *status_ports_steering(
	const struct edge *edge, const struct edge_policy *policy, uint16_t vserver);

// Put in "steering", "isolation" and "ports": [{device, driver, nic, rx_queues, tx_queues, mtu, link, link_changes, missed, multicast,
// checksums, rules, rules_refused, refusal, and what link_watch_status() adds}].
void status_ports_add(json_t *status, const struct edge *edge, const struct edge_policy *policy);

// For `posternctl steering`. False: there are no ports.
bool status_ports_live(const struct edge *edge, struct steering_report_port live[LIMIT_PORTS]);

// One line a port.
void status_ports_print(FILE *out, const json_t *status);
