// restart.h - what a reload cannot change: the keys that the schema says RESTART of. Ports, memory, lcores and paths are taken when
// the process starts; sessions stay with the workers of their virtual server.
//
// Thread:  any.
// Memory:  none.
// Blocks:  never.

#pragma once

#include "config/config.h"

// Report each key of next that differs from running and needs a restart, with its line where the configuration keeps one. The
// number of reports: 0 means that next may be published.
unsigned restart_needed(const struct config *running, const struct config *next,
	config_mistake_fn *mistake, void *user);
