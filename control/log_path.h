// log_path.h - where the log of a virtual server goes.
//
// Thread:  the control thread.
// Memory:  the caller's.
// Blocks:  log_path_check() opens files.

#pragma once

#include <stdbool.h>

#include "config/config.h"

enum {
	LOG_PATH_OCTETS = 4096,
};

// FILE holds the chosen format; with `format: both` FILE is W3C extended and FILE.json JSON lines. Without log.file it is NAME.log
// in the spool directory. False: this virtual server has no file of that format.
bool log_path_of(const struct config *config, const struct config_vserver *vserver, bool json,
	char path[LOG_PATH_OCTETS]);

// Report each file of next that running has not and that cannot be opened for writing: its lines would be lost. A file that
// can be opened is there afterwards. The number of reports.
unsigned log_path_check(const struct config *running, const struct config *next,
	config_mistake_fn *mistake, void *user);
