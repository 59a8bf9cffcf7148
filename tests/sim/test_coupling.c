// SMTP and TCP know each other: what leaves in one segment, which ACKs leave at all, and how the window follows the spooler.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "turn_rig.h"

static struct turn_rig *rig;

static const char yaml[] =
	"dataplane: {workers: [0], memory: 512MiB, huge_pages: no}\n"
	"ports: [{device: net_ring_rig, addresses: [10.12.170.5/24, 10.12.170.74/24]}]\n"
	"own_networks: [10.12.0.0/16]\n"
	"routes: [{domains: [\"*\"], to: [\"127.0.0.1:25\"]}]\n"
	"virtual_servers:\n"
	"  - {name: default, listen: [10.12.170.5], fqdn: mail.neulan.net, local_domains: "
	"[neulan.net]}\n";

static const char to_data[] = "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@neulan.net>\r\nDATA\r\n";

static struct turn_client *greeted(void)
{
	struct turn_client *c = turn_rig_connect(rig, "10.12.170.20", "10.12.170.5");

	assert_non_null(strstr(c->text, "220 "));
	(void)turn_rig_say(c, "EHLO client.example\r\n", "250 ");
	return c;
}

static struct turn_client *in_body(void)
{
	struct turn_client *c = greeted();

	(void)turn_rig_say(c, to_data, "354");
	return c;
}

static void test_replies_of_one_burst_leave_in_one_segment(void **state)
{
	struct turn_client *c = greeted();

	(void)state;
	turn_rig_forget(rig);
	// Three segments of the client, one burst of the port.
	turn_rig_send(c, "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@neu");
	turn_rig_send(c, "lan.net>\r\nRCPT TO:<c@neulan.net>\r\nRCPT TO:<d@foreign.example>\r\n");
	turn_rig_send(c, "DATA\r\n");
	turn_rig_run_us(rig, 100000);
	assert_int_equal(turn_rig_data(rig), 1);
	assert_int_equal(turn_rig_bare(rig), 0);
	assert_non_null(strstr(c->text, "250 2.1.5 c@neulan.net\r\n550 5.7.1 Unable to relay for "
					"d@foreign.example\r\n354 "));
	turn_rig_close(c);
}

static void test_goodbye_and_fin_share_one_segment(void **state)
{
	struct turn_client *c = greeted();

	(void)state;
	turn_rig_forget(rig);
	turn_rig_send(c, "QUIT\r\n");
	turn_rig_worker(rig);
	assert_int_equal(rig->segment_count, 1);
	assert_int_equal(rig->segments[0].flags, SEGMENT_FIN | SEGMENT_PSH | SEGMENT_ACK);
	assert_true(rig->segments[0].payload > 0);
	turn_rig_run_us(rig, 1000);
	assert_non_null(strstr(c->text, "221 "));
	assert_true(c->fin);
	turn_rig_close(c);
}

// A mail from greeting to end: what the client sends is acknowledged by replies only.
static void test_acks_of_the_command_phase_ride_on_replies(void **state)
{
	struct turn_client *c;

	(void)state;
	turn_rig_forget(rig);
	c = greeted();
	(void)turn_rig_say(c, "MAIL FROM:<a@example.org>\r\n", "250");
	(void)turn_rig_say(c, "RCPT TO:<b@neulan.net>\r\n", "250");
	(void)turn_rig_say(c, "NOOP\r\n", "250");
	(void)turn_rig_say(c, "DATA\r\n", "354");
	(void)turn_rig_say(c, "one line\r\n.\r\n", "250 2.6.0");
	assert_int_equal(turn_rig_bare(rig), 0);
	assert_int_equal(turn_rig_data(rig), 7); // 220, EHLO's, MAIL's, RCPT's, NOOP's, 354, 250
	turn_rig_close(c);
}

// A thousand recipients are a good many segments. They are asked for in one flight, so its ACK waits for the answers.
static void test_a_pipeline_of_several_segments_is_acknowledged_by_its_answer(void **state)
{
	struct turn_client *c = greeted();
	char text[8000] = "";

	(void)state;
	for (int i = 0; i < 200; i++)
		sprintf(text + strlen(text), "VRFY user%d\r\n", i);
	turn_rig_forget(rig);
	turn_rig_send(c, text);
	turn_rig_worker(rig);
	assert_true(turn_rig_data(rig) >= 2);
	assert_int_equal(turn_rig_bare(rig), 0);
	turn_rig_close(c);
}

// RFC 6928: ten segments of replies before the first ACK for any of them.
static void test_first_replies_leave_with_a_window_of_ten_segments(void **state)
{
	struct turn_client *c = greeted();
	char text[12001] = "";

	(void)state;
	for (int i = 0; i < 2000; i++)
		memcpy(text + 6 * i, "NOOP\r\n", 7);
	turn_rig_forget(rig);
	turn_rig_send(c, text);
	for (int i = 0; i < 5; i++)
		turn_rig_worker(rig);
	assert_in_range(turn_rig_data(rig), 10, 11);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(rig->segments[i].at_us, rig->segments[0].at_us);
	turn_rig_close(c);
}

// While the disk syncs nothing is acknowledged that its answer will acknowledge.
static void test_final_dot_is_acknowledged_by_the_250(void **state)
{
	struct turn_client *c = in_body();

	(void)state;
	rig->spool_rate = 0;
	turn_rig_forget(rig);
	turn_rig_send(c, "text\r\n.\r\n");
	turn_rig_run_us(rig, 10000);
	assert_int_equal(rig->segment_count, 0);
	rig->spool_rate = 1000;
	turn_rig_run_us(rig, 1000);
	assert_int_equal(turn_rig_data(rig), 1);
	assert_int_equal(turn_rig_bare(rig), 0);
	assert_non_null(strstr(c->text, "250 2.6.0"));
	turn_rig_close(c);
}

// 1448 octets of lines.
static void say_lines(struct turn_client *c)
{
	char lines[1449];

	for (size_t i = 0; i < sizeof(lines); i++)
		lines[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
	lines[1448] = '\0';
	turn_rig_send(c, lines);
}

// One a turn: acknowledged as delayed ACKs are, not each, once the window has grown to the pace (each ACK of the first ones tells
// of a larger one).
static void test_body_is_acknowledged_every_second_segment(void **state)
{
	struct turn_client *c = in_body();
	uint32_t sent = 0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		say_lines(c);
		turn_rig_run_us(rig, TURN_US);
	}
	turn_rig_forget(rig);
	for (; sent < 20; sent++) {
		say_lines(c);
		turn_rig_run_us(rig, TURN_US);
	}
	assert_int_equal(turn_rig_data(rig), 0);
	assert_in_range(turn_rig_bare(rig), sent / 2 - 1, sent / 2 + 1);
	turn_rig_close(c);
}

static uint32_t blocks_used(void)
{
	const struct block_pool *blocks = tcp_stack_blocks(rig->w->tcp);

	return blocks->count - blocks->free_count;
}

static uint32_t last_window(const struct turn_client *c)
{
	for (uint32_t i = rig->segment_count; i > 0; i--) {
		if (rig->segments[i - 1].port == c->port)
			return rig->segments[i - 1].window;
	}
	return UINT32_MAX;
}

enum {
	SENDERS = 20,
	MAIL = 2 << 20,
};

// The spooler hangs while twenty clients send: windows shut before the last buffer is taken, and next to nothing lies in blocks.
static void test_slow_spooler_shuts_windows_before_memory_is_used(void **state)
{
	struct turn_client *c[SENDERS];
	uint32_t most_blocks = 0, least_bufs = UINT32_MAX;
	const uint64_t before = rig->spooled;
	const uint32_t committed = rig->committed;

	(void)state;
	for (int i = 0; i < SENDERS; i++)
		c[i] = in_body();
	rig->spool_rate = 0;
	for (int i = 0; i < SENDERS; i++)
		turn_rig_flood(c[i], MAIL / 63 * 63);
	turn_rig_forget(rig);
	for (int ms = 0; ms < 500; ms++) {
		turn_rig_run_us(rig, 1000);
		most_blocks = blocks_used() > most_blocks ? blocks_used() : most_blocks;
		least_bufs =
			rig->w->free_buf_count < least_bufs ? rig->w->free_buf_count : least_bufs;
	}
	print_message("hanging spooler: %u of %u buffers left, %u of %u blocks used at most\n",
		least_bufs, TURN_SPOOL_BUFS, most_blocks, TURN_BLOCKS);
	assert_true(least_bufs > 0);
	assert_true(most_blocks < TURN_BLOCKS / 8);
	assert_int_equal(rig->edge.workers[0]->drops[DROP_CONN_NO_BUFFER], 0);
	for (int i = 0; i < SENDERS; i++)
		assert_true(last_window(c[i]) < 2 * 1460);
	// It comes back, slowly: everything arrives, and sessions that only talk were served all the time.
	rig->spool_rate = 4;
	for (int i = 0; i < 100 && rig->spooled - before < (uint64_t)SENDERS * MAIL / 2; i++) {
		rig->segment_count = 0;
		turn_rig_run_us(rig, 200000);
	}
	rig->spool_rate = 1000;
	for (int s = 0; s < 60; s++) {
		rig->segment_count = 0;
		turn_rig_run_us(rig, 200000);
	}
	for (int i = 0; i < SENDERS; i++)
		(void)turn_rig_say(c[i], ".\r\n", "250 2.6.0");
	assert_int_equal(rig->committed - committed, SENDERS);
	for (int i = 0; i < SENDERS; i++)
		turn_rig_close(c[i]);
}

// As buffers come back one by one the window of a sender grows in steps, and never by more than there are.
static void test_window_opens_smoothly(void **state)
{
	struct turn_client *c[4];
	uint32_t window, steps = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		c[i] = in_body();
	rig->spool_rate = 0;
	for (int i = 0; i < 4; i++)
		turn_rig_flood(c[i], 8 << 20);
	turn_rig_run_us(rig, 500000);
	turn_rig_forget(rig);
	rig->spool_rate = 1;
	turn_rig_run_us(rig, 20000);
	window = 0;
	for (uint32_t i = 0; i < rig->segment_count; i++) {
		const struct turn_segment *s = &rig->segments[i];

		if (s->port != c[0]->port)
			continue;
		steps += s->window > window;
		assert_true(s->window <= TURN_SPOOL_BUFS * LIMIT_SPOOL_BUF_OCTETS / 4);
		window = s->window > window ? s->window : window;
	}
	print_message(
		"window of one of four: %u octets in %u steps after 100 buffers\n", window, steps);
	assert_in_range(steps, 3, 60);
	rig->spool_rate = 1000;
	for (int i = 0; i < 4; i++)
		turn_rig_close(c[i]);
}

// A window is a promise of memory: as many octets as have once come in two round trips, twice, however long the mail is.
static void test_window_grows_with_the_pace_and_not_with_the_mail(void **state)
{
	struct turn_client *fast = in_body(), *slow = in_body();
	uint32_t window = 0;

	(void)state;
	turn_rig_forget(rig);
	turn_rig_flood(fast, 8 << 20);
	turn_rig_run_us(rig, 20000);
	window = last_window(fast);
	assert_in_range(window, 500000, TURN_SPOOL_BUFS * LIMIT_SPOOL_BUF_OCTETS / 2);
	turn_rig_close(fast);
	turn_rig_forget(rig);
	for (int i = 0; i < 700; i++) {
		say_lines(slow);
		turn_rig_run_us(rig, 2000);
	}
	print_message(
		"window of the fast: %u, of the slow after 1 MB: %u\n", window, last_window(slow));
	assert_in_range(last_window(slow), 60000, 100000);
	turn_rig_close(slow);
}

// The disk takes 80 MB/s and the sender brings more: what is between them is bounded, the window lets it breathe, and nothing is lost.
static void test_slow_disk_is_felt_by_the_sender(void **state)
{
	struct turn_client *c = in_body();
	const uint64_t before = rig->spooled;
	uint32_t least_bufs = UINT32_MAX, most_blocks = 0;

	(void)state;
	rig->spool_rate = 1;
	turn_rig_forget(rig);
	turn_rig_flood(c, 32 << 20);
	for (int ms = 0; ms < 300; ms++) {
		const uint32_t bufs = rig->w->free_buf_count;

		turn_rig_run_us(rig, 1000);
		least_bufs = bufs < least_bufs ? bufs : least_bufs;
		most_blocks = blocks_used() > most_blocks ? blocks_used() : most_blocks;
	}
	print_message("slow disk: %u of %u buffers left, %u blocks, %llu octets a second\n",
		least_bufs, TURN_SPOOL_BUFS, most_blocks,
		(unsigned long long)(rig->spooled - before) * 10 / 3);
	assert_true(least_bufs >= TURN_SPOOL_BUFS / 8);
	assert_true(most_blocks < TURN_BLOCKS / 64);
	// As fast as the disk, and no faster.
	assert_in_range(rig->spooled - before, 18 << 20, 25 << 20);
	rig->spool_rate = 1000;
	turn_rig_close(c);
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
		cmocka_unit_test(test_replies_of_one_burst_leave_in_one_segment),
		cmocka_unit_test(test_goodbye_and_fin_share_one_segment),
		cmocka_unit_test(test_acks_of_the_command_phase_ride_on_replies),
		cmocka_unit_test(test_a_pipeline_of_several_segments_is_acknowledged_by_its_answer),
		cmocka_unit_test(test_first_replies_leave_with_a_window_of_ten_segments),
		cmocka_unit_test(test_final_dot_is_acknowledged_by_the_250),
		cmocka_unit_test(test_body_is_acknowledged_every_second_segment),
		cmocka_unit_test(test_slow_spooler_shuts_windows_before_memory_is_used),
		cmocka_unit_test(test_window_opens_smoothly),
		cmocka_unit_test(test_window_grows_with_the_pace_and_not_with_the_mail),
		cmocka_unit_test(test_slow_disk_is_felt_by_the_sender),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
