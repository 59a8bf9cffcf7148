// tcp.h as its user sees it: handles, memory, limits, and callbacks that end what they are called for. What goes over
// the wire and when is told by tests/dialog.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "sim/tcp_check.h"
#include "tcp/tcp.h"

enum { CONNS = 16, BLOCKS = 32, SENT = 64 };

enum callback { NEVER, OPENED, DATA, ACKED, PEER_CLOSED, DEADLINE };

static struct {
	struct tcp_stack *stack;
	struct segment sent[SENT];
	uint32_t sent_count;
	struct tcp_conn *conn;
	uint32_t opened, closed, shown, free_in_data;
	enum tcp_close_reason why;
	enum callback end_in;
	bool abort_there;
	size_t consume;
	uint64_t now_us;
} b;

static void end_if(enum callback here, struct tcp_conn *conn)
{
	if (b.end_in != here)
		return;
	if (b.abort_there)
		tcp_abort(conn, b.now_us);
	else
		tcp_close(conn, b.now_us);
}

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	b.conn = conn;
	b.opened++;
	assert_int_equal(*(uint64_t *)tcp_conn_app(conn), 0);
	*(uint64_t *)tcp_conn_app(conn) = 7;
	end_if(OPENED, conn);
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	b.shown = (uint32_t)in.len;
	end_if(DATA, conn);
	// What it looks at is still there, whatever it did to the connection.
	b.free_in_data = tcp_stack_blocks(b.stack)->free_count;
	return in.len < b.consume ? in.len : b.consume;
}

static void on_acked(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	end_if(ACKED, conn);
}

static void on_peer_closed(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	end_if(PEER_CLOSED, conn);
}

static void on_deadline(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	end_if(DEADLINE, conn);
}

static void on_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	(void)user;
	b.closed++;
	b.why = why;
	b.conn = NULL;
	// All of these come too late, and do nothing.
	tcp_abort(conn, now_us);
	tcp_close(conn, now_us);
	tcp_set_deadline(conn, now_us);
	assert_int_equal(tcp_send_space(conn), 0);
	assert_false(tcp_send(conn, (struct slice){(const uint8_t *)"x", 1}, now_us));
}

static void emit(void *user, const struct segment *s)
{
	(void)user;
	b.sent[b.sent_count++ % SENT] = *s;
}

static const struct tcp_app app = {
	NULL, on_opened, on_data, on_acked, on_peer_closed, on_deadline, on_closed};
static const struct tcp_env env = {emit};

static void init(const struct tcp_stack_config *config)
{
	size_t octets = (tcp_stack_octets(config) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, octets);

	memset(&b, 0, sizeof(b));
	memset(memory, 0, octets);
	b.consume = SIZE_MAX;
	b.now_us = 1000000;
	b.stack = tcp_stack_init(memory, config, b.now_us);
}

static struct tcp_stack_config default_config(void)
{
	return (struct tcp_stack_config){.app = &app,
		.env = &env,
		.conns = CONNS,
		.blocks = BLOCKS,
		.mss = 1460,
		.app_octets = 8,
		.secret = {3, 4}};
}

static int setup(void **state)
{
	struct tcp_stack_config config = default_config();

	(void)state;
	init(&config);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tcp_check(b.stack);
	free(b.stack);
	return 0;
}

static const struct segment *last(void)
{
	return &b.sent[(b.sent_count - 1) % SENT];
}

static struct segment from(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack)
{
	return (struct segment){.src = ip_addr_from_v4(0x0a0caa1e),
		.dst = ip_addr_from_v4(0x0a0caa05),
		.src_port = port,
		.dst_port = 25,
		.flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 65535};
}

static enum drop input(struct segment s, const char *text)
{
	if (text != NULL) {
		s.payload_octets = (uint32_t)strlen(text);
		s.part_count = 1;
		s.parts[0] = (struct slice){(const uint8_t *)text, s.payload_octets};
	}

	enum drop drop = tcp_input(b.stack, &s, true, b.now_us);

	tcp_flush(b.stack, b.now_us);
	return drop;
}

// Our initial number of the connection that was opened.
static uint32_t open_from(uint16_t port)
{
	assert_int_equal(input(from(port, SEGMENT_SYN, 100, 0), NULL), DROP_NONE);
	uint32_t isn = last()->seq;

	assert_int_equal(input(from(port, SEGMENT_ACK, 101, isn + 1), NULL), DROP_NONE);
	return isn;
}

static void run_until(uint64_t end_us)
{
	while (b.now_us < end_us) {
		uint64_t next_us = tcp_next_timer_us(b.stack, b.now_us, end_us - b.now_us);

		b.now_us = next_us > b.now_us ? next_us : b.now_us + 1;
		tcp_timers(b.stack, b.now_us, 100);
		tcp_flush(b.stack, b.now_us);
	}
}

static uint32_t blocks_free(void)
{
	return tcp_stack_blocks(b.stack)->free_count;
}

static void test_tcp_handle_names_one_connection_for_ever(void **state)
{
	(void)state;
	open_from(1000);
	uint32_t index = tcp_conn_index(b.conn), generation = tcp_conn_generation(b.conn);

	assert_ptr_equal(tcp_conn_find(b.stack, index, generation), b.conn);
	tcp_abort(b.conn, b.now_us);
	assert_null(tcp_conn_find(b.stack, index, generation));
	open_from(1001);
	assert_int_equal(tcp_conn_index(b.conn), index);
	assert_null(tcp_conn_find(b.stack, index, generation));
	assert_null(tcp_conn_find(b.stack, CONNS + 5, 1));
}

static void test_tcp_conn_next_walks_opened_ones_only(void **state)
{
	uint32_t cursor = 0, seen = 0;
	struct tcp_conn *conn;

	(void)state;
	open_from(1000);
	input(from(1001, SEGMENT_SYN, 100, 0), NULL);
	open_from(1002);
	while ((conn = tcp_conn_next(b.stack, &cursor)) != NULL) {
		uint16_t port;

		tcp_conn_peer(conn, &port);
		assert_true(port == 1000 || port == 1002);
		seen++;
	}
	assert_int_equal(seen, 2);
	assert_int_equal(tcp_conn_count(b.stack), 3);
}

static void test_tcp_send_is_all_or_nothing(void **state)
{
	static uint8_t octets[70000];

	(void)state;
	open_from(1000);
	assert_int_equal(tcp_send_space(b.conn), TCP_SEND_BUFFER);
	assert_false(tcp_send(b.conn, (struct slice){octets, 65537}, b.now_us));
	// 32 blocks of 1012 octets are there, so it is the pool that says no.
	assert_false(tcp_send(b.conn, (struct slice){octets, 32385}, b.now_us));
	assert_int_equal(blocks_free(), BLOCKS);
	assert_int_equal(tcp_stack_counters(b.stack)->no_buffer, 1);
	assert_true(tcp_send(b.conn, (struct slice){octets, 32384}, b.now_us));
	assert_int_equal(blocks_free(), 0);
	assert_int_equal(tcp_send_space(b.conn), TCP_SEND_BUFFER - 32384);
	tcp_abort(b.conn, b.now_us);
	assert_int_equal(blocks_free(), BLOCKS);
}

static void test_tcp_replies_of_a_burst_leave_in_one_segment_with_fin(void **state)
{
	(void)state;
	open_from(1000);
	uint32_t before = b.sent_count;

	tcp_send(b.conn, (struct slice){(const uint8_t *)"250 a\r\n", 7}, b.now_us);
	tcp_send(b.conn, (struct slice){(const uint8_t *)"250 b\r\n", 7}, b.now_us);
	tcp_send(b.conn, (struct slice){(const uint8_t *)"221 c\r\n", 7}, b.now_us);
	tcp_close(b.conn, b.now_us);
	tcp_flush(b.stack, b.now_us);
	assert_int_equal(b.sent_count, before + 1);
	assert_int_equal(last()->payload_octets, 21);
	assert_int_equal(last()->flags, SEGMENT_PSH | SEGMENT_ACK | SEGMENT_FIN);
}

static void test_tcp_idle_connection_holds_no_block(void **state)
{
	(void)state;
	uint32_t isn = open_from(1000);

	input(from(1000, SEGMENT_ACK, 101, isn + 1), "EHLO x\r\n");
	tcp_send(b.conn, (struct slice){(const uint8_t *)"250 x\r\n", 7}, b.now_us);
	tcp_flush(b.stack, b.now_us);
	assert_int_equal(blocks_free(), BLOCKS - 1);
	input(from(1000, SEGMENT_ACK, 109, isn + 8), NULL);
	assert_int_equal(blocks_free(), BLOCKS);
}

// What each callback can be provoked by, in one connection.
static void live_through_everything(void)
{
	uint32_t isn = open_from(1000);

	if (b.conn == NULL)
		return;
	tcp_set_deadline(b.conn, b.now_us + 1000);
	tcp_send(b.conn, (struct slice){(const uint8_t *)"220\r\n", 5}, b.now_us);
	tcp_flush(b.stack, b.now_us);
	input(from(1000, SEGMENT_ACK, 101, isn + 6), "HELO");
	run_until(b.now_us + 2000);
	input(from(1000, SEGMENT_ACK | SEGMENT_FIN, 105, isn + 6), NULL);
}

static void test_tcp_abort_in_any_callback_ends_it_once(void **state)
{
	(void)state;
	for (enum callback where = OPENED; where <= DEADLINE; where++) {
		setup(NULL);
		b.end_in = where;
		b.abort_there = true;
		live_through_everything();
		assert_int_equal(b.closed, 1);
		assert_int_equal(b.why, TCP_CLOSED_ABORTED);
		assert_int_equal(tcp_conn_count(b.stack), 0);
		assert_int_equal(blocks_free(), BLOCKS);
		if (where < DEADLINE)
			teardown(NULL);
	}
}

static void test_tcp_close_in_any_callback_ends_it_once(void **state)
{
	(void)state;
	for (enum callback where = OPENED; where <= DEADLINE; where++) {
		setup(NULL);
		b.end_in = where;
		live_through_everything();
		assert_int_equal(b.closed, 0);
		run_until(b.now_us + 400000000);
		assert_int_equal(b.closed, 1);
		assert_int_equal(tcp_conn_count(b.stack), 0);
		if (where < DEADLINE)
			teardown(NULL);
	}
}

static void test_tcp_abort_in_data_keeps_the_octets_until_it_returns(void **state)
{
	(void)state;
	uint32_t isn = open_from(1000);

	b.consume = 0;
	input(from(1000, SEGMENT_ACK, 101, isn + 1), "HELO");
	b.end_in = DATA;
	b.abort_there = true;
	tcp_resume(b.conn, b.now_us);
	assert_int_equal(b.free_in_data, BLOCKS - 1);
	assert_int_equal(blocks_free(), BLOCKS);
}

static void test_tcp_out_of_order_leaves_a_quarter_of_the_pool(void **state)
{
	char text[1001];
	uint32_t isn = open_from(1000);

	(void)state;
	memset(text, 'x', 1000);
	text[1000] = '\0';
	// One block lists the ranges.
	for (uint32_t i = 0; i < 23; i++)
		assert_int_equal(
			input(from(1000, SEGMENT_ACK, 111 + i * 1000, isn + 1), text), DROP_NONE);
	assert_int_equal(input(from(1000, SEGMENT_ACK, 23111, isn + 1), text), DROP_CONN_NO_BUFFER);
	assert_int_equal(blocks_free(), BLOCKS / 4);
	// In order it still goes on.
	input(from(1000, SEGMENT_ACK, 101, isn + 1), "0123456789");
	assert_int_equal(blocks_free(), BLOCKS);
}

static void test_tcp_holes_are_bounded_and_crumbs_share_blocks(void **state)
{
	struct tcp_stack_config config = default_config();
	enum { MANY = 200 };

	(void)state;
	teardown(NULL);
	config.blocks = MANY;
	init(&config);

	uint32_t isn = open_from(1000), ranges = LIMIT_TCP_CRUMBS;

	// SegmentSmack: every second octet.
	for (uint32_t i = 0; i < ranges; i++)
		assert_int_equal(
			input(from(1000, SEGMENT_ACK, 103 + 2 * i, isn + 1), "x"), DROP_NONE);
	assert_int_equal(input(from(1000, SEGMENT_ACK, 103 + 2 * ranges, isn + 1), "x"),
		DROP_CONN_NO_BUFFER);
	for (uint32_t i = 0; i < ranges - 1; i++)
		input(from(1000, SEGMENT_ACK, 104 + 2 * i, isn + 1), "y");
	// One run now, in one block, and a block that lists it.
	assert_int_equal(blocks_free(), MANY - 2);
	b.consume = 0;
	input(from(1000, SEGMENT_ACK, 101, isn + 1), "ab");
	assert_int_equal(b.shown, 2 + 2 * ranges - 1);
}

static void test_tcp_data_shows_everything_queued_up_to_the_view(void **state)
{
	char text[1001];
	uint32_t isn = open_from(1000);

	(void)state;
	memset(text, 'x', 1000);
	text[1000] = '\0';
	b.consume = 0;
	for (uint32_t i = 0; i < 18; i++)
		input(from(1000, SEGMENT_ACK, 101 + i * 1000, isn + 1), text);
	assert_int_equal(b.shown, TCP_DATA_VIEW);
	b.consume = 10000;
	tcp_resume(b.conn, b.now_us);
	tcp_resume(b.conn, b.now_us);
	assert_int_equal(b.shown, 8000);
	assert_int_equal(blocks_free(), BLOCKS);
}

static void test_tcp_connect_takes_a_tuple_once(void **state)
{
	(void)state;
	struct segment in = from(1000, 0, 0, 0), tuple = in;

	tuple.src = in.dst;
	tuple.dst = in.src;
	tuple.src_port = in.dst_port;
	tuple.dst_port = in.src_port;
	struct tcp_conn *conn = tcp_connect(b.stack, &tuple, b.now_us);

	assert_non_null(conn);
	assert_null(tcp_connect(b.stack, &tuple, b.now_us));
	tcp_close(conn, b.now_us);
	assert_int_equal(b.why, TCP_CLOSED_ABORTED);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.sent_count, 0);
	for (uint16_t i = 0; i < CONNS; i++) {
		tuple.dst_port = i;
		assert_int_equal(tcp_connect(b.stack, &tuple, b.now_us) != NULL, i < CONNS - 1);
	}
	assert_int_equal(tcp_conn_count(b.stack), CONNS - 1);
	// The slot that died a moment ago comes back at the next entry from outside.
	tcp_flush(b.stack, b.now_us);
	assert_non_null(tcp_connect(b.stack, &tuple, b.now_us));
}

static void test_tcp_connect_rfc9293_3_9_1_1_to_no_single_host_is_refused(void **state)
{
	static const struct ip_addr all_nodes = {{0xff, 2, [15] = 1}}, unspecified;
	struct segment tuple = {.src = from(1000, 0, 0, 0).dst, .src_port = 25, .dst_port = 25};
	const struct ip_addr nobody[] = {ip_addr_from_v4(0xffffffff), ip_addr_from_v4(0xe0000001),
		ip_addr_from_v4(0), all_nodes, unspecified};

	(void)state;
	for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
		tuple.dst = nobody[i];
		assert_null(tcp_connect(b.stack, &tuple, b.now_us));
	}
}

static void test_tcp_isn_is_keyed_and_grows_by_the_clock(void **state)
{
	(void)state;
	uint32_t isn[3];

	for (int i = 0; i < 3; i++) {
		input(from((uint16_t)(i == 2), SEGMENT_SYN, 100, 0), NULL);
		isn[i] = last()->seq;
		input(from((uint16_t)(i == 2), SEGMENT_RST, 101, 0), NULL);
		b.now_us += 400;
	}
	assert_int_equal(isn[1] - isn[0], 100);
	assert_true(isn[2] - isn[1] > 1000);
}

static void test_tcp_v6_segment_is_20_octets_smaller(void **state)
{
	(void)state;
	struct segment s = from(1, SEGMENT_SYN, 5, 0);

	assert_true(ip_addr_parse("2001:db8:12::5", &s.dst));
	assert_true(ip_addr_parse("2001:db8:12::1e", &s.src));
	input(s, NULL);
	assert_int_equal(last()->options.mss, 1440);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_tcp_handle_names_one_connection_for_ever),
		T(test_tcp_conn_next_walks_opened_ones_only),
		T(test_tcp_send_is_all_or_nothing),
		T(test_tcp_replies_of_a_burst_leave_in_one_segment_with_fin),
		T(test_tcp_idle_connection_holds_no_block),
		cmocka_unit_test_teardown(test_tcp_abort_in_any_callback_ends_it_once, teardown),
		cmocka_unit_test_teardown(test_tcp_close_in_any_callback_ends_it_once, teardown),
		T(test_tcp_abort_in_data_keeps_the_octets_until_it_returns),
		T(test_tcp_out_of_order_leaves_a_quarter_of_the_pool),
		T(test_tcp_holes_are_bounded_and_crumbs_share_blocks),
		T(test_tcp_data_shows_everything_queued_up_to_the_view),
		T(test_tcp_connect_takes_a_tuple_once),
		T(test_tcp_connect_rfc9293_3_9_1_1_to_no_single_host_is_refused),
		T(test_tcp_isn_is_keyed_and_grows_by_the_clock),
		T(test_tcp_v6_segment_is_20_octets_smaller),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
