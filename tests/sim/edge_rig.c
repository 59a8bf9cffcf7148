#include "edge_rig.h"

#include <assert.h>
#include <ftw.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/config.h"
#include "control/reload.h"
#include "control/spooler.h"
#include "dataplane/worker.h"
#include "net/arp.h"
#include "net/nd.h"
#include "tcp/tcp.h"

enum {
	MAIN_LCORE = 100,
	TEXT = 65536,
	RING = 4096,
	CONNS = 1024,
	BLOCKS = 2048,
	MBUFS = 8191,
	SPOOL_BUFS = 256,
	EAL_MIB = 512,
};

static const struct mac host_mac = {{2, 0, 0, 0, 0, 0x77}};

struct rig {
	struct edge edge;
	struct port_set ports;
	struct worker_common common;
	struct worker *workers[LIMIT_WORKERS];
	struct reload *reload;
	struct spooler *spooler;
	struct rte_ring *to_edge, *from_edge;
	struct tcp_stack *stack; // the clients'
	const char *first_words;
	rig_watch_fn *watch;
	void *watch_user;
	bool silent;
	char spool[64], yaml[80];
	struct rig_size size;
	struct rig_client *clients;
};

struct rig_client {
	struct rig *rig;
	struct rig_client *next;
	struct tcp_conn *conn;
	bool open, closed, reset, fin;
	size_t len;
	char text[TEXT];
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

// ---- The clients' end of the link

void rig_inject(struct rig *rig, const void *octets, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig->common.mbufs);

	assert(m != NULL);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), octets, len);
	while (rte_ring_sp_enqueue(rig->to_edge, m) != 0)
		usleep(100);
}

void rig_inject_segment(struct rig *rig, const struct segment *s)
{
	uint8_t frame[2048];
	struct frame_route route = {.src_mac = host_mac,
		.dst_mac = rig->ports.ports[0].iface.mac,
		.sums = FRAME_SUMS_SOFTWARE};
	uint32_t len = frame_build(s, &route, frame, sizeof(frame));

	assert(len != 0);
	rig_inject(rig, frame, len);
}

static void client_emit(void *user, const struct segment *s)
{
	rig_inject_segment(user, s);
}

// We are every host on the link but those of the port itself, and the gateway.
static void answer_arp(struct rig *rig, const struct frame *f)
{
	uint8_t frame[ARP_FRAME_OCTETS];
	struct ip_addr target;
	struct arp arp;

	if (rig->silent || arp_parse(f, &arp) != DROP_NONE || !arp.request || arp.sender == 0)
		return;
	target = ip_addr_from_v4(arp.target);
	if (!iface_has(&rig->ports.ports[0].iface, &target))
		rig_inject(rig, frame, arp_build_reply(frame, host_mac, arp.target, &arp));
}

static void answer_nd(struct rig *rig, const struct frame *f)
{
	uint8_t frame[ND_FRAME_OCTETS_MAX];
	struct nd nd;
	struct nd_advert advert = {
		.mac = host_mac, .dst = &f->ip.src, .dst_mac = f->src_mac, .overrides = true};

	if (rig->silent || nd_parse(f, &nd) != DROP_NONE || !nd.solicitation ||
		nd_is_probe(f, &nd) || iface_has(&rig->ports.ports[0].iface, &nd.target))
		return;
	advert.target = nd.target;
	rig_inject(rig, frame, nd_build_advert(frame, &advert));
}

static void take_frame(struct rig *rig, struct rte_mbuf *m)
{
	struct frame f;
	struct slice in = {rte_pktmbuf_mtod(m, const uint8_t *), m->data_len};

	if (frame_parse(in, 0, &f) == DROP_NONE) {
		if (rig->watch != NULL)
			rig->watch(rig->watch_user, &f);
		if (f.kind == FRAME_ARP)
			answer_arp(rig, &f);
		else if (f.kind == FRAME_ND)
			answer_nd(rig, &f);
		else if (f.kind == FRAME_TCP)
			(void)tcp_input(rig->stack, &f.tcp, false, now_us());
	}
	rte_pktmbuf_free(m);
}

static void drive(struct rig *rig)
{
	void *frames[64];
	unsigned n = rte_ring_sc_dequeue_burst(rig->from_edge, frames, 64, NULL);

	for (unsigned i = 0; i < n; i++)
		take_frame(rig, frames[i]);
	tcp_timers(rig->stack, now_us(), 64);
	tcp_flush(rig->stack, now_us());
	if (n == 0)
		usleep(100);
}

void rig_run_ms(struct rig *rig, unsigned ms)
{
	uint64_t end = now_us() + ms * 1000ull;

	while (now_us() < end)
		drive(rig);
}

static struct rig_client *client_of(struct rig *rig, struct tcp_conn *conn)
{
	for (struct rig_client *c = rig->clients; c != NULL; c = c->next) {
		if (c->conn == conn)
			return c;
	}
	return NULL;
}

static void client_opened(void *user, struct tcp_conn *conn, uint64_t us)
{
	struct rig *rig = user;
	struct rig_client *c = client_of(rig, conn);

	if (c != NULL)
		c->open = true;
	if (rig->first_words != NULL)
		assert(tcp_send(conn,
			(struct slice){(const uint8_t *)rig->first_words, strlen(rig->first_words)},
			us));
}

void rig_talk_first(struct rig *rig, const char *text)
{
	rig->first_words = text;
}

static size_t client_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t us)
{
	struct rig_client *c = client_of(user, conn);

	(void)us;
	if (c != NULL && c->len + in.len < TEXT) {
		memcpy(c->text + c->len, in.at, in.len);
		c->len += in.len;
		c->text[c->len] = '\0';
	}
	return in.len;
}

static void client_peer_closed(void *user, struct tcp_conn *conn, uint64_t us)
{
	struct rig_client *c = client_of(user, conn);

	if (c != NULL)
		c->fin = true;
	tcp_close(conn, us);
}

static void client_acked(void *user, struct tcp_conn *conn, uint64_t us)
{
	(void)user;
	(void)conn;
	(void)us;
}

static void client_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t us)
{
	struct rig_client *c = client_of(user, conn);

	(void)us;
	if (c == NULL)
		return;
	c->reset = why == TCP_CLOSED_RESET;
	c->closed = true;
	c->conn = NULL;
}

static const struct tcp_app client_app = {.opened = client_opened,
	.data = client_data,
	.acked = client_acked,
	.peer_closed = client_peer_closed,
	.deadline = client_acked,
	.closed = client_closed};
static const struct tcp_env client_env = {.emit = client_emit};

struct rig_client *rig_connect(struct rig *rig, const char *from, const char *to)
{
	static uint16_t port = 20000;
	struct rig_client *c = calloc(1, sizeof(*c));
	struct segment tuple = {.src_port = port++, .dst_port = 25};
	uint64_t end = now_us() + 3000000;

	assert(c != NULL && ip_addr_parse(from, &tuple.src) && ip_addr_parse(to, &tuple.dst));
	c->rig = rig;
	c->next = rig->clients;
	rig->clients = c;
	c->conn = tcp_connect(rig->stack, &tuple, now_us());
	assert(c->conn != NULL);
	while (!c->open && !c->closed && now_us() < end)
		drive(rig);
	return c;
}

bool rig_client_is_open(const struct rig_client *c)
{
	return c->open && !c->closed;
}

bool rig_client_was_reset(const struct rig_client *c)
{
	return c->reset;
}

bool rig_client_saw_fin(const struct rig_client *c)
{
	return c->fin;
}

static bool has_line(const char *text, const char *code)
{
	for (const char *at = text; at != NULL && *at != '\0'; at = strstr(at, "\r\n")) {
		at += strncmp(at, "\r\n", 2) == 0 ? 2 : 0;
		if (strncmp(at, code, strlen(code)) == 0 && at[strlen(code)] != '-' &&
			strstr(at, "\r\n") != NULL)
			return true;
		if (*at == '\0')
			return false;
	}
	return false;
}

void rig_send(struct rig_client *c, const char *text)
{
	c->len = 0;
	c->text[0] = '\0';
	if (c->conn != NULL)
		assert(tcp_send(
			c->conn, (struct slice){(const uint8_t *)text, strlen(text)}, now_us()));
}

const char *rig_heard(const struct rig_client *c)
{
	return c->text;
}

const char *rig_say(struct rig_client *c, const char *text, const char *code)
{
	uint64_t end = now_us() + 5000000;

	if (*text != '\0') // an empty text waits for what comes by itself
		rig_send(c, text);
	while (!has_line(c->text, code) && !c->closed && now_us() < end)
		drive(c->rig);
	return c->text;
}

void rig_client_close(struct rig_client *c)
{
	struct rig_client **link = &c->rig->clients;

	if (c->conn != NULL)
		tcp_abort(c->conn, now_us());
	tcp_flush(c->rig->stack, now_us());
	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	free(c);
}

// ---- Start and stop

static void start_eal(unsigned mib)
{
	static bool started;
	char lcores[96], memory[16];
	char *argv[] = {"rig", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
		"--iova-mode=va", memory, "--log-level=error", lcores, "--main-lcore=100"};

	if (started)
		return;
	started = true;
	// Lcores 0 and 1 wherever the kernel likes: a test machine may have one CPU.
	snprintf(lcores, sizeof(lcores), "--lcores=(0,1)@(0-%ld),100@(0-%ld)",
		sysconf(_SC_NPROCESSORS_ONLN) - 1, sysconf(_SC_NPROCESSORS_ONLN) - 1);
	snprintf(memory, sizeof(memory), "-m%u", mib);
	assert(rte_eal_init(sizeof(argv) / sizeof(argv[0]), argv) >= 0);
}

static void on_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	(void)user;
	fprintf(stderr, "%s:%u:%u: %s\n", path, pos.line, pos.column, message);
}

static void write_config(const struct rig *rig, const char *yaml)
{
	FILE *f = fopen(rig->yaml, "w");

	assert(f != NULL);
	fprintf(f, "spool: %s/spool\n%s", rig->spool, yaml);
	fclose(f);
}

static struct config *write_and_load(struct rig *rig, const char *yaml)
{
	struct config *config;

	snprintf(rig->spool, sizeof(rig->spool), "/tmp/postern-rig-XXXXXX");
	assert(mkdtemp(rig->spool) != NULL);
	snprintf(rig->yaml, sizeof(rig->yaml), "%s/c.yaml", rig->spool);
	write_config(rig, yaml);
	config = config_load(rig->yaml, -1, on_mistake, NULL);
	assert(config != NULL);
	return config;
}

void rig_reload(struct rig *rig, const char *yaml)
{
	write_config(rig, yaml);
	assert(reload_from_path(rig->reload, NULL, on_mistake, NULL) != 0);
	rig_settle(rig);
}

void rig_settle(const struct rig *rig)
{
	for (unsigned i = 0; i < rig->edge.worker_count; i++) {
		const _Atomic uint64_t *loops = &rig->edge.workers[i]->loops;
		uint64_t before = atomic_load(loops);

		// A turn that is under way may have looked before.
		while (atomic_load(loops) < before + 2)
			usleep(100);
	}
}

static void wake(void *user)
{
	(void)user;
}

static void start_port(struct rig *rig, const struct config *config)
{
	char why[PORT_WHY_OCTETS];
	static unsigned n;
	char name[32];

	snprintf(name, sizeof(name), "to_edge%u", n);
	rig->to_edge =
		rte_ring_create(name, rig->size.ring, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "from_edge%u", n++);
	rig->from_edge = rte_ring_create(name, RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	assert(rig->to_edge != NULL && rig->from_edge != NULL);
	assert(rte_eth_from_rings("rig", &rig->to_edge, 1, &rig->from_edge, 1, 0) >= 0);
	if (!port_set_start(
		    &rig->ports, config, config->dataplane.worker_count, rig->common.mbufs, why)) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
}

static void start_clients(struct rig *rig)
{
	struct tcp_stack_config config = {.app = &client_app,
		.env = &client_env,
		.user = rig,
		.conns = 256,
		.blocks = 4096,
		.mss = 1460,
		.secret = {1, 2}};
	void *memory = aligned_alloc(64, (tcp_stack_octets(&config) + 63) / 64 * 64);

	assert(memory != NULL);
	memset(memory, 0, (tcp_stack_octets(&config) + 63) / 64 * 64);
	rig->stack = tcp_stack_init(memory, &config, now_us());
}

static void start_workers(struct rig *rig, const struct config *config, unsigned at_work)
{
	unsigned count = config->dataplane.worker_count;

	rig->common.edge = &rig->edge;
	rig->common.ports = &rig->ports;
	rig->common.boot = spooler_boot(rig->spooler);
	rig->common.conns = rig->size.conns;
	rig->common.blocks = rig->size.blocks;
	rig->common.spool_bufs = rig->size.spool_bufs;
	rig->common.mss = 1460;
	rig->edge.worker_count = count;
	for (unsigned i = 0; i < count; i++) {
		rig->edge.workers[i] = rte_zmalloc("edge_worker", sizeof(struct edge_worker), 64);
		rig->workers[i] = worker_make(&rig->common, i, rig->edge.workers[i]);
		assert(rig->workers[i] != NULL);
	}
	assert(worker_connect(rig->workers, count));
	assert(spooler_start(rig->spooler, rig->workers, count, wake, NULL));
	for (unsigned i = 0; i < count && i < at_work; i++)
		assert(rte_eal_remote_launch(
			       worker_run, rig->workers[i], config->dataplane.workers[i]) == 0);
}

static uint32_t or_default(uint32_t wanted, uint32_t preset)
{
	return wanted != 0 ? wanted : preset;
}

static struct rig_size complete(const struct rig_size *size)
{
	return (struct rig_size){or_default(size->conns, CONNS), or_default(size->blocks, BLOCKS),
		or_default(size->mbufs, MBUFS), or_default(size->eal_mib, EAL_MIB),
		or_default(size->ring, RING), or_default(size->spool_bufs, SPOOL_BUFS)};
}

static struct rig *start(const char *yaml, const struct rig_size *size, unsigned at_work)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct config *config;

	assert(rig != NULL);
	rig->size = complete(size);
	config = write_and_load(rig, yaml);
	start_eal(rig->size.eal_mib);
	rig->edge.qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(LIMIT_WORKERS), 64);
	assert(rte_rcu_qsbr_init(rig->edge.qsbr, LIMIT_WORKERS) == 0);
	assert(reload_init(&rig->edge, config, -1, NULL, &rig->reload) == ERR_OK);
	rig->common.mbufs = rte_pktmbuf_pool_create(
		"mbufs", rig->size.mbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	assert(rig->common.mbufs != NULL);
	start_port(rig, config);
	assert(spooler_open(&rig->edge, config->spool, &rig->spooler) == ERR_OK);
	start_clients(rig);
	start_workers(rig, config, at_work);
	return rig;
}

struct rig *rig_start(const char *yaml)
{
	return start(yaml, &(struct rig_size){0}, LIMIT_WORKERS);
}

struct rig *rig_start_lame(const char *yaml)
{
	return start(yaml, &(struct rig_size){0}, 1);
}

struct rig *rig_start_sized(const char *yaml, const struct rig_size *size)
{
	return start(yaml, size, LIMIT_WORKERS);
}

struct rig_link rig_link(const struct rig *rig)
{
	return (struct rig_link){rig->to_edge, rig->from_edge, rig->common.mbufs, host_mac,
		rig->ports.ports[0].iface.mac};
}

void rig_watch(struct rig *rig, rig_watch_fn *fn, void *user)
{
	rig->watch = fn;
	rig->watch_user = user;
}

void rig_be_silent(struct rig *rig, bool silent)
{
	rig->silent = silent;
}

struct mac rig_port_mac(const struct rig *rig)
{
	return rig->ports.ports[0].iface.mac;
}

struct mac rig_host_mac(void)
{
	return host_mac;
}

struct edge *rig_edge(struct rig *rig)
{
	return &rig->edge;
}

const char *rig_spool(const struct rig *rig)
{
	return reload_policy(rig->reload)->snapshot->config->spool;
}

void rig_stop(struct rig *rig)
{
	if (rig->spooler == NULL)
		return;
	atomic_store(&rig->edge.stop, true);
	rte_eal_mp_wait_lcore();
	spooler_stop(rig->spooler);
	rig->spooler = NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void rig_free(struct rig *rig)
{
	rig_stop(rig);
	nftw(rig->spool, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(rig);
}

uint64_t rig_drops(const struct rig *rig, enum drop why)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < rig->edge.worker_count; i++)
		sum += atomic_load(&rig->edge.workers[i]->drops[why]);
	return sum;
}

uint64_t rig_received(const struct rig *rig)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < rig->edge.worker_count; i++)
		sum += atomic_load(&rig->edge.workers[i]->rx_packets);
	return sum;
}

uint64_t rig_accounted(const struct rig *rig)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < rig->edge.worker_count; i++) {
		sum += atomic_load(&rig->edge.workers[i]->handled);
		for (int d = 0; d < DROP_COUNT; d++)
			sum += atomic_load(&rig->edge.workers[i]->drops[d]);
	}
	return sum;
}
