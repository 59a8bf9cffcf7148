// supervisor.h - keeps postern-edge and postern-deliver running, gives each its descriptors, and stops them in order.
//
// It reads nothing but signals and the fixed records of child_link.h, so nothing from the network can reach it.
//
// Thread:  the only one of posternd.
// Memory:  a few descriptors.
// Blocks:  until SIGTERM, SIGINT, the operator's stop, or a child that cannot start.

#pragma once

#include <stdint.h>

enum {
	SUPERVISOR_STOP_MS =
		30 * 1000, // a child that has not ended by then after STOP gets SIGKILL
};

struct supervisor_options {
	const char *directory; // of the children's executables
	const char *config_path;
	int config_memfd;   // sealed; taken over
	int files_memfd;    // certificates and keys that go with it; likewise. -1: none
	int control_socket; // listening
	int lock;           // child_link.h, CHILD_LOCK_FD; -1: none
};

// Block the signals it wants to hear of. Before anything that takes long, so that an early SIGTERM is kept.
void supervisor_block_signals(void);

// Exit status for main: 0 after an orderly stop, 1 when a child could not start (said on stderr).
int supervisor_run(const struct supervisor_options *options);
