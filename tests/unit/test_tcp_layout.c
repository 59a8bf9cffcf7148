// Which lines of a connection a segment touches. The page behind the first two lines is taken away while one is taken in and answered:
// who reaches for more falls over.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/tcp_check.h"
#include "tcp/tcp.h"

// Slots so large that what lies behind the first two lines of one has the page that follows to itself.
enum { CONNS = 4, BLOCKS = 32, APP_OCTETS = 16384, HOT_OCTETS = 128 };

static struct {
	uint8_t *map;
	size_t map_octets, page;
	struct tcp_stack *stack;
	struct tcp_conn *conn;
	uint32_t shown, acked, sent, ours; // ours: the number behind our SYN
	struct segment last;
	uint64_t now_us;
} b;

static sigjmp_buf fell;

static void on_fault(int signal)
{
	(void)signal;
	siglongjmp(fell, 1);
}

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	b.conn = conn;
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	(void)user;
	(void)conn;
	(void)now_us;
	b.shown += (uint32_t)in.len;
	return in.len;
}

static void on_acked(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)conn;
	(void)now_us;
	b.acked++;
}

static void on_peer_closed(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	tcp_close(conn, now_us);
}

static void on_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	(void)user;
	(void)conn;
	(void)why;
	(void)now_us;
}

static void emit(void *user, const struct segment *s)
{
	(void)user;
	b.sent++;
	b.last = *s;
}

static const struct tcp_app app = {
	NULL, on_opened, on_data, on_acked, on_peer_closed, NULL, on_closed};
static const struct tcp_env env = {emit};

// The first slot begins HOT_OCTETS before the end of a page.
static int setup(void **state)
{
	const struct tcp_stack_config config = {.app = &app,
		.env = &env,
		.conns = CONNS,
		.blocks = BLOCKS,
		.mss = 1460,
		.app_octets = APP_OCTETS,
		.secret = {3, 4}};
	struct segment probe = {0};
	size_t octets = tcp_stack_octets(&config);
	uintptr_t slot, shift;

	(void)state;
	memset(&b, 0, sizeof(b));
	b.now_us = 1000000;
	b.page = (size_t)sysconf(_SC_PAGESIZE);
	b.map_octets = (octets / b.page + 3) * b.page;
	b.map = mmap(
		NULL, b.map_octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(b.map != MAP_FAILED);
	// Where the first slot is, is seen when it is taken.
	b.stack = tcp_stack_init(b.map, &config, b.now_us);
	probe.src = ip_addr_from_v4(0x0a0caa05);
	probe.dst = ip_addr_from_v4(0x0a0caa1e);
	slot = (uintptr_t)tcp_connect(b.stack, &probe, b.now_us);
	shift = (b.page - HOT_OCTETS + b.page - slot % b.page) % b.page;
	memset(b.map, 0, b.map_octets);
	b.stack = tcp_stack_init(b.map + shift, &config, b.now_us);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tcp_check(b.stack);
	munmap(b.map, b.map_octets);
	return 0;
}

static struct segment from_peer(uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct segment s = {.src = ip_addr_from_v4(0x0a0caa1e),
		.dst = ip_addr_from_v4(0x0a0caa05),
		.src_port = 1000,
		.dst_port = 25,
		.flags = flags,
		.seq = seq,
		.ack = ack,
		.window = 65535};

	s.options.has_timestamp = true;
	s.options.tsval = (uint32_t)(b.now_us / 1000);
	return s;
}

static void input(struct segment s, struct slice text)
{
	s.payload_octets = (uint32_t)text.len;
	s.part_count = text.len > 0;
	s.parts[0] = text;
	s.options.tsecr = b.last.options.tsval;
	assert_int_equal(tcp_input(b.stack, &s, true, b.now_us), DROP_NONE);
	tcp_flush(b.stack, b.now_us);
}

static void open_session(void)
{
	struct segment syn = from_peer(SEGMENT_SYN, 100, 0);

	syn.options.has_scale = syn.options.sack_permitted = true;
	syn.options.scale = 7;
	input(syn, (struct slice){0});
	b.ours = b.last.seq + 1;
	input(from_peer(SEGMENT_ACK, 101, b.ours), (struct slice){0});
	assert_non_null(b.conn);
	assert_int_equal(((uintptr_t)b.conn + HOT_OCTETS) % b.page, 0);
}

// Whether s is taken in and answered with all but the first two lines out of reach.
static bool is_hot(struct segment s, struct slice text)
{
	uint8_t *behind = (uint8_t *)b.conn + HOT_OCTETS;
	struct sigaction act = {.sa_handler = on_fault}, before[2];
	volatile bool hot = false;

	sigaction(SIGSEGV, &act, &before[0]);
	sigaction(SIGBUS, &act, &before[1]);
	mprotect(behind, b.page, PROT_NONE);
	if (sigsetjmp(fell, 1) == 0) {
		input(s, text);
		hot = true;
	}
	mprotect(behind, b.page, PROT_READ | PROT_WRITE);
	sigaction(SIGSEGV, &before[0], NULL);
	sigaction(SIGBUS, &before[1], NULL);
	return hot;
}

static void test_tcp_segment_in_order_touches_two_lines(void **state)
{
	static const uint8_t body[1448];
	uint32_t seq = 101;

	(void)state;
	open_session();
	// The first octets hang the timer for the delayed ACK; until it has fired nothing moves there.
	input(from_peer(SEGMENT_ACK, seq, b.ours), (struct slice){body, 100});
	seq += 100;
	b.sent = 0;
	for (int i = 0; i < 100; i++, seq += sizeof(body))
		assert_true(is_hot(
			from_peer(SEGMENT_ACK, seq, b.ours), (struct slice){body, sizeof(body)}));
	assert_int_equal(b.shown, 100 + 100 * sizeof(body));
	// At least every second segment was acknowledged meanwhile.
	assert_true(b.sent >= 50);
	assert_int_equal(b.last.flags, SEGMENT_ACK);
}

static void test_tcp_ack_without_news_touches_two_lines(void **state)
{
	struct segment ack;

	(void)state;
	open_session();
	assert_true(is_hot(from_peer(SEGMENT_ACK, 101, b.ours), (struct slice){0}));
	// The window moves, within what was offered before.
	ack = from_peer(SEGMENT_ACK, 101, b.ours);
	ack.window = 1000;
	assert_true(is_hot(ack, (struct slice){0}));
}

// That the test can fail: an ACK for what we sent needs what we know of the sending.
static void test_tcp_ack_of_a_reply_touches_the_third(void **state)
{
	(void)state;
	open_session();
	assert_true(tcp_send(b.conn, (struct slice){(const uint8_t *)"220\r\n", 5}, b.now_us));
	tcp_flush(b.stack, b.now_us);
	assert_false(is_hot(from_peer(SEGMENT_ACK, 101, b.ours + 5), (struct slice){0}));
	assert_int_equal(b.acked, 0);
	// What was begun is abandoned with the stack; teardown looks at another.
	munmap(b.map, b.map_octets);
	setup(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_tcp_segment_in_order_touches_two_lines),
		T(test_tcp_ack_without_news_touches_two_lines),
		T(test_tcp_ack_of_a_reply_touches_the_third),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
