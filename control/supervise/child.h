// child.h - one child process of the supervisor: started with its descriptors, its death explained, its restart dated.
//
// Thread:  the supervisor's only one.
// Memory:  by value.
// Blocks:  child_start() forks and returns.
// Clock:   now_ms is an argument (CLOCK_MONOTONIC).

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	CHILD_RESTART_MS =
		20, // first restart, and after every death that was not the child's own fault
	CHILD_RESTART_MAX_MS = 30 * 1000, // the delay doubles up to here
	CHILD_SHORT_LIFE_MS = 10 * 1000,  // dead within this time after start: the delay doubles
	CHILD_FIRST_TRIES = 3, // crashes before it was ever ready; then the supervisor gives up
	CHILD_DEATH_TEXT_MAX = 96,
};

struct child {
	const char *name;      // of the executable
	pid_t pid;             // 0: not running
	int link;              // our end; -1 when not running
	bool ready;            // this run said READY
	bool was_ready;        // an earlier run, or this one, did
	unsigned early_deaths; // before any run was ready
	int64_t started_ms;
	int64_t restart_ms; // when not running: start it then
	uint32_t delay_ms;  // last one used; 0: none yet
};

struct child_start {
	const char *directory;   // where the executable is
	const char *config_path; // ARGV[1]
	int config_memfd;
	int files_memfd;    // -1: this child gets none
	int control_socket; // -1: this child gets none
	int lock;           // -1: none
};

// 0 or -errno (then it is not running, and restart_ms is not set).
int child_start(struct child *child, const struct child_start *how, int64_t now_ms);

// The kernel says that it ended: close the link and set restart_ms. The delay is CHILD_RESTART_MS, doubled for each short life in a row;
// SIGKILL to a child that was ready comes from outside, so that waiting longer would help nobody, and doubles nothing.
void child_ended(struct child *child, int wait_status, int64_t now_ms);

// Whether a death before the first READY means that restarting is pointless.
bool child_is_hopeless(const struct child *child, int wait_status);

// "exit status 1", "killed by signal 9 (Killed)", "killed by signal 6 (Aborted), core dumped". Returns text.
char *child_death_text(int wait_status, char text[CHILD_DEATH_TEXT_MAX]);
