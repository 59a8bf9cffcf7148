// The parts of postern-deliver that need no loop: dot-stuffing, routes, queue, back-off, segments, DSN.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/backoff.h"
#include "deliver/dot_stuff.h"
#include "deliver/dsn.h"
#include "deliver/log_line.h"
#include "deliver/past.h"
#include "deliver/queue.h"
#include "deliver/route.h"

// Dot-stuffing

static void stuff_in_two(const char *in, size_t cut, char out[256])
{
	struct dot_stuff s = {0};
	const uint8_t *at = (const uint8_t *)in;
	uint8_t *to = (uint8_t *)out;
	size_t n;

	n = dot_stuff(&s, (struct slice){at, cut}, to);
	n += dot_stuff(&s, (struct slice){at + cut, strlen(in) - cut}, to + n);
	n += dot_stuff_end(&s, to + n);
	to[n] = '\0';
}

static void assert_stuffed(const char *in, const char *want)
{
	char out[256];

	for (size_t cut = 0; cut <= strlen(in); cut++) {
		stuff_in_two(in, cut, out);
		assert_string_equal(out, want);
	}
}

static void test_dot_stuff_every_split_gives_the_same(void **state)
{
	(void)state;
	assert_stuffed("", ".\r\n");
	assert_stuffed("a\r\n", "a\r\n.\r\n");
	assert_stuffed("a", "a\r\n.\r\n");
	assert_stuffed(".", "..\r\n.\r\n");
	assert_stuffed(".\r\n.\r\n..a\r\na.b\r\n", "..\r\n..\r\n...a\r\na.b\r\n.\r\n");
}

static void test_dot_stuff_lone_line_ends_become_ours(void **state)
{
	(void)state;
	assert_stuffed("a\n.\n", "a\r\n..\r\n.\r\n");
	assert_stuffed("a\r.\r", "a\r\n..\r\n.\r\n");
	assert_stuffed("a\r\r\n.b", "a\r\n\r\n..b\r\n.\r\n");
	assert_stuffed("a\r\n\rMAIL", "a\r\n\r\nMAIL\r\n.\r\n");
}

// Routes

static struct config_domain r0[] = {{.name = "*"}}, r1[] = {{.name = ".example.net"}},
			    r2[] = {{.name = "mail.example.net"}, {.name = "neulan.net"}},
			    r3[] = {{.name = ".deep.example.net"}};
static struct config_route routes[] = {{.domains = r0, .domain_count = 1},
	{.domains = r1, .domain_count = 1}, {.domains = r2, .domain_count = 2},
	{.domains = r3, .domain_count = 1}};
static struct config_vserver vservers[] = {
	{.name = "default", .local_domains = &r2[1], .local_domain_count = 1}};
static struct config config = {
	.routes = routes, .route_count = 4, .vservers = vservers, .vserver_count = 1};

static void test_route_exact_beats_suffix_beats_star(void **state)
{
	(void)state;
	assert_ptr_equal(route_find(&config, "mail.example.net"), &routes[2]);
	assert_ptr_equal(route_find(&config, "Mail.Example.NET."), &routes[2]);
	assert_ptr_equal(route_find(&config, "a.example.net"), &routes[1]);
	assert_ptr_equal(route_find(&config, "a.deep.example.net"), &routes[3]);
	assert_ptr_equal(route_find(&config, "example.net"), &routes[0]);
	assert_ptr_equal(route_find(&config, "badexample.net"), &routes[0]);
}

static void test_route_nothing_matches_gives_none(void **state)
{
	struct config some = {.routes = routes + 1, .route_count = 2};

	(void)state;
	assert_null(route_find(&some, "example.org"));
	assert_null(route_find(&some, ""));
}

static void test_route_of_recipient_takes_the_last_at_sign(void **state)
{
	(void)state;
	assert_ptr_equal(
		route_of_recipient(&config, "default", "\"x@example.org\"@neulan.net"), &routes[2]);
}

static void test_route_of_postmaster_is_that_of_the_home_domain(void **state)
{
	(void)state;
	assert_ptr_equal(route_of_recipient(&config, "default", "Postmaster"), &routes[2]);
}

// Back-off

static void test_backoff_doubles_up_to_the_bound(void **state)
{
	(void)state;
	assert_int_equal(backoff_ms(1, 60, 3600, 0), 60000);
	assert_int_equal(backoff_ms(2, 60, 3600, 0), 120000);
	assert_int_equal(backoff_ms(7, 60, 3600, 0), 3600000);
	assert_int_equal(backoff_ms(65535, 60, UINT32_MAX, 0), (int64_t)UINT32_MAX * 1000);
}

static void test_backoff_jitter_takes_at_most_a_quarter(void **state)
{
	(void)state;
	for (uint32_t random = 0; random < 2048; random++) {
		int64_t ms = backoff_ms(1, 60, 3600, random);

		assert_in_range(ms, 45000, 60000);
	}
}

// Queue

static const char *rcpt_texts[] = {"a@example.net", "b@example.net", "c@example.net"};

static struct spool_message spooled(uint64_t id, uint64_t segment, uint32_t rcpts)
{
	return (struct spool_message){.id = id,
		.segment = segment,
		.offset = id * 8,
		.commit = {.arrived_s = 1000, .rcpt_count = rcpts},
		.sender = "s@example.org",
		.rcpts = rcpt_texts};
}

static struct queue_message *add(struct queue *q, uint64_t id, uint64_t segment, int64_t now_ms)
{
	struct spool_message spool = spooled(id, segment, 1);
	struct queue_message *m;

	assert_int_equal(queue_add(q, &spool, now_ms, &m), QUEUE_NEW);
	return m;
}

static void test_queue_due_comes_in_order_of_time_then_arrival(void **state)
{
	static const int64_t at[] = {50, 10, 30, 10, 40, 20, 10};
	static const uint64_t want[] = {2, 4, 7, 6, 3, 5, 1};
	struct queue q;

	(void)state;
	queue_init(&q, 100);
	for (size_t i = 0; i < 7; i++)
		add(&q, i + 1, 1, at[i]);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(queue_due(&q, 100)->id, want[i]);
	assert_null(queue_due(&q, 100));
	queue_free(&q);
}

static void test_queue_nothing_is_due_before_its_time(void **state)
{
	struct queue q;
	struct queue_message *m;

	(void)state;
	queue_init(&q, 100);
	m = add(&q, 1, 1, 10);
	assert_null(queue_due(&q, 9));
	assert_int_equal(queue_next_ms(&q), 10);
	assert_ptr_equal(queue_due(&q, 10), m);
	queue_rcpt_sending(&q, m, 0);
	queue_message_place(&q, m);
	assert_int_equal(queue_next_ms(&q), INT64_MAX);
	queue_rcpt_wait(&q, m, 0, 70);
	queue_message_place(&q, m);
	assert_int_equal(queue_next_ms(&q), 70);
	queue_free(&q);
}

static void test_queue_held_message_is_not_due_until_released(void **state)
{
	struct queue q;
	struct queue_message *m;

	(void)state;
	queue_init(&q, 100);
	m = add(&q, 1, 1, 10);
	queue_message_hold(&q, m, true);
	assert_int_equal(q.held, 1);
	assert_null(queue_due(&q, 100));
	queue_message_hold(&q, m, false);
	assert_ptr_equal(queue_due(&q, 100), m);
	queue_free(&q);
}

static void test_queue_finished_message_is_known_until_its_segment_is_gone(void **state)
{
	struct spool_message spool = spooled(1, 5, 1);
	struct queue q;
	struct queue_message *m;

	(void)state;
	queue_init(&q, 100);
	m = add(&q, 1, 5, 0);
	queue_rcpt_end(&q, m, 0, QUEUE_DELIVERED);
	assert_true(queue_message_settled(&q, m));
	assert_int_equal(queue_add(&q, &spool, 0, &m), QUEUE_KNOWN);
	assert_null(queue_find(&q, 1));
	queue_segment_gone(&q, 5);
	assert_false(queue_is_known(&q, 1));
	queue_free(&q);
}

static void test_queue_message_with_an_open_recipient_is_not_settled(void **state)
{
	struct spool_message spool = spooled(1, 5, 2);
	struct queue q;
	struct queue_message *m;

	(void)state;
	queue_init(&q, 100);
	queue_add(&q, &spool, 0, &m);
	queue_rcpt_end(&q, m, 1, QUEUE_DELIVERED);
	assert_false(queue_message_settled(&q, m));
	queue_free(&q);
}

static void test_queue_full_leaves_the_message_on_disk(void **state)
{
	struct spool_message spool = spooled(2, 1, 1);
	struct queue q;
	struct queue_message *m;

	(void)state;
	queue_init(&q, 1);
	add(&q, 1, 1, 0);
	assert_int_equal(queue_add(&q, &spool, 0, &m), QUEUE_FULL);
	assert_false(queue_is_known(&q, 2));
	queue_free(&q);
}

static void test_queue_replay_takes_each_recipient_once_and_no_nonsense(void **state)
{
	struct spool_message spool = spooled(1, 5, 2);
	struct queue q;
	struct queue_message *m;

	(void)state;
	queue_init(&q, 100);
	queue_add(&q, &spool, 0, &m);
	queue_rcpt_replay(&q, m, &(struct queue_past){1, SPOOL_BOUNCED});
	queue_rcpt_replay(&q, m, &(struct queue_past){1, SPOOL_DELIVERED});
	queue_rcpt_replay(&q, m, &(struct queue_past){2, SPOOL_DELIVERED});
	queue_rcpt_replay(&q, m, &(struct queue_past){0, 77});
	assert_int_equal(m->open, 1);
	assert_int_equal(m->rcpts[0].state, QUEUE_WAITING);
	assert_int_equal(m->rcpts[1].state, QUEUE_BOUNCED);
	queue_free(&q);
}

static uint64_t pairs(const struct queue *q)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < QUEUE_STATES; i++)
		sum += q->counts.states[i];
	return sum;
}

static void test_queue_pairs_are_conserved(void **state)
{
	struct spool_message spool = spooled(1, 5, 3), dsn = spooled(2, 5, 1);
	struct queue q;
	struct queue_message *m, *n;

	(void)state;
	dsn.commit.origin = 1;
	queue_init(&q, 100);
	queue_add(&q, &spool, 0, &m);
	queue_add(&q, &dsn, 0, &n);
	queue_rcpt_sending(&q, m, 0);
	queue_rcpt_end(&q, m, 0, QUEUE_DELIVERED);
	queue_rcpt_bouncing(&q, m, 1);
	queue_rcpt_end(&q, n, 0, QUEUE_REMOVED);
	queue_message_settled(&q, n);
	assert_int_equal(q.counts.received, 3);
	assert_int_equal(q.counts.created, 1);
	assert_int_equal(pairs(&q), 4);
	assert_int_equal(q.counts.states[QUEUE_REMOVED], 1);
	queue_free(&q);
}

// Parts of the queue

static void test_id_map_agrees_with_a_plain_array(void **state)
{
	static bool is_there[512];
	struct id_map map = {0};
	uint32_t x = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t id;

		x = x * 1664525 + 1013904223;
		id = (x >> 16) % 512;
		if ((x >> 8 & 1) != 0)
			id_map_put(&map, id, NULL);
		else
			id_map_remove(&map, id);
		is_there[id] = (x >> 8 & 1) != 0;
		for (uint64_t j = id; j < id + 8 && j < 512; j++)
			assert_int_equal(id_map_find(&map, j) != NULL, is_there[j]);
	}
	id_map_free(&map);
}

static void test_segments_done_ones_are_offered_below_the_seen_one_only(void **state)
{
	struct segment_set set = {0};
	uint64_t number;

	(void)state;
	segment_set_ref(&set, 3);
	segment_set_ref(&set, 6);
	segment_set_unref(&set, 6);
	// 4 and 5 were written while nobody looked; 3 is in use, 6 is the newest.
	assert_true(segment_set_offer(&set, 6, 1000, &number));
	assert_int_equal(number, 4);
	assert_true(segment_set_offer(&set, 6, 1000, &number));
	assert_int_equal(number, 5);
	assert_false(segment_set_offer(&set, 6, 1000, &number));
	segment_set_unref(&set, 3);
	assert_true(segment_set_offer(&set, 6, 1000, &number));
	assert_int_equal(number, 3);
	assert_true(segment_set_offer(&set, 6, 1000 + SEGMENT_SET_AGAIN_MS, &number));
	segment_set_free(&set);
}

static void test_segments_pinned_one_is_never_offered(void **state)
{
	struct segment_set set = {0};
	uint64_t number;

	(void)state;
	segment_set_get(&set, 3)->is_pinned = true;
	assert_false(segment_set_offer(&set, 9, 1000, &number));
	segment_set_free(&set);
}

static void test_past_finds_all_entries_of_an_id(void **state)
{
	struct past past = {0};
	size_t count;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		past_add(&past, &(struct spool_outcome_entry){
					.id = i % 7, .outcome = {.rcpt = (uint32_t)i, .kind = 1}});
	past_sort(&past);
	assert_int_equal(past_find(&past, 3, &count)->id, 3);
	assert_int_equal(count, 143);
	past_find(&past, 7, &count);
	assert_int_equal(count, 0);
	past_free(&past);
}

static void test_log_line_quote_leaves_nothing_that_could_end_a_line(void **state)
{
	char out[LOG_LINE_QUOTED_MAX], big[4096];

	(void)state;
	assert_string_equal(
		log_line_quote("a\"\\\r\n\x1b\xe9", out), "\"a\\x22\\x5c\\x0d\\x0a\\x1b\\xe9\"");
	memset(big, '\n', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_line_quote(big, out);
	assert_true(strlen(out) < sizeof(out));
	assert_int_equal(out[strlen(out) - 1], '"');
}

// DSN

static void test_dsn_status_is_the_servers_or_its_class(void **state)
{
	char out[DSN_STATUS_MAX];

	(void)state;
	assert_string_equal(dsn_status("550 5.1.1 no such user", out), "5.1.1");
	assert_string_equal(dsn_status("554 4.4.7 expired", out), "4.4.7");
	assert_string_equal(dsn_status("550 no such user", out), "5.0.0");
	assert_string_equal(dsn_status("550 5.1234.1 x", out), "5.0.0");
	assert_string_equal(dsn_status("550 5.1.", out), "5.0.0");
	assert_string_equal(dsn_status("", out), "5.0.0");
}

static char *sample_dsn(const char *header, size_t *octets)
{
	struct spool_message message = spooled(77, 1, 2);
	struct dsn_rcpt rcpts[] = {{"a@example.net", "[192.0.2.1]:25", "550 5.1.1 no such user"},
		{"b@example.net", "", "554 4.4.7 delivery time expired"}};
	struct dsn dsn = {.message = &message,
		.host = "mail.neulan.net",
		.header = {(const uint8_t *)header, strlen(header)},
		.now_s = 1700000000,
		.random = 0x1234,
		.rcpt_count = 2,
		.rcpts = rcpts};

	return dsn_write(&dsn, octets);
}

static void test_dsn_names_recipients_and_reasons_rfc3464(void **state)
{
	size_t octets;
	char *text = sample_dsn("Subject: hello\r\nFrom: s@example.org\r\n\r\nbody", &octets);

	(void)state;
	assert_int_equal(strlen(text), octets);
	assert_non_null(strstr(text, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"));
	assert_non_null(strstr(text, "To: <s@example.org>\r\n"));
	assert_non_null(strstr(text, "multipart/report; report-type=delivery-status;"));
	assert_non_null(strstr(text, "Reporting-MTA: dns; mail.neulan.net\r\n"));
	assert_non_null(strstr(text, "\r\n\r\nFinal-Recipient: rfc822; a@example.net\r\nAction: "
				     "failed\r\nStatus: 5.1.1\r\n"
				     "Remote-MTA: dns; [192.0.2.1]:25\r\n"
				     "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"));
	assert_non_null(strstr(text, "Final-Recipient: rfc822; b@example.net\r\n"));
	assert_non_null(strstr(text, "Subject: hello\r\nFrom: s@example.org\r\n"));
	assert_null(strstr(text, "body"));
	assert_non_null(strstr(text, "--=_postern_0000000000001234--\r\n"));
	free(text);
}

static void test_dsn_is_7bit_in_short_lines_whatever_came(void **state)
{
	static char header[4096];
	size_t octets, line = 0;
	char *text;

	(void)state;
	memset(header, 0xe4, sizeof(header) - 1);
	header[5] = '\n';
	header[7] = '\r';
	text = sample_dsn(header, &octets);
	for (size_t i = 0; i < octets; i++) {
		assert_true(text[i] > 0);
		assert_true(text[i] != '\n' || text[i - 1] == '\r');
		assert_true(text[i] != '\r' || text[i + 1] == '\n');
		line = text[i] == '\n' ? 0 : line + 1;
		assert_true(line < 998);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dot_stuff_every_split_gives_the_same),
		cmocka_unit_test(test_dot_stuff_lone_line_ends_become_ours),
		cmocka_unit_test(test_route_exact_beats_suffix_beats_star),
		cmocka_unit_test(test_route_nothing_matches_gives_none),
		cmocka_unit_test(test_route_of_recipient_takes_the_last_at_sign),
		cmocka_unit_test(test_route_of_postmaster_is_that_of_the_home_domain),
		cmocka_unit_test(test_backoff_doubles_up_to_the_bound),
		cmocka_unit_test(test_backoff_jitter_takes_at_most_a_quarter),
		cmocka_unit_test(test_queue_due_comes_in_order_of_time_then_arrival),
		cmocka_unit_test(test_queue_nothing_is_due_before_its_time),
		cmocka_unit_test(test_queue_held_message_is_not_due_until_released),
		cmocka_unit_test(test_queue_finished_message_is_known_until_its_segment_is_gone),
		cmocka_unit_test(test_queue_message_with_an_open_recipient_is_not_settled),
		cmocka_unit_test(test_queue_full_leaves_the_message_on_disk),
		cmocka_unit_test(test_queue_replay_takes_each_recipient_once_and_no_nonsense),
		cmocka_unit_test(test_queue_pairs_are_conserved),
		cmocka_unit_test(test_id_map_agrees_with_a_plain_array),
		cmocka_unit_test(test_segments_done_ones_are_offered_below_the_seen_one_only),
		cmocka_unit_test(test_segments_pinned_one_is_never_offered),
		cmocka_unit_test(test_past_finds_all_entries_of_an_id),
		cmocka_unit_test(test_log_line_quote_leaves_nothing_that_could_end_a_line),
		cmocka_unit_test(test_dsn_status_is_the_servers_or_its_class),
		cmocka_unit_test(test_dsn_names_recipients_and_reasons_rfc3464),
		cmocka_unit_test(test_dsn_is_7bit_in_short_lines_whatever_came),
	};

	return cmocka_run_group_tests_name("deliver", tests, NULL, NULL);
}
