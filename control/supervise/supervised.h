// supervised.h - what every child with a libuv loop does the same way: its start, its ear for the supervisor, another configuration.
//
// Thread:  the loop's; the text of a configuration is read and checked by a thread of libuv's, which yields to the others.
// Memory:  one configuration text at a time, and one that waits.
// Blocks:  supervised_config() reads; nothing else does.

#pragma once

#include <stdbool.h>
#include <uv.h>

#include "config/config.h"
#include "supervise/child_link.h"

struct supervised_events {
	// What the supervisor says, but CONFIG when config is there. fd is the callee's; -1: none.
	void (*record)(void *user, enum child_link_kind kind, int fd);
	// The configuration that runs now, checked; the callee's. NULL: CONFIG goes to record.
	void (*config)(void *user, struct config *config);
	void *user;
};

struct supervised {
	const char *name, *config_path;
	struct supervised_events events;
	uv_loop_t *loop;
	uv_poll_t poll;
	uv_work_t work;
	int text_fd, waiting_fd; // being read, come meanwhile; -1: none
	struct config *read;     // by work
};

// The first thing main() does: takes the arguments (CONFIG, or --help, which prints help) and reads the configuration from
// CHILD_CONFIG_FD. Ends the process when that is not to be: 0 after --help, 2 for other arguments, 1 after saying why.
struct config *supervised_config(const char *name, const char *help, int argc, char **argv);

// Become control.user (privileges_settle). Ends the process with 1 after saying why not.
void supervised_settle(const char *name, const struct config *config);

// Listen to the supervisor on this loop. When it is gone the process ends with 1: its successor starts children of its own, and
// two must not do the same work. s->name and s->config_path are set. False: libuv cannot.
bool supervised_listen(
	struct supervised *s, uv_loop_t *loop, const struct supervised_events *events);
