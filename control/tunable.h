// tunable.h - what can be set while running, by name: posternctl get|set.
//
// Thread:  the control thread; workers read the values.
// Memory:  none.
// Blocks:  never.

#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "dataplane/edge.h"

struct reload;

enum {
	TUNABLE_WHY_MAX = 320,
};

// "delivery.concurrency" and the like: the deliverer holds the value.
bool tunable_is_delivery(const char *name);

// Every name this process holds, as {"name": value, ...}.
json_t *tunable_all(const struct edge *edge);

// One value, or NULL: no such name; why lists those that are.
json_t *tunable_get(const struct edge *edge, const char *name, char why[TUNABLE_WHY_MAX]);

// value as the operator typed it. False: why says what was expected.
bool tunable_set(struct edge *edge, struct reload *reload, const char *name, const char *value,
	char why[TUNABLE_WHY_MAX]);
