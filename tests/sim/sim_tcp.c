#include "sim/sim_tcp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/frame.h"
#include "sim/tcp_check.h"
#include "tcp/tcp_stack.h"

enum { CLIENT, SERVER };
enum { FIRST_PORT = 1024, IDLE_US = 120000000, FRAME_OCTETS = 2048, START_US = 5000000 };

static const uint64_t end_us = 4000000000;

#define MUST(what)                                                                                 \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what);       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

// What both ends know of a connection without a word: its number is the client's port.
struct plan {
	uint32_t octets[2]; // that CLIENT and SERVER send
	enum sim_tcp_ending ending;
	uint32_t abort_at;
	bool closed[2], orderly[2];
	uint32_t received[2];
};

struct host {
	struct sim *sim;
	struct tcp_stack *stack;
	void *memory;
	int side;
};

struct app {
	uint32_t sent;
	bool is_stalled;
	bool is_closing;
};

struct sim {
	const struct sim_tcp_config *config;
	struct sim_link link;
	struct host hosts[2];
	struct plan *plans;
	uint32_t next, ended;
	uint64_t now_us, random;
	struct sim_tcp_result result;
};

static uint32_t below(struct sim *sim, uint32_t limit)
{
	return limit == 0 ? 0 : (uint32_t)((sim_link_random(&sim->random) >> 20) % limit);
}

static uint32_t number_of(const struct host *host, const struct tcp_conn *conn)
{
	uint16_t port;

	if (host->side == CLIENT)
		tcp_conn_local(conn, &port);
	else
		tcp_conn_peer(conn, &port);
	return (uint32_t)port - FIRST_PORT;
}

static struct plan *plan_of(const struct host *host, const struct tcp_conn *conn)
{
	return &host->sim->plans[number_of(host, conn)];
}

static uint8_t octet_at(uint32_t number, int from, uint32_t at)
{
	uint32_t x = (number * 2 + (uint32_t)from) * 2654435761U + at * 40503U;

	return (uint8_t)(x ^ x >> 11 ^ x >> 19);
}

// Queue the next octets in pieces of random size.
static void send_more(struct host *host, struct tcp_conn *conn)
{
	struct app *app = tcp_conn_app(conn);
	uint32_t octets = plan_of(host, conn)->octets[host->side], number = number_of(host, conn);
	uint8_t piece[3000];

	while (app->sent < octets && !app->is_closing) {
		uint32_t n = 1 + below(host->sim, sizeof(piece));

		if (n > octets - app->sent)
			n = octets - app->sent;
		for (uint32_t i = 0; i < n; i++)
			piece[i] = octet_at(number, host->side, app->sent + i);
		if (!tcp_send(conn, (struct slice){piece, n}, host->sim->now_us))
			return;
		app->sent += n;
	}
}

static bool closes_when_complete(const struct host *host, const struct plan *plan)
{
	return plan->ending == SIM_BOTH ||
	       (plan->ending == SIM_CLIENT_FIRST && host->side == CLIENT) ||
	       (plan->ending == SIM_SERVER_FIRST && host->side == SERVER);
}

static void close_if_complete(struct host *host, struct tcp_conn *conn)
{
	struct app *app = tcp_conn_app(conn);
	struct plan *plan = plan_of(host, conn);

	if (app->is_closing || app->sent < plan->octets[host->side] ||
		plan->received[host->side] < plan->octets[!host->side])
		return;
	if (!closes_when_complete(host, plan))
		return;
	app->is_closing = true;
	tcp_close(conn, host->sim->now_us);
}

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	struct host *host = user;

	// A RST may be lost, and then only time tells.
	if (plan_of(host, conn)->ending == SIM_ABORT)
		tcp_set_deadline(conn, now_us + IDLE_US);
	if (host->sim->config->keepalive)
		tcp_set_keepalive(conn,
			&(struct tcp_keepalive){.idle_s = 60, .interval_s = 10, .probes = 5},
			now_us);
	send_more(host, conn);
	close_if_complete(host, conn);
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	struct host *host = user;
	struct app *app = tcp_conn_app(conn);
	struct plan *plan = plan_of(host, conn);
	uint32_t at = plan->received[host->side];
	size_t used = in.len;

	MUST(!app->is_closing && in.len > 0);
	MUST(at + in.len <= plan->octets[!host->side]);
	for (size_t i = 0; i < in.len; i++)
		MUST(in.at[i] == octet_at(number_of(host, conn), !host->side, at + (uint32_t)i));
	if (host->sim->config->lazy_apps)
		used = below(host->sim, 3) == 0 ? below(host->sim, (uint32_t)in.len + 1) : in.len;
	if (used < in.len && !app->is_stalled) {
		app->is_stalled = true;
		tcp_set_deadline(conn, now_us + 1 + below(host->sim, 400000));
	}
	plan->received[host->side] += (uint32_t)used;
	if (plan->ending == SIM_ABORT && host->side == CLIENT &&
		plan->received[CLIENT] >= plan->abort_at) {
		tcp_abort(conn, now_us);
		return used;
	}
	send_more(host, conn);
	close_if_complete(host, conn);
	return used;
}

static void on_acked(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)now_us;
	send_more(user, conn);
	close_if_complete(user, conn);
}

static void on_peer_closed(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	struct host *host = user;
	struct app *app = tcp_conn_app(conn);
	struct plan *plan = plan_of(host, conn);

	MUST(plan->received[host->side] == plan->octets[!host->side]);
	MUST(app->sent == plan->octets[host->side] && !app->is_closing);
	app->is_closing = true;
	tcp_close(conn, now_us);
}

static void on_deadline(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	struct app *app = tcp_conn_app(conn);

	if (!app->is_stalled) {
		MUST(plan_of(user, conn)->ending == SIM_ABORT);
		tcp_abort(conn, now_us);
		return;
	}
	app->is_stalled = false;
	tcp_set_deadline(conn, plan_of(user, conn)->ending == SIM_ABORT ? now_us + IDLE_US : 0);
	tcp_resume(conn, now_us);
}

static void on_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	struct host *host = user;
	struct plan *plan = plan_of(host, conn);

	MUST(!plan->closed[host->side]);
	host->sim->result.busy_us = now_us - START_US;
	plan->closed[host->side] = true;
	plan->orderly[host->side] = why == TCP_CLOSED_ORDERLY;
	host->sim->ended += host->side == CLIENT;
	host->sim->result.orderly += why == TCP_CLOSED_ORDERLY;
	host->sim->result.reset += why == TCP_CLOSED_RESET;
	host->sim->result.aborted += why == TCP_CLOSED_ABORTED;
	host->sim->result.timed_out += why == TCP_CLOSED_TIMEOUT;
}

static void emit(void *user, const struct segment *s)
{
	static const struct frame_route route = {
		.src_mac = {{2, 0, 0, 0, 0, 1}}, .dst_mac = {{2, 0, 0, 0, 0, 2}}};
	struct host *host = user;
	uint8_t frame[FRAME_OCTETS];
	uint32_t octets = frame_build(s, &route, frame, sizeof(frame));

	MUST(octets > 0);
	sim_link_send(&host->sim->link, frame, octets, !host->side, host->sim->now_us);
}

static void hear(struct host *host, const struct sim_link_packet *p)
{
	struct sim_tcp_result *result = &host->sim->result;
	struct frame f;

	if (frame_parse((struct slice){p->frame, p->octets}, 0, &f) != DROP_NONE) {
		result->bad_frames++;
		return;
	}
	if (f.kind == FRAME_ICMP_ERROR) {
		result->told++;
		tcp_icmp(host->stack, &f.error, host->sim->now_us);
	}
	if (f.kind != FRAME_TCP)
		return;
	result->marks_heard += f.ip.ecn == SEGMENT_ECN_CE;
	tcp_input(host->stack, &f.tcp, host->side == SERVER, host->sim->now_us);
}

static const struct tcp_app app_table = {.opened = on_opened,
	.data = on_data,
	.acked = on_acked,
	.peer_closed = on_peer_closed,
	.deadline = on_deadline,
	.closed = on_closed};
static const struct tcp_env env_table = {.emit = emit};

static void host_init(struct sim *sim, int side)
{
	const struct sim_tcp_config *config = sim->config;
	struct host *host = &sim->hosts[side];
	struct tcp_stack_config stack = {.app = &app_table,
		.env = &env_table,
		.user = host,
		.conns = side == SERVER && config->slots != 0 ? config->slots : config->conns + 4,
		.blocks = config->blocks,
		.mss = side == SERVER && config->server_mss != 0 ? config->server_mss : 1460,
		.receive_window = config->receive_window,
		.app_octets = sizeof(struct app),
		.secret = {config->link.seed, (uint64_t)side}};
	size_t octets = (tcp_stack_octets(&stack) + 63) / 64 * 64;

	host->sim = sim;
	host->side = side;
	host->memory = aligned_alloc(64, octets);
	MUST(host->memory != NULL);
	memset(host->memory, 0, octets);
	host->stack = tcp_stack_init(host->memory, &stack, sim->now_us);
}

static void make_plans(struct sim *sim)
{
	const struct sim_tcp_config *config = sim->config;

	sim->plans = calloc(config->conns, sizeof(*sim->plans));
	MUST(sim->plans != NULL);
	for (uint32_t i = 0; i < config->conns; i++) {
		struct plan *plan = &sim->plans[i];

		// Small ones are the rule, as in mail.
		for (int side = 0; side < 2; side++)
			plan->octets[side] =
				below(sim, below(sim, 4) > 0 ? 2000 : config->octets_max + 1);
		plan->ending = below(sim, config->aborts ? SIM_ENDINGS : SIM_ABORT);
		plan->octets[SERVER] += plan->ending == SIM_ABORT;
		plan->abort_at = 1 + below(sim, plan->octets[SERVER]);
	}
}

static void connect_more(struct sim *sim)
{
	static const char *const ends[2][2] = {
		{"10.12.170.1", "10.12.170.5"}, {"2001:db8:12::1", "2001:db8:12::5"}};

	while (sim->next < sim->config->conns && sim->next - sim->ended < sim->config->at_once) {
		const char *const *addresses = ends[sim->config->v6];
		struct segment tuple = {
			.src_port = (uint16_t)(FIRST_PORT + sim->next), .dst_port = 25};

		MUST(ip_addr_parse(addresses[0], &tuple.src) &&
			ip_addr_parse(addresses[1], &tuple.dst));
		MUST(tcp_connect(sim->hosts[CLIENT].stack, &tuple, sim->now_us) != NULL);
		sim->next++;
	}
}

// A block came back: who found the pool empty may try again.
static void nudge(struct sim *sim)
{
	for (int side = 0; side < 2; side++) {
		uint32_t cursor = 0;
		struct tcp_conn *conn;

		while ((conn = tcp_conn_next(sim->hosts[side].stack, &cursor)) != NULL) {
			send_more(&sim->hosts[side], conn);
			close_if_complete(&sim->hosts[side], conn);
		}
	}
}

static uint64_t next_us(const struct sim *sim)
{
	uint64_t next = sim_link_next_us(&sim->link);

	for (int side = 0; side < 2; side++) {
		uint64_t timer_us = tcp_next_timer_us(sim->hosts[side].stack, sim->now_us, 1000000);

		if (timer_us < next)
			next = timer_us;
	}
	return next;
}

static void turn(struct sim *sim)
{
	struct sim_link_packet p;

	while (sim_link_receive(&sim->link, sim->now_us, &p)) {
		hear(&sim->hosts[p.to], &p);
		free(p.frame);
	}
	for (int side = 0; side < 2; side++)
		tcp_timers(sim->hosts[side].stack, sim->now_us, 64);
	connect_more(sim);
	for (int side = 0; side < 2; side++)
		tcp_flush(sim->hosts[side].stack, sim->now_us);
}

static bool is_over(const struct sim *sim)
{
	return sim->ended == sim->config->conns && tcp_conn_count(sim->hosts[0].stack) == 0 &&
	       tcp_conn_count(sim->hosts[1].stack) == 0 &&
	       sim_link_next_us(&sim->link) == UINT64_MAX;
}

static void check_end(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->config->conns; i++) {
		const struct plan *plan = &sim->plans[i];

		MUST(plan->closed[CLIENT]);
		if (plan->orderly[CLIENT] && plan->orderly[SERVER])
			MUST(plan->received[CLIENT] == plan->octets[SERVER] &&
				plan->received[SERVER] == plan->octets[CLIENT]);
		sim->result.octets += plan->received[CLIENT] + plan->received[SERVER];
	}
	for (int side = 0; side < 2; side++) {
		struct tcp_stack *stack = sim->hosts[side].stack;

		tcp_check(stack);
		MUST(tcp_stack_blocks(stack)->free_count == sim->config->blocks);
		MUST(stack->wheel.count == 0);
		MUST(tcp_stack_counters(stack)->opened == tcp_stack_counters(stack)->closed);
		sim->result.counters[side] = *tcp_stack_counters(stack);
	}
}

struct sim_tcp_result sim_tcp_run(const struct sim_tcp_config *config)
{
	struct sim sim = {.config = config, .now_us = START_US, .random = config->link.seed + 77};
	sim_link_init(&sim.link, &config->link);
	make_plans(&sim);
	host_init(&sim, CLIENT);
	host_init(&sim, SERVER);
	connect_more(&sim);
	for (uint64_t step = 0; !is_over(&sim); step++) {
		turn(&sim);
		if (step % 64 == 0) {
			nudge(&sim);
			if (step % 1024 == 0) {
				tcp_check(sim.hosts[CLIENT].stack);
				tcp_check(sim.hosts[SERVER].stack);
			}
			tcp_flush(sim.hosts[CLIENT].stack, sim.now_us);
			tcp_flush(sim.hosts[SERVER].stack, sim.now_us);
		}
		MUST(sim.now_us < START_US + end_us);
		sim.now_us = next_us(&sim) > sim.now_us ? next_us(&sim) : sim.now_us + 1;
	}
	check_end(&sim);
	sim.result.link = sim.link.counters;
	sim.result.virtual_us = sim.now_us - START_US;
	sim_link_free(&sim.link);
	free(sim.plans);
	free(sim.hosts[CLIENT].memory);
	free(sim.hosts[SERVER].memory);
	return sim.result;
}
