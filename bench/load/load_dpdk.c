#include "load_dpdk.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "load_port.h"
#include "load_tell.h"
#include "tcp/tcp.h"

enum {
	BLOCKS_A_CONN = 66, // a full send buffer
	BLOCKS_MOST = 131072,
	SPARE_CONNS = 1024, // that are on their way out
	FIRST_PORT = 1024,
	PORTS = 65536 - FIRST_PORT,
	TIMERS_A_TURN = 256,
	FLOOD_A_TURN = 64,
	READY_S = 10, // to find the next hop
	BYE_US = 500000,
	LINE = 64,
	US_NS = 1000,
	S_US = 1000000,
};

struct dpdk {
	const struct load_plan *plan;
	struct load_port *port;
	struct load *load;
	struct load_tell *tell;
	struct tcp_stack *stack;
	struct tcp_conn **conns; // by slot
	void *memory;
	size_t memory_octets;
	uint64_t now_us, begun_us;
	uint64_t next_client; // counts through ports and sources
	uint64_t random;
};

static uint64_t now_ns(const struct dpdk *d)
{
	return d->now_us * US_NS;
}

// ---- The stack's application. Behind a connection is its slot + 1; 0: the session has left it.

static uint32_t *slot_plus_1(struct tcp_conn *conn)
{
	return tcp_conn_app(conn);
}

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	struct dpdk *d = user;

	if (*slot_plus_1(conn) != 0)
		load_connected(d->load, *slot_plus_1(conn) - 1, now_us * US_NS);
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	struct dpdk *d = user;

	if (*slot_plus_1(conn) != 0)
		load_input(d->load, *slot_plus_1(conn) - 1, in, now_us * US_NS);
	return in.len;
}

static void on_acked(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	struct dpdk *d = user;

	if (*slot_plus_1(conn) != 0)
		load_writable(d->load, *slot_plus_1(conn) - 1, now_us * US_NS);
}

static void leave(struct dpdk *d, struct tcp_conn *conn, bool refused, uint64_t now_us)
{
	const uint32_t slot = *slot_plus_1(conn);

	if (slot == 0)
		return;
	*slot_plus_1(conn) = 0;
	d->conns[slot - 1] = NULL;
	load_closed(d->load, slot - 1, refused, now_us * US_NS);
}

static void on_peer_closed(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	leave(user, conn, false, now_us);
	tcp_close(conn, now_us);
}

// The server did not close after 221.
static void on_deadline(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	tcp_close(conn, now_us);
}

static void on_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	leave(user, conn, why == TCP_CLOSED_RESET, now_us);
}

static void emit(void *user, const struct segment *s)
{
	struct dpdk *d = user;

	load_port_send(d->port, s);
}

static const struct tcp_app app = {
	NULL, on_opened, on_data, on_acked, on_peer_closed, on_deadline, on_closed};
static const struct tcp_env env = {emit};

// ---- Wires

static struct segment next_tuple(struct dpdk *d)
{
	const uint64_t n = d->next_client++;

	return (struct segment){.src = load_plan_source(d->plan, (uint32_t)(n % d->plan->sources)),
		.dst = d->plan->target,
		.src_port = (uint16_t)(FIRST_PORT + n / d->plan->sources % PORTS),
		.dst_port = d->plan->port};
}

static bool wire_connect(void *backend, uint32_t slot)
{
	struct dpdk *d = backend;
	const struct segment tuple = next_tuple(d);
	struct tcp_conn *conn = tcp_connect(d->stack, &tuple, d->now_us);

	if (conn == NULL)
		return false;
	*slot_plus_1(conn) = slot + 1;
	d->conns[slot] = conn;
	return true;
}

static size_t wire_write(void *backend, uint32_t slot, struct slice octets)
{
	struct dpdk *d = backend;
	struct tcp_conn *conn = d->conns[slot];
	const size_t space = conn == NULL ? 0 : tcp_send_space(conn);

	if (octets.len > space)
		octets.len = space;
	return octets.len > 0 && tcp_send(conn, octets, d->now_us) ? octets.len : 0;
}

static void wire_close(void *backend, uint32_t slot, bool abort)
{
	struct dpdk *d = backend;
	struct tcp_conn *conn = d->conns[slot];

	if (conn == NULL)
		return;
	*slot_plus_1(conn) = 0;
	d->conns[slot] = NULL;
	// The server's FIN comes with its 221 or right behind: who closes second has no TIME-WAIT.
	if (abort)
		tcp_abort(conn, d->now_us);
	else
		tcp_set_deadline(conn, d->now_us + BYE_US);
}

static const struct load_wires wires = {wire_connect, wire_write, wire_close};

// ---- The loop

static void on_frame(void *user, const struct frame *f)
{
	struct dpdk *d = user;

	if (d->plan->kind == LOAD_SYN_FLOOD)
		load_result(d->load)->count.syn_answers++;
	else
		(void)tcp_input(d->stack, &f->tcp, false, d->now_us);
}

static uint64_t next_random(struct dpdk *d)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 7;
	d->random ^= d->random << 17;
	return d->random;
}

static void flood(struct dpdk *d)
{
	struct load_result *r = load_result(d->load);
	const double s = (double)(d->now_us - d->begun_us) / S_US;
	const uint64_t due = d->plan->rate > 0 ? (uint64_t)(s * d->plan->rate) : UINT64_MAX;

	for (int i = 0; i < FLOOD_A_TURN && r->count.syns < due; i++) {
		const uint64_t random = next_random(d);
		struct segment syn = {.src = load_plan_source(d->plan, (uint32_t)random),
			.dst = d->plan->target,
			.src_port = (uint16_t)(FIRST_PORT + (random >> 32) % PORTS),
			.dst_port = d->plan->port,
			.seq = (uint32_t)(random >> 16),
			.window = 65535,
			.flags = SEGMENT_SYN,
			.options = {.has_mss = true, .mss = 1460}};

		load_port_send(d->port, &syn);
		r->count.syns++;
	}
}

static bool turn(struct dpdk *d)
{
	bool more;

	d->now_us = load_port_now_us();
	(void)load_port_poll(d->port, d->now_us, on_frame, d);
	if (d->plan->kind == LOAD_SYN_FLOOD) {
		flood(d);
		more = (double)(d->now_us - d->begun_us) < d->plan->seconds * S_US &&
		       !d->tell->stop_wanted;
	} else {
		if (d->tell->stop_wanted)
			load_stop(d->load, now_ns(d));
		more = load_tick(d->load, now_ns(d));
		tcp_timers(d->stack, d->now_us, TIMERS_A_TURN);
		tcp_flush(d->stack, d->now_us);
	}
	load_port_flush(d->port);
	load_tell_progress(d->tell, load_result(d->load), now_ns(d));
	return more;
}

static bool find_next_hop(struct dpdk *d)
{
	const uint64_t end_us = load_port_now_us() + READY_S * (uint64_t)S_US;

	while (!load_port_is_ready(d->port) && load_port_now_us() < end_us &&
		!d->tell->stop_wanted) {
		(void)load_port_poll(d->port, load_port_now_us(), on_frame, d);
		load_port_flush(d->port);
	}
	if (!load_port_is_ready(d->port))
		fputs("postern-load: nobody answers ARP for the target (or --gateway)\n", stderr);
	return load_port_is_ready(d->port);
}

static bool make_stack(struct dpdk *d)
{
	const uint64_t blocks = (uint64_t)d->plan->connections * BLOCKS_A_CONN;
	struct tcp_stack_config config = {.app = &app,
		.env = &env,
		.user = d,
		.conns = d->plan->connections + SPARE_CONNS,
		.blocks = (uint32_t)(blocks < BLOCKS_MOST ? blocks + 64 : BLOCKS_MOST),
		.mss = load_port_mss(d->port),
		.app_octets = sizeof(uint64_t)};

	if (getrandom(&config.secret, sizeof(config.secret), 0) != (ssize_t)sizeof(config.secret))
		return false;
	d->memory_octets = tcp_stack_octets(&config);
	// Zeroed pages that cost nothing until they are touched; aligned by hand.
	d->memory = calloc(1, d->memory_octets + LINE);
	if (d->memory == NULL)
		return false;
	void *aligned = (uint8_t *)d->memory + (LINE - (uintptr_t)d->memory % LINE) % LINE;

	d->stack = tcp_stack_init(aligned, &config, d->now_us);
	return true;
}

static void end(struct dpdk *d)
{
	if (d->load != NULL)
		load_free(d->load);
	free(d->memory);
	load_port_stop(d->port);
	free(d->conns);
	free(d);
}

bool load_dpdk_run(const struct load_plan *plan, struct load_tell *tell)
{
	struct dpdk *d = calloc(1, sizeof(*d));
	bool begun = false;

	if (d == NULL)
		return false;
	d->plan = plan;
	d->tell = tell;
	d->random = 88172645463325252;
	if (getrandom(&d->next_client, sizeof(uint32_t), 0) != (ssize_t)sizeof(uint32_t))
		d->next_client = 0; // a run after another meets its TIME-WAITs
	d->conns = calloc(plan->connections, sizeof(struct tcp_conn *));
	d->port = d->conns == NULL ? NULL : load_port_start(plan);
	if (d->port == NULL) {
		free(d->conns);
		free(d);
		return false;
	}
	d->now_us = load_port_now_us();
	if (make_stack(d) && find_next_hop(d)) {
		d->begun_us = d->now_us = load_port_now_us();
		d->load = load_make(plan, &wires, d, now_ns(d));
		begun = d->load != NULL;
	}
	while (begun && turn(d))
		;
	if (begun) {
		struct load_result *r = load_result(d->load);

		r->ended_ns = r->ended_ns == 0 ? now_ns(d) : r->ended_ns;
		load_tell_keep(tell, r);
	}
	end(d);
	return begun;
}
