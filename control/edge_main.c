// edge_main.c - postern-edge: from configuration to running workers, and the control thread's event loop.
//
// Told top down: main() starts the environment, policy, ports, spooler and workers, in the order in which each needs the one
// before; then the control thread sits in one libuv loop until the supervisor says STOP or is gone.

#include <errno.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "control/admin.h"
#include "control/deliver_link.h"
#include "control/eal.h"
#include "control/inject.h"
#include "control/link_watch.h"
#include "control/log.h"
#include "control/name_link.h"
#include "control/port_watch.h"
#include "control/reload.h"
#include "control/spooler.h"
#include "dataplane/conn_tls.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"
#include "supervise/privileges.h"
#include "supervise/supervised.h"
#include "tls/handshaker.h"
#include "tls/key_files.h"
#include "tls/tls_memory.h"

enum {
	MBUFS_PER_WORKER = 4096,
	MBUFS_PER_PORT = 3072, // descriptors of a queue pair, and what is under way
	BLOCKS_PER_WORKER = 16384,
	SPOOL_BUFS_PER_WORKER = 1024,
	TICK_MS = 10,
	TICKS_PER_S = 1000 / TICK_MS,
	DRAIN_MS = 10 * 1000, // sessions that are open at STOP have so long
};

struct edge_process {
	const char *config_path; // as posternd was given it
	struct edge edge;
	struct port_set ports;
	struct port_flows flows;
	struct port_watch port_watch;
	struct link_watch link_watch;
	struct worker_common common;
	struct worker *workers[LIMIT_WORKERS];
	struct reload *reload;
	struct spooler *spooler;
	struct handshaker *handshaker;
	struct log *log;
	struct deliver_link *deliver;
	struct inject *inject;
	struct name_link *names;
	struct admin *admin;
	uv_loop_t *loop;
	struct supervised supervised;
	uv_timer_t tick;
	uv_async_t spooler_wake;
	uint64_t drain_until_ms; // 0: running
	uint64_t ticks;
	int reload_memfd; // came by SIGHUP while another reload was under way; -1: none
};

static const char help[] = "usage: postern-edge CONFIG\n"
			   "\n"
			   "Owns the network ports and speaks TCP and SMTP on them. Is started by "
			   "posternd, which gives it its\n"
			   "descriptors, and not by hand. Ends with 0 when it was told to stop, "
			   "with 1 when it cannot go on. See\n"
			   "postern-edge(8).\n";

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("postern-edge: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	_exit(1);
}

// ---- Start

static void print_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	(void)user;
	fprintf(stderr, "%s:%u:%u: %s\n", path, pos.line, pos.column, message);
}

// Certificates and keys as the supervisor, who may read them, has read them. NULL: there are none, or they make no sense.
static struct key_files *take_files(int fd)
{
	struct key_files *files = key_files_from_memfd(fd);

	if (fd >= 0)
		close(fd);
	return files;
}

static void start_rcu(struct edge *edge, unsigned workers)
{
	edge->qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(workers), RTE_CACHE_LINE_SIZE);
	if (edge->qsbr == NULL || rte_rcu_qsbr_init(edge->qsbr, workers) != 0)
		die("not enough memory: raise dataplane.memory");
}

static void start_ports(struct edge_process *p, const struct config *config)
{
	char why[PORT_WHY_OCTETS];
	unsigned workers = config->dataplane.worker_count;

	p->common.mbufs = rte_pktmbuf_pool_create("mbufs",
		MBUFS_PER_WORKER * workers + MBUFS_PER_PORT * config->port_count, 256, 0,
		port_buffer_octets(config), SOCKET_ID_ANY);
	if (p->common.mbufs == NULL)
		die("not enough memory for packet buffers: raise dataplane.memory");
	if (!port_set_start(&p->ports, config, workers, p->common.mbufs, why))
		die("%s", why);
}

static void drop_privileges(const struct config *config)
{
	struct privileges_user user;
	int e;

	if (geteuid() != 0)
		return;
	e = privileges_find(config->control_user, &user);
	if (e == 0)
		e = privileges_drop(&user);
	if (e != 0)
		die("cannot become user %s (control.user): %s", config->control_user, strerror(-e));
}

static uint16_t smallest_mtu(const struct port_set *ports)
{
	uint16_t mtu = ports->ports[0].iface.mtu;

	for (uint16_t i = 1; i < ports->count; i++)
		mtu = ports->ports[i].iface.mtu < mtu ? ports->ports[i].iface.mtu : mtu;
	return mtu;
}

static void make_workers(struct edge_process *p, const struct config *config)
{
	struct worker_common *c = &p->common;
	unsigned count = config->dataplane.worker_count;

	c->edge = &p->edge;
	c->ports = &p->ports;
	c->boot = spooler_boot(p->spooler);
	c->conns = config->dataplane.max_connections;
	c->blocks = BLOCKS_PER_WORKER;
	c->spool_bufs = SPOOL_BUFS_PER_WORKER;
	c->mss = (uint16_t)(smallest_mtu(&p->ports) - 40);
	for (unsigned i = 0; i < count; i++) {
		struct edge_worker *shared =
			rte_zmalloc("edge_worker", sizeof(*shared), RTE_CACHE_LINE_SIZE);

		p->workers[i] = shared != NULL ? worker_make(c, i, shared) : NULL;
		if (p->workers[i] == NULL)
			die("not enough memory for worker %u: raise dataplane.memory or lower "
			    "dataplane.max_connections",
				i);
		shared->lcore = config->dataplane.workers[i];
		p->edge.workers[i] = shared;
	}
	p->edge.worker_count = count;
	p->edge.ports = &p->ports;
	p->edge.flows = &p->flows;
	p->port_watch = (struct port_watch){
		.edge = &p->edge, .ports = &p->ports, .flows = &p->flows, .reload = p->reload};
	link_watch_init(&p->link_watch, &p->edge);
	if (!worker_connect(p->workers, count))
		die("not enough memory for rings: raise dataplane.memory");
}

static void start_handshaker(struct edge_process *p)
{
	struct handshaker_queue queues[LIMIT_TLS_THREADS][LIMIT_WORKERS] = {0};

	for (unsigned t = 0; t < LIMIT_TLS_THREADS; t++)
		for (unsigned i = 0; i < p->edge.worker_count; i++)
			queues[t][i] = (struct handshaker_queue){conn_tls_jobs(p->workers[i], t),
				conn_tls_answers(p->workers[i], t)};
	p->handshaker = handshaker_start(queues, p->edge.worker_count);
	if (p->handshaker == NULL)
		die("cannot start the handshake threads");
}

static void launch_workers(struct edge_process *p)
{
	for (unsigned i = 0; i < p->edge.worker_count; i++) {
		if (rte_eal_remote_launch(worker_run, p->workers[i], p->edge.workers[i]->lcore) !=
			0)
			die("lcore %u does not start", p->edge.workers[i]->lcore);
	}
}

// ---- Stop

static void stop_workers(struct edge_process *p)
{
	atomic_store(&p->edge.stop, true);
	rte_eal_mp_wait_lcore();
}

// Orderly end: the workers first, then what they handed to the spooler, then the logs.
static void finish(struct edge_process *p)
{
	stop_workers(p);
	handshaker_stop(p->handshaker);
	spooler_stop(p->spooler);
	log_free(p->log);
	port_set_stop(&p->ports);
	fflush(NULL);
	_exit(0);
}

static uint64_t sessions_open(const struct edge_process *p)
{
	uint64_t open = 0;

	for (unsigned i = 0; i < p->edge.worker_count; i++)
		open += atomic_load_explicit(&p->edge.workers[i]->sessions, memory_order_relaxed);
	return open;
}

static void begin_drain(struct edge_process *p)
{
	if (p->drain_until_ms != 0)
		return;
	atomic_store(&p->edge.draining, true);
	p->drain_until_ms = uv_now(p->loop) + DRAIN_MS;
}

// ---- The control thread's loop

static void on_reloaded(void *user, uint64_t epoch)
{
	(void)user;
	if (epoch == 0)
		fprintf(stderr, "postern-edge: reload refused, the running configuration stays\n");
	else
		fprintf(stderr, "postern-edge: reloaded, epoch %llu\n", (unsigned long long)epoch);
}

// The text as the supervisor, who may read it, has read it. One that came meanwhile is newer.
static void begin_reload(struct edge_process *p)
{
	const struct reload_events events = {print_mistake, on_reloaded, NULL};
	const int memfd = p->reload_memfd;

	if (memfd < 0 || reload_is_under_way(p->reload))
		return;
	p->reload_memfd = -1;
	(void)reload_start(p->reload, p->loop, p->config_path, memfd, &events);
}

static void want_reload(struct edge_process *p, int memfd)
{
	if (p->reload_memfd >= 0)
		close(p->reload_memfd);
	p->reload_memfd = memfd;
	begin_reload(p);
}

static void on_supervisor(void *user, enum child_link_kind kind, int fd)
{
	struct edge_process *p = user;

	switch (kind) {
	case CHILD_LINK_CHANNEL:
		inject_reset(p->inject);
		deliver_link_attach(p->deliver, fd);
		break;
	case CHILD_LINK_LOOKUP:
		if (fd >= 0)
			name_link_attach(p->names, fd);
		break;
	case CHILD_LINK_RELOAD:
		want_reload(p, fd);
		break;
	case CHILD_LINK_FILES:
		reload_lend_files(p->reload, take_files(fd));
		break;
	case CHILD_LINK_STOP:
		begin_drain(p);
		break;
	case CHILD_LINK_CONFIG:
	case CHILD_LINK_READY: // of others
		if (fd >= 0)
			close(fd);
		break;
	}
}

static void take_spooler_events(struct edge_process *p)
{
	struct spooler_event event;
	bool lost;

	while (spooler_next_event(p->spooler, &event, &lost)) {
		if (lost)
			deliver_link_resync(p->deliver);
		if (event.kind == SPOOLER_COMMITTED)
			deliver_link_committed(
				p->deliver, event.message_id, event.segment, event.offset);
		else
			deliver_link_segment_gone(p->deliver, event.segment);
	}
	if (lost)
		deliver_link_resync(p->deliver);
}

static void on_spooler_wake(uv_async_t *async)
{
	take_spooler_events(async->data);
}

// On the spooler thread.
static void wake_control(void *user)
{
	uv_async_send(user);
}

static void watch_links(struct edge_process *p)
{
	port_watch_links(&p->port_watch);
	link_watch_poll(&p->link_watch, stderr);
}

static void on_tick(uv_timer_t *timer)
{
	struct edge_process *p = timer->data;

	take_spooler_events(p);
	begin_reload(p);
	inject_poll(p->inject);
	name_link_poll(p->names);
	port_watch_rules(&p->port_watch);
	if (p->ticks++ % TICKS_PER_S == 0)
		watch_links(p);
	if (p->drain_until_ms != 0 &&
		(sessions_open(p) == 0 || uv_now(p->loop) >= p->drain_until_ms))
		finish(p);
}

static void on_segment_done(void *user, uint64_t segment, uint64_t seen)
{
	struct edge_process *p = user;

	(void)spooler_segment_done(p->spooler, segment, seen); // full: the deliverer asks again
}

static uint64_t on_segment_asked(void *user)
{
	struct edge_process *p = user;

	return spooler_segment(p->spooler);
}

static void on_inject(void *user, const struct channel_record *record)
{
	struct edge_process *p = user;

	inject_part(p->inject, record, reload_policy(p->reload)->snapshot->epoch);
}

static void on_injected(void *user, uint64_t token, uint64_t message_id, enum err status)
{
	struct edge_process *p = user;

	deliver_link_injected(p->deliver, token, message_id, status);
}

static void start_loop(struct edge_process *p)
{
	struct deliver_link_events events = {.segment_done = on_segment_done,
		.segment = on_segment_asked,
		.inject = on_inject,
		.user = p};
	const struct supervised_events heard = {on_supervisor, NULL, p};
	struct admin_parts parts = {
		.edge = &p->edge, .reload = p->reload, .supervisor_link = CHILD_LINK_FD};

	p->loop = uv_default_loop();
	p->inject = inject_new(p->spooler, on_injected, p);
	p->deliver = deliver_link_new(p->loop, &events);
	p->names = name_link_new(p->loop, &p->edge);
	p->log = log_new(&p->edge, p->reload);
	if (p->inject == NULL || p->deliver == NULL || p->names == NULL || p->log == NULL ||
		!log_start(p->log, p->loop))
		die("not enough memory");
	parts.log = p->log;
	parts.deliver = p->deliver;
	p->admin = admin_new(p->loop, CHILD_CONTROL_FD, &parts);
	if (p->admin == NULL)
		die("cannot listen on the control socket");
	if (!supervised_listen(&p->supervised, p->loop, &heard))
		die("cannot listen to the supervisor");
	uv_timer_init(p->loop, &p->tick);
	p->tick.data = p;
	uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
	uv_async_init(p->loop, &p->spooler_wake, on_spooler_wake);
	p->spooler_wake.data = p;
}

int main(int argc, char **argv)
{
	static struct edge_process process = {.reload_memfd = -1};
	struct edge_process *p = &process;
	struct config *config;
	char why[EAL_WHY_OCTETS];
	enum err e;

	config = supervised_config("postern-edge", help, argc, argv);
	p->config_path = argv[1];
	if (!tls_memory_start())
		die("OpenSSL was used before its memory could be bounded");
	if (!eal_start(config, &p->edge.huge_pages, why))
		die("%s", why);
	p->edge.started_s = (int64_t)time(NULL);
	start_rcu(&p->edge, config->dataplane.worker_count);
	e = reload_init(&p->edge, config, CHILD_LINK_FD, take_files(CHILD_FILES_FD), &p->reload);
	if (e == ERR_CERTIFICATE)
		die("%s, see above", err_text(e));
	if (e != ERR_OK)
		die("policy: %s: raise dataplane.memory", err_text(e));
	start_ports(p, config);
	drop_privileges(config);
	e = spooler_open(&p->edge, config->spool, &p->spooler);
	if (e != ERR_OK)
		die("spool %s: %s: %s", config->spool, err_text(e), disk_real_failure());
	make_workers(p, config);
	start_loop(p);
	if (!spooler_start(
		    p->spooler, p->workers, p->edge.worker_count, wake_control, &p->spooler_wake))
		die("not enough memory for the spooler: raise dataplane.memory");
	port_watch_rules(&p->port_watch);
	start_handshaker(p);
	launch_workers(p);
	if (child_link_send(CHILD_LINK_FD, CHILD_LINK_READY, -1) != 0)
		die("the supervisor is gone");
	return uv_run(p->loop, UV_RUN_DEFAULT);
}
