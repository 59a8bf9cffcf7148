// load_tell.h - what the user sees: a line a second while it runs; a table, JSON and an HTML page at the end.
//
// Thread: the loop of the run, then main. Blocks: on stdout, stderr and the HTML file.

#pragma once

#include <signal.h>
#include <stdbool.h>

#include "load.h"

struct load_tell {
	const struct load_plan *plan;
	uint64_t told_ns, mails, sessions, refused;
	struct load_second {
		uint64_t mails, sessions, refused;
		uint32_t open;
	} * seconds; // for the plot
	uint32_t second_count, second_room;
	struct load_result result;         // of the end
	volatile sig_atomic_t stop_wanted; // by a signal
};

// Called often; prints once a second.
void load_tell_progress(struct load_tell *tell, const struct load_result *now, uint64_t now_ns);

// Keep the result for load_tell_end().
void load_tell_keep(struct load_tell *tell, const struct load_result *end);

// Exit status: 0, or 1 when nothing of what was asked for was done, or when sessions failed.
int load_tell_end(struct load_tell *tell);
