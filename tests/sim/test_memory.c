// What a session costs, counted to the last octet, and what happens when there is nothing left.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "turn_rig.h"

static struct turn_rig *rig;

static const char yaml[] =
	"dataplane: {workers: [0], memory: 512MiB, huge_pages: no}\n"
	"ports: [{device: net_ring_rig, addresses: [10.12.170.5/24]}]\n"
	"own_networks: [10.12.0.0/16]\n"
	"routes: [{domains: [\"*\"], to: [\"127.0.0.1:25\"]}]\n"
	"virtual_servers:\n"
	"  - {name: default, listen: [10.12.170.5], fqdn: mail.neulan.net, local_domains: "
	"[neulan.net],\n"
	"     max_connections_per_client: 4000, max_connections: 4000}\n";

static const char to_data[] = "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@neulan.net>\r\nDATA\r\n";

static struct turn_client *greeted(const char *ehlo)
{
	struct turn_client *c = turn_rig_connect(rig, "10.12.170.20", "10.12.170.5");

	assert_non_null(strstr(c->text, "220 "));
	(void)turn_rig_say(c, ehlo, "250 ");
	return c;
}

// ---- Idle sessions

static size_t allocated_octets(void)
{
	struct rte_malloc_socket_stats stats;

	assert_int_equal(rte_malloc_get_socket_stats(0, &stats), 0);
	return stats.heap_allocsz_bytes;
}

// Octets of EAL's memory that a worker takes, whatever it takes them for: the stack with its table, slots and rings, the counts of
// clients, the ways to the spooler and back, log, neighbours.
static size_t worker_octets(uint32_t conns)
{
	static struct edge_worker shared[4];
	static unsigned index;
	struct worker_common common = *rig->w->common;
	size_t before = allocated_octets();

	common.conns = conns;
	index++;
	assert_non_null(worker_make(&common, index, &shared[index]));
	return allocated_octets() - before;
}

// All that grows with the number of sessions, at the sizes where tables of powers of two are worst and best.
static void test_an_idle_session_costs_at_most_512_octets(void **state)
{
	enum { FEW = LIMIT_SPOOL_OPEN, WORST = 65536 + 1, BEST = 131072 };
	const size_t few = worker_octets(FEW), worst = worker_octets(WORST),
		     best = worker_octets(BEST);
	const uint32_t free_before = tcp_stack_blocks(rig->w->tcp)->free_count;
	const uint32_t bufs_before = rig->w->free_buf_count;
	struct turn_client *c = greeted(
		"EHLO abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqr.client.example.net\r\n");

	(void)state;
	print_message("octets a session: %.1f at worst, %.1f at best\n",
		(double)(worst - few) / (WORST - FEW), (double)(best - few) / (BEST - FEW));
	assert_true(worst - few <= (size_t)512 * (WORST - FEW));
	assert_true(best - few <= (size_t)512 * (BEST - FEW));
	// And nothing of what all share.
	turn_rig_run_us(rig, 100000);
	assert_int_equal(tcp_stack_blocks(rig->w->tcp)->free_count, free_before);
	assert_int_equal(rig->w->free_buf_count, bufs_before);
	turn_rig_close(c);
}

// ---- The way to the spooler

// A message that never was more than a word costs the spooler nothing, or a client that begins and breaks off would fill its ring while
// the disk is slow: a ring that must not be full.
static void test_messages_broken_off_do_not_fill_the_ring_of_a_spooler_that_hangs(void **state)
{
	enum { MESSAGES = 3000 };
	const uint32_t bufs_before = rig->w->free_buf_count;

	(void)state;
	rig->spool_rate = 0;
	for (int i = 0; i < MESSAGES; i++) {
		struct turn_client *c = greeted("EHLO c\r\n");

		(void)turn_rig_say(c, to_data, "354");
		turn_rig_close(c);
		turn_rig_forget(rig);
	}
	assert_int_equal(rig->w->free_buf_count, bufs_before);
	rig->spool_rate = 1000;
	turn_rig_run_us(rig, 10000);
}

// ---- The order of retreat

enum { TIMEOUT_S = 24, SQUEEZED = TURN_BLOCKS };

static void *squeezed[SQUEEZED];
static uint32_t squeezed_count;

// Somebody has taken all blocks but so many.
static void leave_blocks(uint32_t left)
{
	struct block_pool *blocks = tcp_stack_blocks(rig->w->tcp);

	while (blocks->free_count > left)
		squeezed[squeezed_count++] = block_pool_take(blocks);
	turn_rig_run_us(rig, TURN_US);
}

static void give_blocks_back(void)
{
	while (squeezed_count > 0)
		block_pool_give(tcp_stack_blocks(rig->w->tcp), squeezed[--squeezed_count]);
	turn_rig_run_us(rig, 10000);
}

static enum pressure_level level(void)
{
	assert_int_equal(rig->edge.workers[0]->pressure_level, rig->w->pressure.level);
	return rig->w->pressure.level;
}

static uint64_t raised(enum pressure_level which)
{
	return rig->edge.workers[0]->pressure_raised[which];
}

static void run_s(unsigned s)
{
	turn_rig_run_us(rig, s * UINT64_C(1000000));
	turn_rig_forget(rig);
}

static void test_prune_throws_away_what_lies_behind_holes(void **state)
{
	struct turn_client *c = greeted("EHLO c\r\n");
	const uint32_t before = tcp_stack_blocks(rig->w->tcp)->free_count;

	(void)state;
	rig->lose = 1;
	turn_rig_send(c, "NOOP\r\n");
	turn_rig_send(c, "NOOP\r\n");
	turn_rig_run_us(rig, 2 * TURN_US);
	assert_true(tcp_stack_blocks(rig->w->tcp)->free_count < before);
	leave_blocks(TURN_BLOCKS / 4 - 10);
	turn_rig_run_us(rig, 2 * TURN_US);
	assert_int_equal(level(), PRESSURE_PRUNE);
	assert_int_equal(rig->edge.workers[0]->pressure_pruned, 1);
	assert_int_equal(tcp_stack_blocks(rig->w->tcp)->free_count, TURN_BLOCKS / 4 - 9);
	// The sender keeps what was not acknowledged.
	turn_rig_run_us(rig, 1000000);
	assert_non_null(strstr(c->text, "250 2.0.0 OK\r\n250 2.0.0 OK\r\n"));
	give_blocks_back();
	assert_int_equal(level(), PRESSURE_NONE);
	turn_rig_close(c);
}

static uint32_t last_window(const struct turn_client *c)
{
	for (uint32_t i = rig->segment_count; i > 0; i--) {
		if (rig->segments[i - 1].port == c->port)
			return rig->segments[i - 1].window;
	}
	return UINT32_MAX;
}

static void test_shrink_offers_little_and_answers_who_reads(void **state)
{
	struct turn_client *c = greeted("EHLO c\r\n");
	char long_noop[510];

	(void)state;
	memset(long_noop, 'x', sizeof(long_noop));
	memcpy(long_noop, "NOOP ", 5);
	memcpy(long_noop + sizeof(long_noop) - 3, "\r\n", 3);
	(void)turn_rig_say(c, "NOOP\r\n", "250");
	assert_true(last_window(c) > 16384);
	(void)turn_rig_say(c, to_data, "354");
	leave_blocks(TURN_BLOCKS / 8 - 10);
	assert_int_equal(level(), PRESSURE_SHRINK);
	turn_rig_forget(rig);
	turn_rig_send(c, "line\r\n.\r\nNOOP\r\nNOOP\r\n");
	turn_rig_run_us(rig, 1000000);
	// One by one, each when the one before has been read.
	assert_non_null(strstr(c->text, "\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n"));
	assert_true(turn_rig_data(rig) >= 3);
	// What was offered before is kept; when it is used up the window is small.
	for (int i = 0; i < 150; i++)
		(void)turn_rig_say(c, long_noop, "250 2.0.0 OK");
	assert_in_range(last_window(c), 1, 4096);
	give_blocks_back();
	turn_rig_close(c);
}

static void test_cookies_take_no_slot_for_a_syn(void **state)
{
	const uint64_t before = tcp_stack_counters(rig->w->tcp)->cookies_taken;
	struct turn_client *c;

	(void)state;
	leave_blocks(TURN_BLOCKS / 16 - 10);
	assert_int_equal(level(), PRESSURE_COOKIES);
	c = greeted("EHLO c\r\n");
	assert_int_equal(tcp_stack_counters(rig->w->tcp)->cookies_taken, before + 1);
	give_blocks_back();
	turn_rig_close(c);
}

static void test_refuse_lets_nobody_in_and_serves_who_is_there(void **state)
{
	struct turn_client *c = greeted("EHLO c\r\n"), *late;

	(void)state;
	leave_blocks(TURN_BLOCKS / 32 - 10);
	assert_int_equal(level(), PRESSURE_REFUSE);
	late = turn_rig_connect(rig, "10.12.170.21", "10.12.170.5");
	assert_int_equal(late->len, 0);
	assert_true(rig->edge.workers[0]->drops[DROP_CONN_PRESSURE] >= 1);
	(void)turn_rig_say(c, "NOOP\r\n", "250");
	give_blocks_back();
	// It asks again by itself.
	run_s(4);
	assert_non_null(strstr(late->text, "220 "));
	turn_rig_close(late);
	turn_rig_close(c);
}

static void test_reset_takes_the_idle_and_leaves_the_busy(void **state)
{
	struct turn_client *idle = greeted("EHLO idle\r\n"), *busy = greeted("EHLO busy\r\n");
	const uint64_t before = rig->edge.workers[0]->pressure_reset;

	(void)state;
	turn_rig_send(idle, "NOO");
	for (int s = 0; s < 12; s += 4) {
		run_s(4);
		(void)turn_rig_say(busy, "NOOP\r\n", "250");
	}
	leave_blocks(TURN_BLOCKS / 32 - 10);
	assert_int_equal(level(), PRESSURE_REFUSE);
	assert_false(idle->reset);
	run_s(LIMIT_PRESSURE_REFUSE_S);
	turn_rig_run_us(rig, 10000);
	assert_int_equal(level(), PRESSURE_RESET);
	assert_true(idle->reset);
	assert_int_equal(rig->edge.workers[0]->pressure_reset, before + 1);
	(void)turn_rig_say(busy, "NOOP\r\n", "250");
	assert_false(busy->reset);
	give_blocks_back();
	assert_int_equal(level(), PRESSURE_NONE);
	turn_rig_close(idle);
	turn_rig_close(busy);
}

// Blocks that nobody gives back, but enough to go on: who has some and does nothing goes, the silent one does not, and new ones come in.
static void test_shrink_that_lasts_resets_who_holds_blocks(void **state)
{
	struct turn_client *holder = greeted("EHLO h\r\n"), *silent = greeted("EHLO s\r\n");
	const uint64_t before = raised(PRESSURE_RESET);
	struct turn_client *late;

	(void)state;
	turn_rig_send(holder, "NOO");
	run_s(13);
	leave_blocks(TURN_BLOCKS / 8 - 10);
	run_s(LIMIT_PRESSURE_SHRINK_S - 1);
	assert_false(holder->reset);
	run_s(2);
	assert_true(holder->reset);
	assert_false(silent->reset);
	assert_int_equal(raised(PRESSURE_RESET), before + 1);
	assert_int_equal(level(), PRESSURE_SHRINK);
	late = greeted("EHLO l\r\n");
	give_blocks_back();
	turn_rig_close(late);
	turn_rig_close(holder);
	turn_rig_close(silent);
}

// Not one block is left: what asks for a reply is not taken, and is taken when there is one again.
static void test_without_a_block_commands_wait_with_their_sender(void **state)
{
	struct turn_client *c = greeted("EHLO c\r\n"), *half = greeted("EHLO h\r\n");

	(void)state;
	turn_rig_send(half, "NOO");
	turn_rig_run_us(rig, 2 * TURN_US);
	leave_blocks(0);
	turn_rig_send(half, "P\r\n");
	turn_rig_send(c, "NOOP\r\n");
	run_s(2);
	assert_int_equal(c->len + half->len, 0);
	assert_true(rig->edge.workers[0]->drops[DROP_CONN_HELD] > 0);
	give_blocks_back();
	run_s(10);
	assert_string_equal(c->text, "250 2.0.0 OK\r\n");
	assert_string_equal(half->text, "250 2.0.0 OK\r\n");
	turn_rig_close(c);
	turn_rig_close(half);
}

// Slots run short as well: the same order, and sessions that nobody uses make room for new ones.
static void test_full_of_idle_sessions_new_ones_find_room_again(void **state)
{
	enum { MOST = 1024 };
	const uint64_t cookies = raised(PRESSURE_COOKIES), refuse = raised(PRESSURE_REFUSE);
	struct turn_client *c = NULL;
	int open = 0;

	(void)state;
	while (level() < PRESSURE_REFUSE && open < MOST) {
		c = turn_rig_connect(rig, "10.12.170.20", "10.12.170.5");
		turn_rig_forget(rig);
		open++;
	}
	assert_int_equal(raised(PRESSURE_COOKIES), cookies + 1);
	assert_int_equal(raised(PRESSURE_REFUSE), refuse + 1);
	// One more than there is room for was made.
	assert_int_equal(open, MOST - MOST / 64 + 1);
	assert_int_equal(c->len, 0);
	run_s(TIMEOUT_S / 2 + 1);
	c = turn_rig_connect(rig, "10.12.170.21", "10.12.170.5");
	run_s(4);
	assert_non_null(strstr(c->text, "220 "));
	assert_int_equal(level(), PRESSURE_NONE);
	assert_true(rig->edge.workers[0]->pressure_reset > MOST / 20);
}

static int start(void **state)
{
	(void)state;
	rig = turn_rig_start(yaml);
	atomic_store(&rig->edge.tunables.command_timeout_s, TIMEOUT_S);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	turn_rig_free(rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_idle_session_costs_at_most_512_octets),
		cmocka_unit_test(
			test_messages_broken_off_do_not_fill_the_ring_of_a_spooler_that_hangs),
		cmocka_unit_test(test_prune_throws_away_what_lies_behind_holes),
		cmocka_unit_test(test_shrink_offers_little_and_answers_who_reads),
		cmocka_unit_test(test_cookies_take_no_slot_for_a_syn),
		cmocka_unit_test(test_refuse_lets_nobody_in_and_serves_who_is_there),
		cmocka_unit_test(test_reset_takes_the_idle_and_leaves_the_busy),
		cmocka_unit_test(test_shrink_that_lasts_resets_who_holds_blocks),
		cmocka_unit_test(test_without_a_block_commands_wait_with_their_sender),
		cmocka_unit_test(test_full_of_idle_sessions_new_ones_find_room_again),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
