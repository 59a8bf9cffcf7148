// diff_kernel.h - the side of the Linux kernel: its TCP behind a TUN device in a network namespace of this process, and an
// application that reads all there is and does what it is told.
//
// Thread: one. Memory: descriptors, until the process ends; the namespace goes with it.
// Blocks: never; a segment written to the device is answered before write() returns.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "diff/diff_outcome.h"
#include "diff/diff_step.h"

// Makes the namespace. False: this machine does not let us; why is on stderr.
bool diff_kernel_init(void);

// A connection to come, from a port of its own; the listener is a new one.
void diff_kernel_begin(bool v6);
// Nothing of it stays behind but TIME-WAIT.
void diff_kernel_end(void);

// One step and what came of it.
void diff_kernel_play(const struct diff_step *step, struct diff_outcome *out);
