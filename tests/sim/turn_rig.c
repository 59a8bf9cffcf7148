#include "turn_rig.h"

#include <assert.h>
#include <ftw.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/reload.h"
#include "dataplane/neighbour.h"
#include "net/arp.h"
#include "net/nd.h"

enum {
	RING = 8192,
	FIRST_PORT = 20000,
	SAY_US = 1000000,
	WALL_S = 1700000000,
};

static const struct mac host_mac = {{2, 0, 0, 0, 0, 0x77}};

struct turn_rig_parts {
	struct port_set ports;
	struct worker_common common;
	struct reload *reload;
	struct rte_ring *to_edge, *from_edge;
	struct tcp_stack *stack; // the clients'
	struct turn_client *clients;
	uint16_t next_port;
	char directory[64], yaml[80];
	struct rte_mbuf *heard[RING];
	unsigned heard_count;
};

// ---- The clients' end of the link

static void inject(struct turn_rig *rig, const void *octets, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig->parts->common.mbufs);

	assert(m != NULL);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), octets, len);
	assert(rte_ring_sp_enqueue(rig->parts->to_edge, m) == 0);
}

static void client_emit(void *user, const struct segment *s)
{
	struct turn_rig *rig = user;
	uint8_t frame[2048];
	struct frame_route route = {.src_mac = host_mac,
		.dst_mac = rig->parts->ports.ports[0].iface.mac,
		.sums = FRAME_SUMS_SOFTWARE};
	uint32_t len = frame_build(s, &route, frame, sizeof(frame));

	assert(len != 0);
	if (rig->lose > 0)
		rig->lose--;
	else
		inject(rig, frame, len);
}

// We are every host on the link but those of the port itself.
static void answer_arp(struct turn_rig *rig, const struct frame *f)
{
	uint8_t frame[ARP_FRAME_OCTETS];
	struct ip_addr target;
	struct arp arp;

	if (arp_parse(f, &arp) != DROP_NONE || !arp.request)
		return;
	target = ip_addr_from_v4(arp.target);
	if (!iface_has(&rig->parts->ports.ports[0].iface, &target))
		inject(rig, frame, arp_build_reply(frame, host_mac, arp.target, &arp));
}

static void answer_nd(struct turn_rig *rig, const struct frame *f)
{
	uint8_t frame[ND_FRAME_OCTETS_MAX];
	struct nd nd;
	struct nd_advert advert = {
		.mac = host_mac, .dst = &f->ip.src, .dst_mac = f->src_mac, .overrides = true};

	if (nd_parse(f, &nd) != DROP_NONE || !nd.solicitation || nd_is_probe(f, &nd) ||
		iface_has(&rig->parts->ports.ports[0].iface, &nd.target))
		return;
	advert.target = nd.target;
	inject(rig, frame, nd_build_advert(frame, &advert));
}

static struct turn_client *client_at(struct turn_rig *rig, uint16_t port)
{
	struct turn_client *c = rig->parts->clients;

	while (c != NULL && c->port != port)
		c = c->next;
	return c;
}

static void keep_segment(struct turn_rig *rig, const struct segment *s)
{
	struct turn_client *c = client_at(rig, s->dst_port);

	if (c == NULL)
		return;
	if (s->flags & SEGMENT_SYN) {
		c->edge_scale = s->options.has_scale ? s->options.scale : 0;
		return;
	}
	assert(rig->segment_count < TURN_SEGMENTS);
	rig->segments[rig->segment_count++] = (struct turn_segment){.at_us = rig->now_us,
		.window = (uint32_t)s->window << c->edge_scale,
		.payload = s->payload_octets,
		.port = c->port,
		.flags = s->flags};
}

void turn_rig_worker(struct turn_rig *rig)
{
	struct turn_rig_parts *p = rig->parts;
	struct rte_mbuf *m;
	struct frame f;

	rig->now_us += TURN_US;
	(void)worker_turn(rig->w, rig->now_us, WALL_S * INT64_C(1000000) + (int64_t)rig->now_us);
	while (rte_ring_sc_dequeue(p->from_edge, (void **)&m) == 0) {
		struct slice in = {rte_pktmbuf_mtod(m, const uint8_t *), m->data_len};

		if (frame_parse(in, 0, &f) == DROP_NONE && f.kind == FRAME_TCP)
			keep_segment(rig, &f.tcp);
		p->heard[p->heard_count++] = m;
	}
}

static void hear(struct turn_rig *rig)
{
	struct turn_rig_parts *p = rig->parts;

	for (unsigned i = 0; i < p->heard_count; i++) {
		struct rte_mbuf *m = p->heard[i];
		struct slice in = {rte_pktmbuf_mtod(m, const uint8_t *), m->data_len};
		struct frame f;

		if (frame_parse(in, 0, &f) != DROP_NONE)
			continue;
		if (f.kind == FRAME_ARP)
			answer_arp(rig, &f);
		else if (f.kind == FRAME_ND)
			answer_nd(rig, &f);
		else if (f.kind == FRAME_TCP)
			(void)tcp_input(p->stack, &f.tcp, false, rig->now_us);
	}
	rte_pktmbuf_free_bulk(p->heard, p->heard_count);
	p->heard_count = 0;
}

// ---- The spooler

static void spool(struct turn_rig *rig)
{
	struct spool_request r;

	for (uint32_t i = 0; i < rig->spool_rate; i++) {
		if (rte_ring_sc_dequeue_elem(rig->w->requests, &r, sizeof(r)) != 0)
			return;
		struct spool_answer answer = {.kind = r.kind,
			.home = r.home,
			.conn = r.conn,
			.generation = r.generation,
			.status = ERR_OK,
			.message_id = r.message_id,
			.buf = r.buf};

		rig->spooled += r.kind == SPOOL_PUT_CHUNK ? r.buf->octets : 0;
		rig->committed += r.kind == SPOOL_PUT_COMMIT;
		assert(rte_ring_sp_enqueue_elem(rig->w->answers, &answer, sizeof(answer)) == 0);
	}
}

// ---- Clients

static void flood(struct turn_client *c)
{
	static const char line[] =
		"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmno\r\n";
	const size_t len = sizeof(line) - 1;

	while (c->conn != NULL && c->flood >= len && tcp_send_space(c->conn) >= len) {
		assert(tcp_send(
			c->conn, (struct slice){(const uint8_t *)line, len}, c->rig->now_us));
		c->flood -= len;
	}
}

static struct turn_client *client_of(void *user, struct tcp_conn *conn)
{
	uint16_t port;

	(void)tcp_conn_local(conn, &port);
	return client_at(user, port);
}

static void client_opened(void *user, struct tcp_conn *conn, uint64_t us)
{
	struct turn_client *c = client_of(user, conn);

	(void)us;
	if (c != NULL)
		c->open = true;
}

static size_t client_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t us)
{
	struct turn_client *c = client_of(user, conn);

	(void)us;
	if (c != NULL && c->len + in.len < TURN_TEXT) {
		memcpy(c->text + c->len, in.at, in.len);
		c->len += in.len;
		c->text[c->len] = '\0';
	}
	return in.len;
}

static void client_peer_closed(void *user, struct tcp_conn *conn, uint64_t us)
{
	struct turn_client *c = client_of(user, conn);

	if (c != NULL)
		c->fin = true;
	tcp_close(conn, us);
}

static void client_nothing(void *user, struct tcp_conn *conn, uint64_t us)
{
	(void)user;
	(void)conn;
	(void)us;
}

static void client_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t us)
{
	struct turn_client *c = client_of(user, conn);

	(void)us;
	if (c == NULL)
		return;
	c->reset = why == TCP_CLOSED_RESET;
	c->conn = NULL;
}

static const struct tcp_app client_app = {.opened = client_opened,
	.data = client_data,
	.acked = client_nothing,
	.peer_closed = client_peer_closed,
	.deadline = client_nothing,
	.closed = client_closed};
static const struct tcp_env client_env = {.emit = client_emit};

void turn_rig_run_us(struct turn_rig *rig, uint64_t us)
{
	for (uint64_t end = rig->now_us + us; rig->now_us < end;) {
		turn_rig_worker(rig);
		hear(rig);
		spool(rig);
		for (struct turn_client *c = rig->parts->clients; c != NULL; c = c->next)
			flood(c);
		tcp_timers(rig->parts->stack, rig->now_us, 1000);
		tcp_flush(rig->parts->stack, rig->now_us);
	}
}

static bool has_line(const char *text, const char *begin)
{
	const size_t len = strlen(begin);

	for (const char *at = text; *at != '\0';) {
		const char *end = strstr(at, "\r\n");

		if (end == NULL)
			return false;
		if (strncmp(at, begin, len) == 0)
			return true;
		at = end + 2;
	}
	return false;
}

static bool is_met(const struct turn_client *c, uint16_t port)
{
	return c->conn == NULL || (port == 25 ? c->len > 0 : c->open);
}

struct turn_client *turn_rig_connect(struct turn_rig *rig, const char *from, const char *to)
{
	return turn_rig_connect_port(rig, from, to, 25);
}

struct turn_client *turn_rig_connect_port(
	struct turn_rig *rig, const char *from, const char *to, uint16_t port)
{
	struct turn_client *c = calloc(1, sizeof(*c));
	struct segment tuple = {.src_port = rig->parts->next_port++, .dst_port = port};
	uint64_t end = rig->now_us + SAY_US;

	assert(c != NULL && ip_addr_parse(from, &tuple.src) && ip_addr_parse(to, &tuple.dst));
	c->rig = rig;
	c->port = tuple.src_port;
	c->next = rig->parts->clients;
	rig->parts->clients = c;
	c->conn = tcp_connect(rig->parts->stack, &tuple, rig->now_us);
	assert(c->conn != NULL);
	tcp_flush(rig->parts->stack, rig->now_us);
	while (!is_met(c, port) && rig->now_us < end)
		turn_rig_run_us(rig, TURN_US);
	return c;
}

void turn_rig_close(struct turn_client *c)
{
	struct turn_rig *rig = c->rig;
	struct turn_client **link = &rig->parts->clients;

	if (c->conn != NULL)
		tcp_abort(c->conn, rig->now_us);
	turn_rig_run_us(rig, 2 * TURN_US);
	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	free(c);
}

void turn_rig_send(struct turn_client *c, const char *text)
{
	c->len = 0;
	c->text[0] = '\0';
	turn_rig_send_octets(c, (struct slice){(const uint8_t *)text, strlen(text)});
}

void turn_rig_send_octets(struct turn_client *c, struct slice octets)
{
	assert(c->conn != NULL && tcp_send(c->conn, octets, c->rig->now_us));
	tcp_flush(c->rig->parts->stack, c->rig->now_us);
}

const char *turn_rig_say(struct turn_client *c, const char *text, const char *begin)
{
	uint64_t end = c->rig->now_us + SAY_US;

	turn_rig_send(c, text);
	while (!has_line(c->text, begin) && c->rig->now_us < end)
		turn_rig_run_us(c->rig, TURN_US);
	if (!has_line(c->text, begin))
		fprintf(stderr, "waited for %s, heard: %s\n", begin, c->text);
	assert(has_line(c->text, begin));
	return c->text;
}

void turn_rig_flood(struct turn_client *c, uint64_t octets)
{
	c->flood = octets;
}

// ---- What was sent

void turn_rig_forget(struct turn_rig *rig)
{
	rig->segment_count = 0;
}

static uint32_t count(const struct turn_rig *rig, bool with_payload)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < rig->segment_count; i++)
		n += (rig->segments[i].payload > 0) == with_payload;
	return n;
}

uint32_t turn_rig_data(const struct turn_rig *rig)
{
	return count(rig, true);
}

uint32_t turn_rig_bare(const struct turn_rig *rig)
{
	return count(rig, false);
}

// ---- Start and stop

static void on_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	(void)user;
	fprintf(stderr, "%s:%u:%u: %s\n", path, pos.line, pos.column, message);
}

static void write_yaml(const struct turn_rig_parts *p, const char *yaml)
{
	FILE *f = fopen(p->yaml, "w");

	assert(f != NULL);
	fprintf(f, "spool: %s/spool\n%s", p->directory, yaml);
	fclose(f);
}

static struct config *write_and_load(struct turn_rig_parts *p, const char *yaml)
{
	struct config *config;

	snprintf(p->directory, sizeof(p->directory), "/tmp/postern-turn-XXXXXX");
	assert(mkdtemp(p->directory) != NULL);
	snprintf(p->yaml, sizeof(p->yaml), "%s/c.yaml", p->directory);
	write_yaml(p, yaml);
	config = config_load(p->yaml, -1, on_mistake, NULL);
	assert(config != NULL);
	return config;
}

static void start_port(struct turn_rig_parts *p, const struct config *config)
{
	char why[PORT_WHY_OCTETS];
	bool started;

	p->to_edge = rte_ring_create("to_edge", RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	p->from_edge =
		rte_ring_create("from_edge", RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	assert(p->to_edge != NULL && p->from_edge != NULL);
	assert(rte_eth_from_rings("rig", &p->to_edge, 1, &p->from_edge, 1, 0) >= 0);
	started = port_set_start(&p->ports, config, 1, p->common.mbufs, why);
	if (!started)
		fprintf(stderr, "%s\n", why);
	assert(started);
}

static void start_worker(struct turn_rig *rig)
{
	struct turn_rig_parts *p = rig->parts;

	p->common.edge = &rig->edge;
	p->common.ports = &p->ports;
	p->common.boot = 1;
	p->common.conns = 1024;
	p->common.blocks = TURN_BLOCKS;
	p->common.spool_bufs = TURN_SPOOL_BUFS;
	p->common.mss = 1460;
	rig->edge.worker_count = 1;
	rig->edge.workers[0] = rte_zmalloc("edge_worker", sizeof(struct edge_worker), 64);
	rig->w = worker_make(&p->common, 0, rig->edge.workers[0]);
	assert(rig->w != NULL);
	rte_rcu_qsbr_thread_register(rig->edge.qsbr, 0);
	rte_rcu_qsbr_thread_online(rig->edge.qsbr, 0);
	atomic_store(&rig->edge.spool_accepting, true);
	rig->now_us = rig->w->now_us;
	neighbour_start(rig->w);
}

static void start_clients(struct turn_rig *rig)
{
	struct tcp_stack_config config = {.app = &client_app,
		.env = &client_env,
		.user = rig,
		.conns = 1100,
		.blocks = 40000,
		.mss = 1460,
		.secret = {1, 2}};
	size_t octets = (tcp_stack_octets(&config) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, octets);

	assert(memory != NULL);
	memset(memory, 0, octets);
	rig->parts->stack = tcp_stack_init(memory, &config, rig->now_us);
	rig->parts->next_port = FIRST_PORT;
}

static void start_eal(void)
{
	char *argv[] = {(char[]){"rig"}, (char[]){"--no-huge"}, (char[]){"--no-shconf"},
		(char[]){"--no-pci"}, (char[]){"--no-telemetry"}, (char[]){"--iova-mode=va"},
		(char[]){"-m512"}, (char[]){"--log-level=error"}, (char[]){"-l0"}};

	assert(rte_eal_init(sizeof(argv) / sizeof(argv[0]), argv) >= 0);
}

struct turn_rig *turn_rig_start(const char *yaml)
{
	struct turn_rig *rig = calloc(1, sizeof(*rig));
	struct config *config;

	assert(rig != NULL);
	rig->parts = calloc(1, sizeof(*rig->parts));
	rig->segments = calloc(TURN_SEGMENTS, sizeof(rig->segments[0]));
	rig->spool_rate = 1000;
	assert(rig->parts != NULL && rig->segments != NULL);
	config = write_and_load(rig->parts, yaml);
	start_eal();
	rig->edge.qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(LIMIT_WORKERS), 64);
	assert(rte_rcu_qsbr_init(rig->edge.qsbr, LIMIT_WORKERS) == 0);
	assert(reload_init(&rig->edge, config, -1, NULL, &rig->parts->reload) == ERR_OK);
	rig->parts->common.mbufs = rte_pktmbuf_pool_create(
		"mbufs", 16383, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	assert(rig->parts->common.mbufs != NULL);
	start_port(rig->parts, config);
	start_worker(rig);
	start_clients(rig);
	turn_rig_run_us(rig, 3000000); // addresses are probed for first
	return rig;
}

void turn_rig_reload(struct turn_rig *rig, const char *yaml)
{
	write_yaml(rig->parts, yaml);
	assert(reload_from_path(rig->parts->reload, rig->parts->yaml, on_mistake, NULL) != 0);
}

struct turn_link turn_rig_link(const struct turn_rig *rig)
{
	const struct turn_rig_parts *p = rig->parts;

	return (struct turn_link){
		p->to_edge, p->from_edge, p->common.mbufs, host_mac, p->ports.ports[0].iface.mac};
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void turn_rig_free(struct turn_rig *rig)
{
	while (rig->parts->clients != NULL)
		turn_rig_close(rig->parts->clients);
	nftw(rig->parts->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(rig->parts->stack);
	free(rig->segments);
	free(rig->parts);
	free(rig);
}
