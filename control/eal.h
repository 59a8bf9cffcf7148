// eal.h - start DPDK's environment from the configuration: lcores, memory, devices.
//
// Workers are lcores named by their CPU; the control thread is an lcore of its own number that may run on any CPU, so that
// every CPU can be a worker's.
//
// Thread:  the process's first thread, once.
// Memory:  dataplane.memory in huge pages, or in plain ones.
// Blocks:  yes.

#pragma once

#include <stdbool.h>

#include "config/config.h"

enum {
	EAL_WHY_OCTETS = 256,
};

// False: why says what to do. *huge: what kind of pages it got.
bool eal_start(const struct config *config, bool *huge, char why[EAL_WHY_OCTETS]);
