#include "control/reload.h"

#include <assert.h>
#include <errno.h>
#include <rte_rcu_qsbr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "config/name_match.h"
#include "control/log_path.h"
#include "control/restart.h"
#include "policy/class_table.h"
#include "supervise/child_link.h"
#include "supervise/config_memfd.h"
#include "tls/certificate.h"
#include "tls/key_files.h"

enum {
	WORK_NICE = 19,
};

enum stage {
	STAGE_RUNNING,
	STAGE_RETIRED,   // a newer one is published; some worker may still use it
	STAGE_QUIESCENT, // no worker uses it; a log ring may still hold its epoch
};

struct held {
	struct edge_policy policy; // what the workers see
	struct snapshot *snapshot;
	struct config *config;
	struct class_table *class_table;
	struct certificate_set *certificates;
	char *path; // struct config may borrow it
	enum stage stage;
	uint64_t token;  // RETIRED: of rte_rcu_qsbr_start()
	uint64_t passes; // QUIESCENT: readings of the log rings so far
	struct held *older;
};

struct reload {
	struct edge *edge;
	struct held *newest; // the running one; older ones behind it
	unsigned count;      // retired ones
	int supervisor_link;
	struct attempt *attempt; // beside the loop; NULL: none
	struct key_files *files; // for the next configuration from the supervisor
};

struct kept_mistake {
	struct config_pos pos;
	char *message;
};

// One reload: prepared by any thread, while nobody else touches it and newest stays; ended by the control thread.
struct attempt {
	struct reload *reload;
	char *path;
	int memfd;               // -1: path is to be read
	struct held *held;       // NULL: the mistakes say why
	struct key_files *files; // read by posternd; NULL: none
	struct kept_mistake *mistakes;
	size_t mistake_count, mistake_room;
	struct reload_events events;
	uv_work_t work;
};

static void held_free(struct held *held)
{
	if (held == NULL)
		return;
	if (held->class_table != NULL)
		class_table_free(held->class_table);
	for (unsigned i = 0; i < LIMIT_WORKERS; i++)
		name_match_scratch_free(held->policy.scratch[i]);
	certificate_set_free(held->certificates);
	snapshot_free(held->snapshot);
	if (held->config != NULL)
		config_free(held->config);
	free(held->path);
	free(held);
}

static void fill_services(struct held *held, uint32_t errors)
{
	for (uint16_t i = 0; i < held->snapshot->vserver_count; i++) {
		const struct config_vserver *v = held->snapshot->vservers[i].config;

		held->policy.services[i] = (struct smtp_service){
			.fqdn = v->fqdn,
			.limits = {.message_octets = v->max_message_octets,
				.recipients = (uint16_t)v->max_recipients,
				.errors = (uint16_t)errors,
				.received_lines = LIMIT_RECEIVED_LINES},
			.tls = certificate_set_context(held->certificates, i) != NULL,
		};
		held->policy.tls[i] = certificate_set_context(held->certificates, i);
		held->policy.tls_expires_s[i] = certificate_set_expires_s(held->certificates, i);
	}
}

// For the names, one for each worker: here, as they may not allocate.
static bool make_scratches(struct held *held)
{
	for (unsigned i = 0; held->snapshot->names && i < held->config->dataplane.worker_count;
		i++) {
		held->policy.scratch[i] = name_match_scratch_make(held->config->names);
		if (held->policy.scratch[i] == NULL)
			return false;
	}
	return true;
}

// Takes config, path and certificates over. NULL: no memory, everything was given back.
static struct held *held_build(
	struct config *config, char *path, struct certificate_set *certificates, uint64_t epoch)
{
	struct held *held = calloc(1, sizeof(*held));

	if (held == NULL) {
		certificate_set_free(certificates);
		config_free(config);
		free(path);
		return NULL;
	}
	held->config = config;
	held->path = path;
	held->certificates = certificates;
	held->snapshot = snapshot_build(config, epoch);
	if (held->snapshot == NULL)
		goto fail;
	if (class_table_build(held->snapshot, &held->class_table) != ERR_OK)
		goto fail;
	if (!make_scratches(held))
		goto fail;
	held->snapshot->class_table = held->class_table;
	held->policy.snapshot = held->snapshot;
	return held;
fail:
	held_free(held);
	return NULL;
}

static int find_slot(const struct edge *edge, const char *name)
{
	int empty = -1;

	for (int i = 0; i < LIMIT_VSERVERS; i++) {
		if (strcmp(edge->vservers[i].name, name) == 0)
			return i;
		if (edge->vservers[i].name[0] == '\0' && empty < 0)
			empty = i;
	}
	return empty;
}

// False: names that are gone hold the slots that new names need. Names given a slot keep it even so; they are few and
// come again with the operator's next try.
static bool assign_slots(struct edge *edge, struct held *held)
{
	for (uint16_t i = 0; i < held->snapshot->vserver_count; i++) {
		const char *name = held->snapshot->vservers[i].config->name;
		int slot = find_slot(edge, name);

		if (slot < 0)
			return false;
		snprintf(edge->vservers[slot].name, sizeof(edge->vservers[slot].name), "%s", name);
		held->policy.slot[i] = (uint16_t)slot;
	}
	return true;
}

static void publish(struct reload *reload, struct held *held)
{
	struct held *before = reload->newest;

	fill_services(held, atomic_load(&reload->edge->tunables.errors));
	held->stage = STAGE_RUNNING;
	held->older = before;
	reload->newest = held;
	// Release: whoever sees the pointer sees what it points at.
	atomic_store_explicit(&reload->edge->policy, &held->policy, memory_order_release);
	if (before == NULL)
		return;
	before->stage = STAGE_RETIRED;
	// The store comes before the token is drawn: a worker that reports a quiescent state for it loads the new pointer next.
	before->token = rte_rcu_qsbr_start(reload->edge->qsbr);
	reload->count++;
}

static uint32_t poll_tunable(const struct config *config)
{
	return config->dataplane.poll == CONFIG_POLL_BUSY ? 1 : 0;
}

static void print_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	(void)user;
	fprintf(stderr, "%s:%u:%u: %s\n", path, pos.line, pos.column, message);
}

enum err reload_init(struct edge *edge, struct config *config, int supervisor_link,
	struct key_files *files, struct reload **reload)
{
	char *path = strdup(config->path);
	struct reload *r = calloc(1, sizeof(*r));
	struct certificate_set *certificates =
		certificate_set_load(config, NULL, files, print_mistake, NULL);
	struct held *held;

	key_files_free(files);
	*reload = NULL;
	if (certificates == NULL) {
		config_free(config);
		free(path);
		free(r);
		return ERR_CERTIFICATE;
	}
	held = held_build(config, path, certificates, 1);
	if (r == NULL || held == NULL || path == NULL) {
		held_free(held);
		free(r);
		return ERR_NO_MEMORY;
	}
	r->edge = edge;
	r->supervisor_link = supervisor_link;
	atomic_store(&edge->tunables.poll_busy, poll_tunable(config));
	atomic_store(&edge->tunables.syn_cookies, config->dataplane.syn_cookies);
	atomic_store(&edge->tunables.command_timeout_s, LIMIT_COMMAND_S);
	atomic_store(&edge->tunables.body_rate, LIMIT_BODY_RATE);
	atomic_store(&edge->tunables.errors, LIMIT_ERRORS);
	atomic_store(&edge->tunables.log_level, 1);
	if (!assign_slots(edge, held)) {
		held_free(held);
		free(r);
		return ERR_NO_MEMORY;
	}
	publish(r, held);
	*reload = r;
	return ERR_OK;
}

// ---- One attempt

static void keep_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	struct attempt *a = user;

	(void)path;
	if (a->mistake_count == a->mistake_room) {
		const size_t room = a->mistake_room * 2 + 16;
		struct kept_mistake *more = realloc(a->mistakes, room * sizeof(*more));

		if (more == NULL)
			return;
		a->mistakes = more;
		a->mistake_room = room;
	}
	a->mistakes[a->mistake_count++] = (struct kept_mistake){pos, strdup(message)};
}

static void say(struct attempt *a, const char *message)
{
	keep_mistake(a, a->path, (struct config_pos){0, 0}, message);
}

static struct attempt *attempt_new(struct reload *reload, const char *path, int memfd)
{
	struct attempt *a = calloc(1, sizeof(*a));

	assert(a != NULL);
	a->reload = reload;
	a->path = strdup(path != NULL ? path : reload->newest->path);
	assert(a->path != NULL);
	a->memfd = memfd;
	if (memfd >= 0) { // they came with it
		a->files = reload->files;
		reload->files = NULL;
	}
	if (reload->count >= RELOAD_HELD_MAX)
		say(a, "earlier policies are still in use by some worker: try again later");
	return a;
}

static void attempt_free(struct attempt *a)
{
	for (size_t i = 0; i < a->mistake_count; i++)
		free(a->mistakes[i].message);
	free(a->mistakes);
	key_files_free(a->files);
	free(a->path);
	if (a->memfd >= 0)
		close(a->memfd);
	free(a);
}

static bool attempt_read(struct attempt *a)
{
	char why[160];

	if (a->memfd < 0)
		a->memfd = config_memfd_read(a->path);
	if (a->memfd >= 0)
		return true;
	snprintf(why, sizeof(why), "cannot read: %s%s", strerror(-a->memfd),
		a->memfd == -EACCES
			? " (postern-edge is not root; SIGHUP to posternd reads it as root)"
			: "");
	say(a, why);
	return false;
}

// Read, checked against the running configuration, compiled. By any thread: newest is not retired while an attempt is made.
static void attempt_prepare(struct attempt *a)
{
	const struct held *running = a->reload->newest;
	struct certificate_set *certificates = NULL;
	struct config *config = NULL;
	char *path = NULL;

	if (a->mistake_count == 0 && attempt_read(a))
		config = config_load(a->path, a->memfd, keep_mistake, a);
	if (config == NULL)
		return;
	if (restart_needed(running->config, config, keep_mistake, a) == 0 &&
		log_path_check(running->config, config, keep_mistake, a) == 0)
		certificates = certificate_set_load(
			config, running->certificates, a->files, keep_mistake, a);
	if (certificates == NULL) {
		config_free(config);
		return;
	}
	path = strdup(a->path);
	assert(path != NULL);
	a->held = held_build(config, path, certificates, running->snapshot->epoch + 1);
	if (a->held == NULL)
		say(a, "not enough memory for the lookup table: raise dataplane.memory, which "
		       "needs a restart");
}

// A key the operator set by hand keeps its value until the file says another.
static void follow_tunables(
	struct edge *edge, const struct config *before, const struct config *now)
{
	if (before->dataplane.poll != now->dataplane.poll)
		atomic_store(&edge->tunables.poll_busy, poll_tunable(now));
	if (before->dataplane.syn_cookies != now->dataplane.syn_cookies)
		atomic_store(&edge->tunables.syn_cookies, now->dataplane.syn_cookies);
}

void reload_lend_files(struct reload *reload, struct key_files *files)
{
	key_files_free(reload->files);
	reload->files = files;
}

// What the next children are to start with: files first, so that there is no moment with a configuration and the files of another.
static void tell_supervisor(const struct reload *reload, const struct held *held, int memfd)
{
	int files, status;

	if (reload->supervisor_link < 0)
		return;
	files = certificate_set_to_memfd(held->certificates);
	status = files < 0 ? files
			   : child_link_send(reload->supervisor_link, CHILD_LINK_FILES, files);
	if (files >= 0)
		close(files);
	if (status == 0)
		status = child_link_send(reload->supervisor_link, CHILD_LINK_CONFIG, memfd);
	if (status < 0)
		fprintf(stderr,
			"postern-edge: the supervisor does not take the new configuration\n");
}

// Publish what was prepared. The epoch, or 0.
static uint64_t attempt_publish(struct attempt *a)
{
	struct reload *reload = a->reload;
	const struct config *before = reload->newest->config;

	if (a->held == NULL)
		return 0;
	if (!assign_slots(reload->edge, a->held)) {
		say(a, "too many virtual servers came and went since the start: a restart is "
		       "needed");
		held_free(a->held);
		return 0;
	}
	publish(reload, a->held);
	follow_tunables(reload->edge, before, a->held->config);
	tell_supervisor(reload, a->held, a->memfd);
	return a->held->snapshot->epoch;
}

static void tell_mistakes(const struct attempt *a, config_mistake_fn *mistake, void *user)
{
	for (size_t i = 0; i < a->mistake_count; i++)
		mistake(user, a->path, a->mistakes[i].pos,
			a->mistakes[i].message != NULL ? a->mistakes[i].message : "no memory");
}

uint64_t reload_from_memfd(
	struct reload *reload, const char *path, int memfd, config_mistake_fn *mistake, void *user)
{
	struct attempt *a = attempt_new(reload, path, memfd);
	uint64_t epoch;

	assert(reload->attempt == NULL);
	attempt_prepare(a);
	epoch = attempt_publish(a);
	tell_mistakes(a, mistake, user);
	attempt_free(a);
	return epoch;
}

uint64_t reload_from_path(
	struct reload *reload, const char *path, config_mistake_fn *mistake, void *user)
{
	return reload_from_memfd(reload, path, -1, mistake, user);
}

// ---- Beside the loop

// A worker's CPU may be the only other one: this thread of libuv's takes what the worker leaves.
static void on_work(uv_work_t *work)
{
	struct attempt *a = work->data;

	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), WORK_NICE);
	attempt_prepare(a);
}

static void on_worked(uv_work_t *work, int status)
{
	struct attempt *a = work->data;
	const uint64_t epoch = status == 0 ? attempt_publish(a) : 0;

	a->reload->attempt = NULL;
	tell_mistakes(a, a->events.mistake, a->events.user);
	a->events.done(a->events.user, epoch);
	attempt_free(a);
}

bool reload_start(struct reload *reload, uv_loop_t *loop, const char *path, int memfd,
	const struct reload_events *events)
{
	struct attempt *a;

	if (reload->attempt != NULL) {
		if (memfd >= 0)
			close(memfd);
		return false;
	}
	a = attempt_new(reload, path, memfd);
	a->events = *events;
	a->work.data = a;
	reload->attempt = a;
	const int queued = uv_queue_work(loop, &a->work, on_work, on_worked);

	assert(queued == 0); // fails without a callback only
	return true;
}

bool reload_is_under_way(const struct reload *reload)
{
	return reload->attempt != NULL;
}

// ---- The end of a policy

static bool is_over(struct reload *reload, struct held *held, uint64_t log_passes)
{
	if (held->stage == STAGE_RETIRED) {
		if (rte_rcu_qsbr_check(reload->edge->qsbr, held->token, false) != 1)
			return false;
		held->stage = STAGE_QUIESCENT;
		held->passes = log_passes;
		return false;
	}
	return log_passes > held->passes;
}

void reload_collect(struct reload *reload, uint64_t log_passes)
{
	struct held **link = &reload->newest->older;

	while (*link != NULL) {
		struct held *held = *link;

		if (!is_over(reload, held, log_passes)) {
			link = &held->older;
			continue;
		}
		*link = held->older;
		held_free(held);
		reload->count--;
	}
}

const struct edge_policy *reload_policy_of(const struct reload *reload, uint64_t epoch)
{
	for (const struct held *held = reload->newest; held != NULL; held = held->older)
		if (held->snapshot->epoch == epoch)
			return &held->policy;
	return NULL;
}

const struct edge_policy *reload_policy(const struct reload *reload)
{
	return &reload->newest->policy;
}

void reload_set_errors(struct reload *reload, uint16_t errors)
{
	atomic_store(&reload->edge->tunables.errors, errors);
	for (struct held *held = reload->newest; held != NULL; held = held->older)
		for (uint16_t i = 0; i < held->snapshot->vserver_count; i++)
			__atomic_store_n(
				&held->policy.services[i].limits.errors, errors, __ATOMIC_RELAXED);
}

unsigned reload_held(const struct reload *reload)
{
	return reload->count;
}

void reload_free(struct reload *reload)
{
	struct held *held = reload->newest;

	atomic_store(&reload->edge->policy, NULL);
	while (held != NULL) {
		struct held *older = held->older;

		held_free(held);
		held = older;
	}
	key_files_free(reload->files);
	free(reload);
}
