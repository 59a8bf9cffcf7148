// control_world.h - an edge without workers running: EAL, rings, counters and a policy, for tests of the control thread.

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_from_text.h"
#include "control/reload.h"
#include "dataplane/edge.h"

enum {
	WORLD_WORKERS = 2,
	WORLD_RING = 64,
};

struct control_world {
	struct edge edge;
	struct edge_worker *workers[WORLD_WORKERS];
	struct reload *reload;
	char directory[64], path[96]; // of spool and logs; of the configuration
	unsigned mistakes;
	char last_mistake[512];
	struct config_pos last_pos;
};

static inline int control_world_eal(void)
{
	char *eal[] = {(char[]){"test"}, (char[]){"--no-huge"}, (char[]){"--no-shconf"},
		(char[]){"--no-pci"}, (char[]){"-m"}, (char[]){"900"}, (char[]){"-l"},
		(char[]){"0"}, (char[]){"--no-telemetry"}, (char[]){"--log-level=*:error"}};

	return rte_eal_init(sizeof(eal) / sizeof(eal[0]), eal) < 0 ? 1 : 0;
}

static inline void control_world_mistake(
	void *user, const char *path, struct config_pos pos, const char *message)
{
	struct control_world *w = user;

	assert_string_equal(path, w->path);
	w->mistakes++;
	w->last_pos = pos;
	snprintf(w->last_mistake, sizeof(w->last_mistake), "%s", message);
}

// One line a key, so that tests can speak of lines: the relay list is on line 13.
static inline void control_world_text(const struct control_world *w, const char *names,
	const char *relay, char *text, size_t octets)
{
	char address[32];
	size_t used = (size_t)snprintf(text, octets,
		"own_networks: [10.0.0.0/8]\nspool: %s\n"
		"control: {socket: /tmp/none.sock}\ndataplane: {workers: [1, 2]}\n"
		"routes: [{domains: [\"*\"], to: [\"10.12.170.30:25\"]}]\n"
		"ports: [{device: net_null0, addresses: [10.12.170.1/24, 10.12.170.2/24, "
		"10.12.170.3/24]}]\n"
		"virtual_servers:\n",
		w->directory);

	for (int i = 1; names[i - 1] != '\0'; i++) {
		snprintf(address, sizeof(address), "10.12.170.%d", i);
		used += (size_t)snprintf(text + used, octets - used,
			"  - name: %c\n    listen: [%s]\n    fqdn: %c.example.net\n"
			"    local_domains: [example.net]\n%s    relay:\n      only: [%s]\n",
			names[i - 1], address, names[i - 1],
			names[i - 1] == 'o' ? "    open_relay: i-understand\n" : "", relay);
	}
}

static inline void control_world_write(
	const struct control_world *w, const char *names, const char *relay)
{
	char text[4096];
	FILE *file = fopen(w->path, "w");

	assert_non_null(file);
	control_world_text(w, names, relay, text, sizeof(text));
	fputs(text, file);
	fclose(file);
}

static inline void control_world_workers(struct control_world *w)
{
	for (unsigned i = 0; i < WORLD_WORKERS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "log%u", i);
		w->workers[i] = aligned_alloc(64, (sizeof(*w->workers[i]) + 63) / 64 * 64);
		assert_non_null(w->workers[i]);
		memset(w->workers[i], 0, sizeof(*w->workers[i]));
		w->workers[i]->log = rte_ring_create_elem(name, sizeof(struct log_record),
			WORLD_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		assert_non_null(w->workers[i]->log);
		w->workers[i]->lcore = i + 1;
		w->edge.workers[i] = w->workers[i];
	}
	w->edge.worker_count = WORLD_WORKERS;
}

// names: one letter for each virtual server; 'o' is an understood open relay. supervisor_link: -1 none.
static inline void control_world_make(
	struct control_world *w, const char *names, int supervisor_link)
{
	struct config *config;

	memset(w, 0, sizeof(*w));
	snprintf(w->directory, sizeof(w->directory), "/tmp/test-control-XXXXXX");
	assert_non_null(mkdtemp(w->directory));
	snprintf(w->path, sizeof(w->path), "%s/postern.yaml", w->directory);
	control_world_write(w, names, "10.1.1.0/24");
	control_world_workers(w);
	w->edge.qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(WORLD_WORKERS), 64);
	assert_non_null(w->edge.qsbr);
	assert_int_equal(rte_rcu_qsbr_init(w->edge.qsbr, WORLD_WORKERS), 0);
	config = config_load(w->path, -1, control_world_mistake, w);
	assert_non_null(config);
	assert_int_equal(reload_init(&w->edge, config, supervisor_link, NULL, &w->reload), ERR_OK);
}

// NULL: freed.
static inline const struct snapshot *control_world_snapshot(
	const struct reload *reload, uint64_t epoch)
{
	const struct edge_policy *policy = reload_policy_of(reload, epoch);

	return policy == NULL ? NULL : policy->snapshot;
}

static inline void control_world_free(struct control_world *w)
{
	char command[128];

	reload_free(w->reload);
	for (unsigned i = 0; i < WORLD_WORKERS; i++) {
		rte_ring_free(w->workers[i]->log);
		free(w->workers[i]);
	}
	rte_free(w->edge.qsbr);
	snprintf(command, sizeof(command), "rm -r %s", w->directory);
	assert_int_equal(system(command), 0);
}
