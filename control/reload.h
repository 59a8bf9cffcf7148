// reload.h - from a configuration text to the policy the workers run: built, checked against what cannot change while running,
// published by one store, and given back when nobody can see it any more.
//
// Life of a policy: built -> published -> retired (a newer one is published) -> quiescent (every worker has passed a quiescent
// state since) -> logged (the log rings were read once since, so that no record names its epoch) -> freed.
//
// Thread:  the control thread.
// Memory:  configuration, snapshot and class table of the running policy and of up to RELOAD_HELD_MAX retired ones.
// Blocks:  reload_init() reads files and compiles, which takes seconds for millions of entries; everything else returns at once.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "dataplane/edge.h"

enum {
	RELOAD_HELD_MAX =
		8, // policies not freed yet; more: the reload is refused, as some worker does not move
};

struct key_files;
struct reload;
typedef struct uv_loop_s uv_loop_t;

// Publish config (taken over, also on failure) as epoch 1: slots and states of edge->vservers, tunables, edge->policy. edge->qsbr must be there.
// supervisor_link: told of every later configuration (child_link.h); -1: nobody is told. files: certificates and keys as posternd has read
// them, taken over; NULL: they are read here.
// ERR_NO_MEMORY: raise dataplane.memory. ERR_CERTIFICATE: said on stderr, where and why.
MUST_CHECK enum err reload_init(struct edge *edge, struct config *config, int supervisor_link,
	struct key_files *files, struct reload **reload);

// Certificates and keys for the next reload (CHILD_LINK_FILES brings them); taken over. NULL: they are read by it.
void reload_lend_files(struct reload *reload, struct key_files *files);

// What becomes of a reload, told on the loop's thread.
struct reload_events {
	config_mistake_fn *mistake; // each, before done
	void (*done)(void *user,
		uint64_t
			epoch); // the epoch now running; 0: there were mistakes and nothing has changed
	void *user;
};

// Read (memfd -1: path; path NULL: the one before), check and compile on a thread of libuv's that yields to the workers; then
// publish and hand the text to the supervisor. memfd is taken over.
// False: another one is under way, and nothing will be told.
bool reload_start(struct reload *reload, uv_loop_t *loop, const char *path, int memfd,
	const struct reload_events *events);

bool reload_is_under_way(const struct reload *reload);

// For tests: the same here and now. The epoch now running, or 0.
uint64_t reload_from_memfd(
	struct reload *reload, const char *path, int memfd, config_mistake_fn *mistake, void *user);

// For tests: likewise, by path.
uint64_t reload_from_path(
	struct reload *reload, const char *path, config_mistake_fn *mistake, void *user);

// Take one step with retired policies. log_passes: how often all log rings were read so far (log_passes()).
void reload_collect(struct reload *reload, uint64_t log_passes);

// The policy of an epoch as long as it is not freed; NULL: gone, or never was.
const struct edge_policy *reload_policy_of(const struct reload *reload, uint64_t epoch);

// The running one.
const struct edge_policy *reload_policy(const struct reload *reload);

// limits.errors was set: sessions go by the limit in their struct smtp_service, so it is changed there, in place (one aligned store).
void reload_set_errors(struct reload *reload, uint16_t errors);

// Retired policies not freed yet, for status.
unsigned reload_held(const struct reload *reload);

// When all workers have ended. For tests: the process ends by _exit().
void reload_free(struct reload *reload);
