#include "control/log.h"

#include <inttypes.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "control/log_file.h"
#include "control/log_format.h"
#include "control/log_path.h"
#include "control/reload.h"

enum {
	BATCH = 32, // records taken from a ring at once
};

// The files of one virtual server, by its slot.
struct outlet {
	struct log_file *w3c, *json;
	bool open_relay;
};

struct log {
	struct edge *edge;
	struct reload *reload;
	uint64_t epoch; // of the policy the outlets were made from
	struct outlet outlets[LIMIT_VSERVERS];
	uint64_t passes, written, nameless;
	uint64_t lost_seen; // of the workers' counts, already said in the files
	int64_t lost_said_s;
	uv_timer_t timer;
	struct log_record batch[BATCH];
	char line[LOG_FORMAT_LINE_MAX];
};

// The file of this path, kept when it is the one already open; NULL path: none. True: header lines are due.
static bool use_file(struct log_file **file, const char *path)
{
	if (*file == NULL && path == NULL)
		return false;
	if (*file != NULL && path != NULL && strcmp((*file)->path, path) == 0)
		return false;
	if (*file != NULL)
		log_file_free(*file);
	*file = path == NULL ? NULL : log_file_new(path);
	return true;
}

static void put_header(struct log *log, const char *name, struct outlet *outlet, int64_t now_s)
{
	size_t len;

	if (outlet->w3c != NULL) {
		len = log_format_w3c_header(name, outlet->open_relay, now_s, log->line);
		log_file_put(outlet->w3c, log->line, len);
	}
	if (outlet->json != NULL) {
		len = log_format_json_header(name, outlet->open_relay, now_s, log->line);
		log_file_put(outlet->json, log->line, len);
	}
}

static void use_vserver(
	struct log *log, const struct edge_policy *policy, uint16_t index, int64_t now_s)
{
	const struct config_vserver *v = policy->snapshot->vservers[index].config;
	struct outlet *outlet = &log->outlets[policy->slot[index]];
	const struct config *config = policy->snapshot->config;
	char w3c[LOG_PATH_OCTETS], json[LOG_PATH_OCTETS];
	bool fresh = use_file(&outlet->w3c, log_path_of(config, v, false, w3c) ? w3c : NULL);

	fresh |= use_file(&outlet->json, log_path_of(config, v, true, json) ? json : NULL);
	if (!fresh && outlet->open_relay == v->open_relay_understood)
		return;
	outlet->open_relay = v->open_relay_understood;
	put_header(log, v->name, outlet, now_s);
}

// Files follow the running policy. Those of a virtual server that is gone stay open for what its sessions still do.
static void follow_policy(struct log *log, int64_t now_s)
{
	const struct edge_policy *policy = reload_policy(log->reload);

	if (policy->snapshot->epoch == log->epoch)
		return;
	log->epoch = policy->snapshot->epoch;
	for (uint16_t i = 0; i < policy->snapshot->vserver_count; i++)
		use_vserver(log, policy, i, now_s);
}

// log.level: 0 refusals only, 1 decisions, 2 sessions as well.
static bool is_wanted(const struct log *log, const struct log_record *record)
{
	uint32_t level = atomic_load_explicit(&log->edge->tunables.log_level, memory_order_relaxed);

	if (record->verdict != POLICY_ACCEPT || level >= 2)
		return true;
	return level == 1 && record->event != LOG_CONNECT && record->event != LOG_DISCONNECT;
}

static void put_record(struct log *log, const struct log_record *record)
{
	const struct edge_policy *policy = reload_policy_of(log->reload, record->epoch);
	struct log_format_names names;
	struct outlet *outlet;
	char rule[64];

	if (!is_wanted(log, record))
		return;
	if (policy == NULL || record->vserver >= policy->snapshot->vserver_count) {
		log->nameless++; // it belongs to no file
		return;
	}
	names = log_format_lookup(policy->snapshot, record, rule);
	outlet = &log->outlets[policy->slot[record->vserver]];
	if (outlet->w3c != NULL)
		log_file_put(outlet->w3c, log->line, log_format_w3c(record, &names, log->line));
	if (outlet->json != NULL)
		log_file_put(outlet->json, log->line, log_format_json(record, &names, log->line));
	log->written++;
}

// What was in the ring when this began, so that a busy worker cannot keep the control thread here.
static unsigned drain_ring(struct log *log, struct rte_ring *ring)
{
	unsigned left = rte_ring_count(ring), total = 0;

	while (left > 0) {
		unsigned want = left < BATCH ? left : BATCH;
		unsigned n = rte_ring_sc_dequeue_burst_elem(
			ring, log->batch, sizeof(log->batch[0]), want, NULL);

		if (n == 0)
			break;
		for (unsigned i = 0; i < n; i++)
			put_record(log, &log->batch[i]);
		total += n;
		left -= n;
	}
	return total;
}

static uint64_t lost_in_rings(const struct log *log)
{
	uint64_t lost = 0;

	for (unsigned i = 0; i < log->edge->worker_count; i++)
		lost += atomic_load_explicit(
			&log->edge->workers[i]->log_lost, memory_order_relaxed);
	return lost;
}

// A lost record has no name any more, so every file says how many there were; once a second is enough.
static void say_lost(struct log *log, int64_t now_s)
{
	uint64_t lost = lost_in_rings(log), more = lost - log->lost_seen;

	if (more == 0 || now_s == log->lost_said_s)
		return;
	log->lost_seen = lost;
	log->lost_said_s = now_s;
	for (int i = 0; i < LIMIT_VSERVERS; i++) {
		struct outlet *outlet = &log->outlets[i];

		if (outlet->w3c != NULL)
			log_file_put(outlet->w3c, log->line,
				log_format_w3c_lost(more, now_s, log->line));
		if (outlet->json != NULL)
			log_file_put(outlet->json, log->line,
				log_format_json_lost(more, now_s, log->line));
	}
	fprintf(stderr,
		"postern-edge: %" PRIu64 " log records lost: the log is slower than the mail\n",
		more);
}

static void each_file(struct log *log, void (*fn)(struct log_file *))
{
	for (int i = 0; i < LIMIT_VSERVERS; i++) {
		if (log->outlets[i].w3c != NULL)
			fn(log->outlets[i].w3c);
		if (log->outlets[i].json != NULL)
			fn(log->outlets[i].json);
	}
}

unsigned log_drain(struct log *log, int64_t now_s)
{
	unsigned total = 0;

	follow_policy(log, now_s);
	for (unsigned i = 0; i < log->edge->worker_count; i++)
		total += drain_ring(log, log->edge->workers[i]->log);
	log->passes++;
	say_lost(log, now_s);
	each_file(log, log_file_flush);
	return total;
}

static void on_tick(uv_timer_t *timer)
{
	struct log *log = timer->data;

	log_drain(log, (int64_t)time(NULL));
	reload_collect(log->reload, log->passes);
}

struct log *log_new(struct edge *edge, struct reload *reload)
{
	struct log *log = calloc(1, sizeof(*log));

	if (log == NULL)
		return NULL;
	log->edge = edge;
	log->reload = reload;
	follow_policy(log, (int64_t)time(NULL));
	each_file(log, log_file_flush);
	return log;
}

bool log_start(struct log *log, uv_loop_t *loop)
{
	if (uv_timer_init(loop, &log->timer) < 0)
		return false;
	log->timer.data = log;
	return uv_timer_start(&log->timer, on_tick, LOG_TICK_MS, LOG_TICK_MS) == 0;
}

uint64_t log_passes(const struct log *log)
{
	return log->passes;
}

void log_reopen(struct log *log)
{
	const struct edge_policy *policy = reload_policy(log->reload);
	int64_t now_s = (int64_t)time(NULL);

	each_file(log, log_file_reopen);
	for (uint16_t i = 0; i < policy->snapshot->vserver_count; i++)
		put_header(log, policy->snapshot->vservers[i].config->name,
			&log->outlets[policy->slot[i]], now_s);
	each_file(log, log_file_flush);
}

struct log_totals log_totals(const struct log *log)
{
	struct log_totals totals = {.written = log->written, .lost_in_rings = lost_in_rings(log)};

	totals.lost_in_files = log->nameless;
	for (int i = 0; i < LIMIT_VSERVERS; i++) {
		const struct outlet *outlet = &log->outlets[i];

		totals.lost_in_files += outlet->w3c != NULL ? outlet->w3c->lost_lines : 0;
		totals.lost_in_files += outlet->json != NULL ? outlet->json->lost_lines : 0;
	}
	return totals;
}

void log_free(struct log *log)
{
	log_drain(log, (int64_t)time(NULL));
	each_file(log, log_file_free);
	free(log);
}
