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
	"[neulan.net]}\n";

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

static int start(void **state)
{
	(void)state;
	rig = turn_rig_start(yaml);
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
	};

	return cmocka_run_group_tests(tests, start, stop);
}
