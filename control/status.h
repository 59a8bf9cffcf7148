// status.h - everything edge counts, as JSON and as text for people.
//
// Thread:  the control thread; reads the workers' counters relaxed, so sums taken under load may differ by what came meanwhile.
// Memory:  the caller's json_t.
// Blocks:  never.

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/log.h"
#include "dataplane/edge.h"

struct status_parts {
	const struct edge *edge;
	const struct edge_policy *policy; // running
	struct log_totals log;
	unsigned policies_held;
	bool deliver_up;
	int64_t now_s;
};

// {"version", "uptime_s", "epoch", "huge_pages", "steering", "packets": {received, handled, dropped, unaccounted}, "drops", "workers": [...],
//  "vservers": {...}, "spool": {...}, "tcp": {...}, "log": {...}}
json_t *status_json(const struct status_parts *parts);

// {"vservers": {...}} alone, as in status_json().
json_t *status_vservers(const struct status_parts *parts);

// Text of what status_json() or status_vservers() made; free().
char *status_text(const json_t *status);
char *status_vservers_text(const json_t *status);

const char *status_state_name(enum edge_vserver_state state);
