// Who gets a slot when slots are short: handshakes, cookies, TIME-WAIT, and those that run.

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

enum { CONNS = 16, BLOCKS = 32 };

static struct {
	struct tcp_stack *stack;
	struct segment sent;
	uint32_t sent_count;
	struct tcp_conn *conn;
	uint32_t opened, closed;
	bool refuse;
	uint64_t now_us;
} b;

static enum tcp_welcome on_accept(void *user, const struct segment *s, uint64_t now_us)
{
	(void)user;
	(void)s;
	(void)now_us;
	return b.refuse ? TCP_REFUSE : TCP_WELCOME;
}

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	b.conn = conn;
	b.opened++;
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	(void)user;
	(void)conn;
	(void)now_us;
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
	b.closed++;
}

static void emit(void *user, const struct segment *s)
{
	(void)user;
	b.sent = *s;
	b.sent_count++;
}

static const struct tcp_app app = {
	on_accept, on_opened, on_data, on_event, on_event, on_event, on_closed};
static const struct tcp_env env = {emit};

static int setup(void **state)
{
	struct tcp_stack_config config = {.app = &app,
		.env = &env,
		.conns = CONNS,
		.blocks = BLOCKS,
		.mss = 1460,
		.secret = {3, 4}};
	size_t octets = (tcp_stack_octets(&config) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, octets);

	(void)state;
	memset(&b, 0, sizeof(b));
	memset(memory, 0, octets);
	b.now_us = 1000000;
	b.stack = tcp_stack_init(memory, &config, b.now_us);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tcp_check(b.stack);
	free(b.stack);
	return 0;
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

static enum drop input(struct segment s)
{
	enum drop drop = tcp_input(b.stack, &s, true, b.now_us);

	tcp_flush(b.stack, b.now_us);
	return drop;
}

// Our initial number of the connection that was opened.
static uint32_t open_from(uint16_t port)
{
	assert_int_equal(input(from(port, SEGMENT_SYN, 100, 0)), DROP_NONE);
	uint32_t isn = b.sent.seq;

	assert_int_equal(input(from(port, SEGMENT_ACK, 101, isn + 1)), DROP_NONE);
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

static void test_tcp_embryonic_share_full_newer_ones_get_cookies(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < CONNS / 4; i++)
		assert_int_equal(input(from(i, SEGMENT_SYN, 1, 0)), DROP_NONE);
	open_from(99);
	assert_int_equal(tcp_conn_count(b.stack), CONNS / 4 + 1);
	assert_int_equal(b.opened, 1);
	assert_int_equal(tcp_stack_counters(b.stack)->cookies_taken, 1);
	// Those that waited wait still.
	assert_int_equal(input(from(0, SEGMENT_ACK, 2, 7)), DROP_TCP_ACK);
	// A minute later they are gone, and nobody was told.
	run_until(b.now_us + 70000000);
	assert_int_equal(tcp_conn_count(b.stack), 1);
	assert_int_equal(b.opened, 1);
	input(from(98, SEGMENT_SYN, 1, 0));
	assert_int_equal(tcp_conn_count(b.stack), 2);
	assert_int_equal(tcp_stack_counters(b.stack)->cookies_sent, 1);
}

// A cookie cannot be sure to lie beyond the numbers of the connection before.
static void test_tcp_embryonic_share_full_the_oldest_gives_way_to_time_wait(void **state)
{
	(void)state;
	uint32_t isn = open_from(50);

	tcp_close(b.conn, b.now_us);
	tcp_flush(b.stack, b.now_us);
	input(from(50, SEGMENT_ACK | SEGMENT_FIN, 101, isn + 2));
	for (uint16_t i = 0; i < CONNS / 4; i++)
		input(from(i, SEGMENT_SYN, 1, 0));
	assert_int_equal(input(from(50, SEGMENT_SYN, 200, 0)), DROP_NONE);
	assert_true((int32_t)(b.sent.seq - isn) > 1);
	assert_int_equal(tcp_conn_count(b.stack), CONNS / 4);
	assert_int_equal(tcp_stack_counters(b.stack)->pushed_out, 1);
	assert_int_equal(input(from(0, SEGMENT_ACK, 2, 7)), DROP_TCP_NO_CONN);
	assert_int_equal(input(from(1, SEGMENT_ACK, 2, 7)), DROP_TCP_ACK);
}

// A stack without pressure has no cookie out, and so takes none, not even one of its own key.
static void test_tcp_cookie_that_was_not_sent_is_not_taken(void **state)
{
	(void)state;
	tcp_stack_set_cookies(b.stack, true);
	assert_int_equal(input(from(1000, SEGMENT_SYN, 100, 0)), DROP_NONE);
	uint32_t isn = b.sent.seq;

	teardown(NULL);
	setup(NULL);
	assert_int_equal(input(from(1000, SEGMENT_ACK, 101, isn + 1)), DROP_TCP_NO_CONN);
	tcp_stack_set_cookies(b.stack, true);
	input(from(1001, SEGMENT_SYN, 100, 0));
	assert_int_equal(input(from(1000, SEGMENT_ACK, 101, isn + 1)), DROP_NONE);
	assert_int_equal(b.opened, 1);
}

static void test_tcp_cookie_is_judged_again_when_it_comes_back(void **state)
{
	(void)state;
	tcp_stack_set_cookies(b.stack, true);
	input(from(1000, SEGMENT_SYN, 100, 0));
	uint32_t isn = b.sent.seq;

	b.refuse = true;
	assert_int_equal(input(from(1000, SEGMENT_ACK, 101, isn + 1)), DROP_CONN_REFUSED);
	assert_int_equal(b.sent.flags, SEGMENT_RST);
	assert_int_equal(b.sent.seq, isn + 1);
	assert_int_equal(tcp_conn_count(b.stack), 0);
}

static void test_tcp_full_table_keeps_what_runs(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < CONNS; i++)
		open_from(i);
	assert_int_equal(input(from(99, SEGMENT_SYN, 1, 0)), DROP_CONN_TABLE_FULL);
	assert_int_equal(tcp_conn_count(b.stack), CONNS);
}

static void test_tcp_time_wait_gives_its_slot_to_a_new_connection(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < CONNS; i++) {
		uint32_t isn = open_from(i);

		tcp_close(b.conn, b.now_us);
		tcp_flush(b.stack, b.now_us);
		input(from(i, SEGMENT_ACK | SEGMENT_FIN, 101, isn + 2));
	}
	assert_int_equal(b.closed, CONNS);
	assert_int_equal(tcp_conn_count(b.stack), CONNS);
	open_from(99);
	assert_int_equal(tcp_conn_count(b.stack), CONNS);
	assert_int_equal(b.closed, CONNS);
	// The oldest gave way: a stray of it belongs to nobody now, one of the next is still known.
	assert_int_equal(input(from(0, SEGMENT_ACK, 102, 1)), DROP_TCP_NO_CONN);
	assert_int_equal(input(from(1, SEGMENT_ACK, 102, 1)), DROP_NONE);
}

static void test_tcp_refused_syn_costs_no_slot(void **state)
{
	(void)state;
	b.refuse = true;
	assert_int_equal(input(from(1, SEGMENT_SYN, 5, 0)), DROP_CONN_REFUSED);
	assert_int_equal(b.sent.flags, SEGMENT_RST | SEGMENT_ACK);
	assert_int_equal(b.sent.ack, 6);
	assert_int_equal(tcp_conn_count(b.stack), 0);
}

static void test_tcp_source_that_is_destination_is_dropped(void **state)
{
	(void)state;
	struct segment s = from(25, SEGMENT_SYN, 5, 0);

	s.src = s.dst;
	assert_int_equal(input(s), DROP_TCP_BAD);
	assert_int_equal(b.sent_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_tcp_embryonic_share_full_newer_ones_get_cookies),
		T(test_tcp_embryonic_share_full_the_oldest_gives_way_to_time_wait),
		T(test_tcp_cookie_that_was_not_sent_is_not_taken),
		T(test_tcp_cookie_is_judged_again_when_it_comes_back),
		T(test_tcp_full_table_keeps_what_runs),
		T(test_tcp_time_wait_gives_its_slot_to_a_new_connection),
		T(test_tcp_refused_syn_costs_no_slot),
		T(test_tcp_source_that_is_destination_is_dropped),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
