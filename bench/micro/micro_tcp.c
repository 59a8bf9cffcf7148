// The stack against a peer that is only arithmetic: it needs no memory a connection and no time.

#include <stdlib.h>
#include <string.h>

#include "micro_tables.h"
#include "tcp/tcp.h"

enum {
	CONNS = 4096,
	BLOCKS = 4096,
	MSS = 1448,
	BURST = 32, // segments between two flushes
	PEER_WINDOW = 65535,
};

struct tcp_world {
	struct tcp_stack *stack;
	void *memory;
	uint64_t now_us;
	uint32_t peer_seq, peer_ack; // of the connection that is played now
	uint16_t peer_port;
	uint32_t peer_addr;
	uint64_t sent, taken;
	bool ends; // the application says good-bye to the first octets
	uint8_t payload[MSS];
};

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	static const uint8_t greeting[] = "220 mx.neulan.net ESMTP Postern\r\n";

	(void)user;
	(void)tcp_send(conn, (struct slice){greeting, sizeof(greeting) - 1}, now_us);
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	static const uint8_t bye[] = "221 2.0.0 mx.neulan.net closing connection\r\n";
	struct tcp_world *w = user;

	w->taken += in.len;
	if (w->ends) {
		(void)tcp_send(conn, (struct slice){bye, sizeof(bye) - 1}, now_us);
		tcp_close(conn, now_us);
	}
	return in.len;
}

static void on_event(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)conn;
	(void)now_us;
}

static void on_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	(void)user;
	(void)conn;
	(void)why;
	(void)now_us;
}

// The peer acknowledges whatever leaves.
static void emit(void *user, const struct segment *s)
{
	struct tcp_world *w = user;

	w->sent++;
	if (segment_len(s) > 0)
		w->peer_ack = s->seq + segment_len(s);
}

static const struct tcp_app app = {
	NULL, on_opened, on_data, on_event, on_event, on_event, on_closed};
static const struct tcp_env env = {emit};

static void say(struct tcp_world *w, uint8_t flags, const void *octets, uint32_t len)
{
	struct segment s = {.src = ip_addr_from_v4(w->peer_addr),
		.dst = ip_addr_from_v4(0x0a0caa4a),
		.src_port = w->peer_port,
		.dst_port = 25,
		.seq = w->peer_seq,
		.ack = w->peer_ack,
		.window = PEER_WINDOW,
		.flags = flags,
		.part_count = len > 0,
		.payload_octets = len,
		.parts = {{octets, len}}};

	if (flags & SEGMENT_SYN) {
		s.options.has_mss = true;
		s.options.mss = 1460;
	}
	w->peer_seq += segment_len(&s);
	(void)tcp_input(w->stack, &s, true, w->now_us);
}

static void open_next(struct tcp_world *w)
{
	w->peer_port++;
	w->peer_addr += w->peer_port == 0;
	w->peer_seq = w->peer_ack = 0;
	say(w, SEGMENT_SYN, NULL, 0);
	tcp_flush(w->stack, w->now_us);
	say(w, SEGMENT_ACK, NULL, 0);
	tcp_flush(w->stack, w->now_us);
	say(w, SEGMENT_ACK, NULL, 0);
}

static void *tcp_world_start(void)
{
	struct tcp_world *w = calloc(1, sizeof(*w));
	struct tcp_stack_config config = {
		.app = &app, .env = &env, .user = w, .conns = CONNS, .blocks = BLOCKS, .mss = 1460};
	const size_t octets = (tcp_stack_octets(&config) + 63) & ~(size_t)63;

	w->memory = aligned_alloc(64, octets);
	memset(w->memory, 0, octets);
	w->now_us = 1000000;
	w->peer_addr = 0xc6336401;
	w->stack = tcp_stack_init(w->memory, &config, w->now_us);
	memset(w->payload, 'x', sizeof(w->payload));
	return w;
}

static void *start_life(void)
{
	struct tcp_world *w = tcp_world_start();

	w->ends = true;
	return w;
}

static void *start_stream(void)
{
	struct tcp_world *w = tcp_world_start();

	open_next(w);
	return w;
}

static void tcp_world_end(void *world)
{
	struct tcp_world *w = world;

	free(w->memory);
	free(w);
}

static void pass_time(struct tcp_world *w, uint64_t us)
{
	w->now_us += us;
	tcp_timers(w->stack, w->now_us, 256);
	tcp_flush(w->stack, w->now_us);
}

// Accept, greeting, QUIT, 221 and FIN, close: all segments of one session, handshake and TIME-WAIT included.
static void life(void *world, uint64_t turns)
{
	struct tcp_world *w = world;

	while (turns-- > 0) {
		open_next(w);
		say(w, SEGMENT_ACK | SEGMENT_PSH, "QUIT\r\n", 6);
		tcp_flush(w->stack, w->now_us);
		say(w, SEGMENT_ACK | SEGMENT_FIN, NULL, 0);
		pass_time(w, 10);
	}
	micro_keep(w->sent);
}

static void in_order(void *world, uint64_t turns)
{
	struct tcp_world *w = world;

	for (uint64_t i = 0; i < turns; i++) {
		say(w, SEGMENT_ACK, w->payload, MSS);
		if (i % BURST == BURST - 1)
			pass_time(w, 10);
	}
	micro_keep(w->taken);
}

// Each second segment overtakes the one before it.
static void swapped(void *world, uint64_t turns)
{
	struct tcp_world *w = world;

	for (uint64_t i = 0; i < turns; i += 2) {
		w->peer_seq += MSS;
		say(w, SEGMENT_ACK, w->payload, MSS);
		w->peer_seq -= 2 * MSS;
		say(w, SEGMENT_ACK, w->payload, MSS);
		w->peer_seq += MSS;
		if (i % BURST == BURST - 2)
			pass_time(w, 10);
	}
	micro_keep(w->taken);
}

const struct micro micro_tcp[] = {
	{"tcp_life", "connection", 1, start_life, life, tcp_world_end},
	{"tcp_in_order", "segment", 1, start_stream, in_order, tcp_world_end},
	{"tcp_out_of_order", "segment", 1, start_stream, swapped, tcp_world_end},
	{.name = NULL},
};
