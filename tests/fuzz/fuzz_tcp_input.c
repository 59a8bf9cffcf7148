// Target functions: tcp_input and everything behind it
//
// The input is a list of actions: time goes on, a segment near some interesting number arrives, the application
// sends, closes, shuts down, aborts, resumes, takes less or nothing. Two peers speak v4, two v6; SACK, ECN and timestamps are as the
// input has them, and SYN cookies come under pressure or always. Checked after each: tcp_check(); that an octet once shown
// to the application is not shown differently later; that an octet once sent is not sent differently later; that
// neither the acknowledged number nor the right edge of the window goes back; that SACK blocks are ranges and fit; that RST is not
// answered by RST, and no segment by many. In the end everything comes back.

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/seq.h"
#include "sim/tcp_check.h"
#include "tcp/tcp.h"
#include "tcp/tcp_conn.h"
#include "tcp/tcp_table.h"
#include "tcp/tcp_tuple.h"

enum {
	PEERS = 4,
	CONNS = 6,
	BLOCKS = 40,
	SHOWN = 4096,
	STEPS = 3000,
	ANSWERS = 3, // at once, to one segment
	OPTION_OCTETS = 40,
};

struct app {
	uint8_t shown[SHOWN];
	uint32_t shown_octets, sent;
	bool closed, shut;
};

// What a peer saw of us on its present connection.
struct seen {
	uint32_t isn, ack, edge;
	uint32_t seq; // its own next number
	uint32_t tsval;
	bool has_isn, has_ack;
};

static struct {
	const uint8_t *at;
	size_t left;
	uint64_t now_us;
	struct tcp_stack *stack;
	struct tcp_stack_config config;
	uint8_t *memory;
	struct seen seen[PEERS];
	uint8_t action; // of the application in its next call
	uint32_t consume;
	bool hold; // what data() brings next
	bool in_input, rst_in;
	uint32_t answers; // to the segment that is being read
} f;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t take(void)
{
	if (f.left == 0)
		return 0;
	f.left--;
	return *f.at++;
}

static uint32_t take_word(void)
{
	uint32_t word = take();

	return word << 8 | take();
}

static void must_at(bool is_true, int line)
{
	if (is_true)
		return;
	fprintf(stderr, "fuzz_tcp_input.c:%d: not true\n", line);
	abort();
}

#define must(is_true) must_at(is_true, __LINE__)

static uint8_t octet_at(uint32_t at)
{
	return (uint8_t)(at ^ at >> 7);
}

static void app_send(struct tcp_conn *conn, uint32_t octets)
{
	struct app *app = tcp_conn_app(conn);
	uint8_t text[3000];

	octets %= sizeof(text);
	for (uint32_t i = 0; i < octets; i++)
		text[i] = octet_at(app->sent + i);
	if (tcp_send(conn, (struct slice){text, octets}, f.now_us))
		app->sent += octets;
}

static void app_set(struct tcp_conn *conn, uint8_t what)
{
	if (what & 1)
		tcp_set_ack_policy(conn, what & 2 ? TCP_ACK_REPLY : TCP_ACK_DATA);
	else
		tcp_set_small(conn, (enum tcp_small)(what / 2 % 3));
}

// Who shuts down takes all from then on.
static void app_shutdown(struct tcp_conn *conn)
{
	struct app *app = tcp_conn_app(conn);

	app->shut = true;
	tcp_shutdown(conn, f.now_us);
}

static void app_act(struct tcp_conn *conn, uint8_t action)
{
	switch (action & 7) {
	case 0:
		if (action & 8)
			app_shutdown(conn);
		return;
	case 1:
		app_send(conn, action * 37U);
		return;
	case 2:
		tcp_close(conn, f.now_us);
		return;
	case 3:
		tcp_abort(conn, f.now_us);
		return;
	case 4:
		tcp_set_deadline(conn, f.now_us + action * 10000U);
		return;
	case 5:
		app_send(conn, 200);
		tcp_close(conn, f.now_us);
		return;
	case 6:
		tcp_set_receive_window(conn, (action >> 3) * 1000U);
		return;
	default:
		app_set(conn, action >> 3);
		return;
	}
}

static void act_once(struct tcp_conn *conn)
{
	uint8_t action = f.action;

	f.action = 0;
	app_act(conn, action);
}

// Every fourth connection has neither, the others one of them or both.
static void set_limits(struct tcp_conn *conn, uint64_t now_us)
{
	static const struct tcp_keepalive keepalive = {2, 1, 3};
	uint32_t which = tcp_conn_generation(conn) % 4;

	if (which & 1)
		tcp_set_keepalive(conn, &keepalive, now_us);
	if (which & 2)
		tcp_set_user_timeout(conn, 5000, now_us);
}

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	const struct app *app = tcp_conn_app(conn);

	(void)user;
	must(!app->closed && app->shown_octets == 0);
	set_limits(conn, now_us);
	act_once(conn);
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	struct app *app = tcp_conn_app(conn);
	uint32_t used = f.consume < in.len ? f.consume : (uint32_t)in.len;
	uint32_t rest = (uint32_t)in.len - used;

	(void)user;
	(void)now_us;
	must(in.len > 0 && in.len >= app->shown_octets && !app->closed);
	must(memcmp(in.at, app->shown, app->shown_octets) == 0);
	if (app->shut) {
		app->shown_octets = 0;
		return in.len;
	}
	// What was held may come again as it likes.
	if (f.hold) {
		f.hold = false;
		return TCP_DATA_HELD;
	}
	if (rest > SHOWN)
		rest = SHOWN;
	memcpy(app->shown, in.at + used, rest);
	app->shown_octets = rest;
	act_once(conn);
	return used;
}

static void on_acked(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	act_once(conn);
}

static void on_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	struct app *app = tcp_conn_app(conn);

	(void)user;
	(void)now_us;
	(void)why;
	must(!app->closed);
	app->closed = true;
	// Nothing is left to act on.
	must(!tcp_send(conn, (struct slice){(const uint8_t *)"x", 1}, f.now_us));
	tcp_close(conn, f.now_us);
	tcp_abort(conn, f.now_us);
}

static void see_acknowledging(struct seen *seen, const struct segment *s)
{
	struct tcp_tuple tuple = tcp_tuple_of_output(s);
	const struct tcp_conn *conn = tcp_table_find(f.stack, &tuple);
	uint8_t scale = s->flags & SEGMENT_SYN ? 0 : conn->rcv_scale;
	uint32_t edge = s->ack + ((uint32_t)s->window << scale);

	if (seen->has_ack) {
		must(seq_le(seen->ack, s->ack));
		// Rounding to the scale is all that may be taken back.
		must(seq_lt(seen->edge, edge + (1U << scale)));
	}
	if (!seen->has_ack || seq_lt(seen->edge, edge))
		seen->edge = edge;
	seen->has_ack = true;
	seen->ack = s->ack;
}

static void see_octets(const struct seen *seen, const struct segment *s)
{
	uint32_t at = s->seq - seen->isn - 1;

	for (uint8_t i = 0; i < s->part_count; i++)
		for (size_t k = 0; k < s->parts[i].len; k++)
			must(s->parts[i].at[k] == octet_at(at++));
}

static void see_options(const struct segment *s)
{
	const struct segment_options *o = &s->options;
	uint32_t octets = (o->has_mss ? 4u : 0) + (o->has_scale ? 4u : 0) +
			  (o->has_timestamp ? 12u : 0) + (o->sack_permitted ? 4u : 0) +
			  (o->sack_count > 0 ? 4u + 8u * o->sack_count : 0);

	must(octets <= OPTION_OCTETS);
	for (uint8_t i = 0; i < o->sack_count; i++)
		must(seq_lt(o->sacks[i].left, o->sacks[i].right));
}

static void see_answer(const struct segment *s)
{
	must(!f.in_input || ++f.answers <= ANSWERS);
	must(!f.in_input || !f.rst_in || !(s->flags & SEGMENT_RST));
}

static void emit(void *user, const struct segment *s)
{
	struct seen *seen = &f.seen[s->dst_port % PEERS];

	(void)user;
	see_answer(s);
	see_options(s);
	if (s->flags & SEGMENT_RST)
		return;
	if (s->flags & SEGMENT_SYN) {
		seen->isn = s->seq;
		seen->has_isn = true;
		seen->has_ack = false;
	}
	if (s->options.has_timestamp)
		seen->tsval = s->options.tsval;
	must(seen->has_isn);
	see_octets(seen, s);
	if (s->flags & SEGMENT_ACK)
		see_acknowledging(seen, s);
}

static const struct tcp_app app_table = {.opened = on_opened,
	.data = on_data,
	.acked = on_acked,
	.peer_closed = on_acked,
	.deadline = on_acked,
	.closed = on_closed};
static const struct tcp_env env_table = {.emit = emit};

static void begin(const uint8_t *data, size_t size)
{
	size_t octets;

	memset(&f, 0, sizeof(f));
	f.at = data;
	f.left = size;
	f.now_us = 10000000;
	f.consume = UINT32_MAX;

	uint8_t bits = take();

	f.config = (struct tcp_stack_config){.app = &app_table,
		.env = &env_table,
		.conns = CONNS,
		.blocks = BLOCKS,
		.mss = 1460,
		.receive_window = bits & 1 ? 3000 : 0,
		.reset_late_data = (bits & 2) != 0,
		.app_octets = sizeof(struct app),
		.secret = {1, 2}};
	octets = (tcp_stack_octets(&f.config) + 63) / 64 * 64;
	f.memory = aligned_alloc(64, octets);
	must(f.memory != NULL);
	memset(f.memory, 0, octets);
	f.stack = tcp_stack_init(f.memory, &f.config, f.now_us);
	tcp_stack_set_cookies(f.stack, (bits & 4) != 0);
}

// The first two peers have v4 addresses, the others v6.
static struct ip_addr address(int peer, uint8_t host)
{
	if (peer < PEERS / 2)
		return ip_addr_from_v4(0x0a0caa00u + host);
	return (struct ip_addr){{0x20, 1, 0x0d, 0xb8, [15] = host}};
}

static struct segment addressed(int peer)
{
	return (struct segment){.src = address(peer, 30),
		.dst = address(peer, 5),
		.src_port = (uint16_t)(4000 + peer),
		.dst_port = 25};
}

static struct tcp_conn *conn_of(int peer)
{
	uint32_t cursor = 0;
	uint16_t port;
	struct tcp_conn *conn;

	while ((conn = tcp_conn_next(f.stack, &cursor)) != NULL) {
		tcp_conn_peer(conn, &port);
		if (port % PEERS == peer)
			return conn;
	}
	return NULL;
}

// Blocks of our octets: near those in flight, or anywhere.
static void run_sacks(
	struct segment_options *o, const struct tcp_conn *conn, const struct seen *seen)
{
	uint8_t bits = take();
	uint32_t base = conn != NULL ? conn->snd_una : seen->isn;

	o->sack_permitted = (bits & 1) != 0;
	o->sack_count = bits >> 1 & 3;
	for (uint8_t i = 0; i < o->sack_count; i++) {
		o->sacks[i].left = base + (bits & 8 ? take_word() : take() * 100U);
		o->sacks[i].right = o->sacks[i].left + (bits & 16 ? take_word() : take() * 100U);
	}
}

static void run_options(struct segment *s, const struct tcp_conn *conn, const struct seen *seen)
{
	uint8_t bits = take();
	struct segment_options *o = &s->options;

	if (bits & 1) {
		o->has_timestamp = true;
		o->tsval = (uint32_t)(f.now_us / 1000) - (bits & 2 ? 20 : 0);
		o->tsecr = bits & 4 ? seen->tsval : 0;
	}
	o->has_mss = (bits & 8) != 0;
	o->mss = (uint16_t)(bits * 8);
	o->has_scale = (bits & 16) != 0;
	o->scale = bits >> 4;
	s->ecn = bits >> 6;
	if (bits & 32)
		run_sacks(o, conn, seen);
}

static void input(const struct segment *s, bool listen)
{
	f.in_input = true;
	f.rst_in = (s->flags & SEGMENT_RST) != 0;
	f.answers = 0;
	tcp_input(f.stack, s, listen, f.now_us);
	f.in_input = false;
}

// Numbers are chosen near those that matter: what we acknowledged, our window's edge, what we have sent.
static void run_segment(int peer, bool burst)
{
	static uint8_t text[2][4096];
	struct seen *seen = &f.seen[peer];
	uint8_t shape = take();
	const struct tcp_conn *conn = conn_of(peer);
	struct segment s = addressed(peer);
	uint32_t base = shape & 1 ? seen->edge : seen->has_ack ? seen->ack : seen->seq;

	for (size_t i = 0; text[0][0] == 0 && i < sizeof(text[0]); i++) {
		text[0][i] = 'a';
		text[1][i] = 'b';
	}
	s.flags = take();
	s.window = (uint16_t)take_word();
	s.seq = base + (shape & 2 ? (uint32_t)(int8_t)take() : 0) + (shape & 4 ? take_word() : 0);
	s.ack = conn != NULL ? conn->snd_max : seen->isn + 1;
	if (shape & 8)
		s.ack -= take_word();
	if (shape & 16)
		s.payload_octets = take_word() % 3000;
	else if (shape & 32)
		s.payload_octets = take() % 8;
	if (s.payload_octets > 0) {
		s.part_count = 1;
		s.parts[0] = (struct slice){text[shape >> 7], s.payload_octets};
	}
	run_options(&s, conn, seen);
	if (s.flags & SEGMENT_SYN)
		seen->seq = s.seq;
	input(&s, (shape & 64) == 0);
	if (!burst)
		tcp_flush(f.stack, f.now_us);
}

static void run_time(uint64_t by_us)
{
	f.now_us += by_us;
	tcp_timers(f.stack, f.now_us, 100);
	tcp_flush(f.stack, f.now_us);
}

static void run_connect(int peer)
{
	struct segment from = addressed(peer);
	struct segment tuple = {.src = from.dst,
		.dst = from.src,
		.src_port = from.dst_port,
		.dst_port = from.src_port};

	tcp_connect(f.stack, &tuple, f.now_us);
}

// What was shown but found no block to wait in is gone, not acknowledged, and may come again as it likes.
static void forget_dropped(void)
{
	uint32_t cursor = 0;
	struct tcp_conn *conn;

	while ((conn = tcp_conn_next(f.stack, &cursor)) != NULL) {
		struct app *app = tcp_conn_app(conn);

		if (app->shown_octets > conn->rcv_unread)
			app->shown_octets = conn->rcv_unread;
	}
}

static void run_step(void)
{
	uint8_t verb = take();
	int peer = verb >> 3 & 3;
	struct tcp_conn *conn = conn_of(peer);

	switch (verb & 7) {
	case 0:
		run_time(take_word() * 100ULL);
		break;
	case 1:
		run_time(take() * 1000000ULL);
		break;
	case 2:
		f.action = take();
		f.consume = verb & 32 ? take() : UINT32_MAX;
		f.hold = (verb & 64) != 0;
		break;
	case 3:
		if (conn != NULL)
			app_act(conn, take());
		break;
	case 4:
		if (conn != NULL)
			tcp_resume(conn, f.now_us);
		if (verb & 64)
			run_connect(peer);
		tcp_flush(f.stack, f.now_us);
		break;
	default:
		run_segment(peer, (verb & 128) != 0);
		break;
	}
	forget_dropped();
	tcp_check(f.stack);
}

static void end(void)
{
	uint32_t cursor = 0;
	struct tcp_conn *conn;

	f.action = 0;
	f.hold = false;
	while ((conn = tcp_conn_next(f.stack, &cursor)) != NULL)
		tcp_abort(conn, f.now_us);
	// Six SYN-ACKs, or TIME-WAIT.
	for (int i = 0; i < 8 && tcp_conn_count(f.stack) > 0; i++)
		run_time(61000000);
	tcp_check(f.stack);
	must(tcp_conn_count(f.stack) == 0);
	must(tcp_stack_blocks(f.stack)->free_count == BLOCKS);
	must(tcp_stack_counters(f.stack)->opened == tcp_stack_counters(f.stack)->closed);
	free(f.memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin(data, size);
	for (int steps = 0; f.left > 0 && steps < STEPS; steps++)
		run_step();
	end();
	return 0;
}
