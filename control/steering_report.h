// steering_report.h - which rules a NIC gets for a configuration, for `posternctl steering`.
//
// Thread:  any thread that may hold the snapshot; off the lcores.
// Memory:  the caller's json_t.
// Blocks:  never.

#pragma once

#include <jansson.h>

#include "config/snapshot.h"

enum {
	STEERING_REPORT_WHY_MAX = 512,
};

// What a running server knows of each port, in order of the configuration; for a file there is none.
struct steering_report_port {
	const char *driver;
	uint16_t queues;
	char state[192]; // what became of the rules, one line; "": nothing to say
};

// {"verified": false, "ports": [{"device", "nic", "remark", "queues", "state", "rules": [{"text", "by", "vserver"}]}]}
//
// name: the kind of NIC to make rules for; NULL: what each port is. live: LIMIT_PORTS ports or NULL. NULL: why says what is missing.
json_t *steering_report(const struct snapshot *snapshot, const char *name,
	const struct steering_report_port *live, char why[STEERING_REPORT_WHY_MAX]);

// The same for people; free().
char *steering_report_text(const json_t *report);
