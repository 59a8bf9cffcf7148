// The whole edge over a ring port, two workers behind one queue: sessions, verdicts, mail on disk, and every packet accounted for.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge_rig.h"
#include "spool/spool_reader.h"

static struct rig *rig;

static const char yaml[] =
	"dataplane: {workers: [0, 1], memory: 512MiB, huge_pages: no}\n"
	"ports:\n"
	"  - device: net_ring_rig\n"
	"    addresses: [10.12.170.5/24, 10.12.170.74/24, 10.12.170.75/24, 10.12.170.76/24, "
	"10.12.170.99/24]\n"
	"    gateway: [10.12.170.1]\n"
	"own_networks: [10.12.0.0/16, 10.200.0.0/16]\n"
	"routes:\n"
	"  - {domains: [\"*\"], to: [\"127.0.0.1:25\"]}\n"
	"virtual_servers:\n"
	"  - {name: default, listen: [10.12.170.5], fqdn: mail.neulan.net, local_domains: "
	"[neulan.net]}\n"
	"  - name: relay\n"
	"    listen: [10.12.170.74]\n"
	"    fqdn: smtp-relay.neulan.net\n"
	"    local_domains: [neulan.net]\n"
	"    connections: {only: [10.200.0.0/16, 10.12.0.0/16], refuse: reset}\n"
	"    relay: {only: [10.12.170.20, 10.12.8.0/24]}\n"
	"  - {name: quiet, listen: [10.12.170.75], fqdn: q.neulan.net, local_domains: "
	"[neulan.net],\n"
	"     connections: {only: [10.12.0.0/16], refuse: drop}}\n"
	"  - {name: polite, listen: [10.12.170.76], fqdn: p.neulan.net, local_domains: "
	"[neulan.net],\n"
	"     connections: {only: [10.12.0.0/16], refuse: reply}, max_connections_per_client: 2}\n";

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static struct rig_client *greeted(const char *from, const char *to)
{
	struct rig_client *c = rig_connect(rig, from, to);

	assert_true(rig_client_is_open(c));
	assert_true(starts(rig_say(c, "", "220"), "220 "));
	assert_true(starts(rig_say(c, "EHLO client.example\r\n", "250"), "250-"));
	return c;
}

static void test_session_listed_address_relays(void **state)
{
	struct rig_client *c = greeted("10.12.170.20", "10.12.170.74");

	(void)state;
	assert_true(starts(rig_say(c, "MAIL FROM:<form@neulan.net>\r\n", "250"), "250 2.1.0"));
	assert_true(starts(rig_say(c, "RCPT TO:<bob@example.org>\r\n", "250"), "250 2.1.5"));
	assert_true(starts(rig_say(c, "DATA\r\n", "354"), "354"));
	assert_true(starts(rig_say(c, "Subject: x\r\n\r\n..dot\r\n.\r\n", "250"), "250 2.6.0"));
	assert_true(starts(rig_say(c, "QUIT\r\n", "221"), "221"));
	rig_run_ms(rig, 50);
	assert_true(rig_client_saw_fin(c));
	rig_client_close(c);
}

static void test_session_unlisted_address_is_refused_relay(void **state)
{
	struct rig_client *c = greeted("10.12.170.21", "10.12.170.74");

	(void)state;
	assert_true(starts(rig_say(c, "MAIL FROM:<form@neulan.net>\r\n", "250"), "250"));
	assert_string_equal(rig_say(c, "RCPT TO:<bob@example.org>\r\n", "550"),
		"550 5.7.1 Unable to relay for bob@example.org\r\n");
	assert_true(
		starts(rig_say(c, "RCPT TO:<bob%example.org@neulan.net>\r\n", "550"), "550 5.7.1"));
	assert_true(starts(rig_say(c, "RCPT TO:<steven@neulan.net>\r\n", "250"), "250"));
	rig_client_close(c);
}

static void test_session_default_relays_for_nobody(void **state)
{
	struct rig_client *c = greeted("10.12.170.20", "10.12.170.5");

	(void)state;
	assert_true(starts(rig_say(c, "MAIL FROM:<a@example.org>\r\n", "250"), "250"));
	assert_true(starts(rig_say(c, "RCPT TO:<bob@example.org>\r\n", "550"), "550 5.7.1 Unable"));
	rig_client_close(c);
}

static void test_session_pipelined_mails_are_answered_in_order(void **state)
{
	struct rig_client *c = greeted("10.12.8.15", "10.12.170.74");
	const char *text;

	(void)state;
	text = rig_say(c,
		"MAIL FROM:<a@neulan.net>\r\nRCPT TO:<b@example.org>\r\nRCPT "
		"TO:<c@example.org>\r\nDATA\r\n",
		"354");
	assert_non_null(strstr(text, "250 2.1.5 b@example.org\r\n250 2.1.5 c@example.org\r\n354 "));
	text = rig_say(c,
		"one\r\n.\r\nMAIL FROM:<a@neulan.net>\r\nRCPT "
		"TO:<b@example.org>\r\nNOOP\r\nQUIT\r\n",
		"221");
	assert_true(starts(text, "250 2.6.0"));
	assert_non_null(strstr(text, "250 2.1.0"));
	rig_client_close(c);
}

static void test_syn_outside_the_vpn_is_reset(void **state)
{
	uint64_t before = rig_drops(rig, DROP_CONN_REFUSED);
	struct rig_client *c = rig_connect(rig, "198.51.100.7", "10.12.170.74");

	(void)state;
	assert_false(rig_client_is_open(c));
	assert_true(rig_client_was_reset(c));
	assert_int_equal(rig_drops(rig, DROP_CONN_REFUSED), before + 1);
	rig_client_close(c);
}

static void test_syn_refused_by_drop_gets_no_answer(void **state)
{
	struct rig_client *c = rig_connect(rig, "198.51.100.7", "10.12.170.75");

	(void)state;
	assert_false(rig_client_is_open(c));
	assert_false(rig_client_was_reset(c));
	rig_client_close(c);
}

static void test_connection_refused_by_reply_says_554(void **state)
{
	struct rig_client *c = rig_connect(rig, "198.51.100.7", "10.12.170.76");

	(void)state;
	assert_true(starts(rig_say(c, "", "554"), "554 5.7.1"));
	rig_run_ms(rig, 50);
	assert_true(rig_client_saw_fin(c));
	rig_client_close(c);
}

static void test_connection_over_the_clients_limit_gets_421(void **state)
{
	struct rig_client *a = greeted("10.12.3.3", "10.12.170.76"), *b;
	bool refused = false;

	(void)state;
	// Counted per worker: with two workers the fifth connection is over the limit wherever it lands.
	for (int i = 0; i < 4 && !refused; i++) {
		b = rig_connect(rig, "10.12.3.3", "10.12.170.76");
		refused = starts(rig_say(b, "", i == 3 ? "421" : "2"), "421");
	}
	assert_true(refused);
	rig_client_close(a);
}

static void set_state(const char *name, enum edge_vserver_state to)
{
	struct edge *edge = rig_edge(rig);

	for (int i = 0; i < LIMIT_VSERVERS; i++) {
		if (strcmp(edge->vservers[i].name, name) == 0)
			atomic_store(&edge->vservers[i].state, to);
	}
	rig_run_ms(rig, 20);
}

static void test_vserver_drain_ends_idle_sessions_and_refuses_new_ones(void **state)
{
	struct rig_client *c = greeted("10.12.170.20", "10.12.170.5"), *late;
	uint64_t before = rig_drops(rig, DROP_VSERVER_CLOSED);

	(void)state;
	set_state("default", EDGE_DRAINING);
	assert_non_null(strstr(rig_say(c, "", "421"), "421 4.3.2"));
	late = rig_connect(rig, "10.12.170.20", "10.12.170.5");
	assert_true(rig_client_was_reset(late));
	assert_int_equal(rig_drops(rig, DROP_VSERVER_CLOSED), before + 1);
	set_state("default", EDGE_RUNNING);
	rig_client_close(late);
	rig_client_close(c);
	c = greeted("10.12.170.20", "10.12.170.5");
	rig_client_close(c);
}

// Say text again and again, ten times a second. True: 421 came.
static bool is_timed_out(struct rig_client *c, const char *text, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		rig_send(c, text);
		rig_run_ms(rig, 100);
		if (starts(rig_heard(c), "421 4.4.2"))
			return true;
	}
	return false;
}

static struct rig_client *in_body(void)
{
	struct rig_client *c = greeted("10.12.170.20", "10.12.170.74");

	(void)rig_say(
		c, "MAIL FROM:<form@neulan.net>\r\nRCPT TO:<bob@example.org>\r\n", "250 2.1.5");
	assert_true(starts(rig_say(c, "DATA\r\n", "354"), "354"));
	return c;
}

static void test_drip_body_below_the_least_rate_is_timed_out(void **state)
{
	struct rig_client *slow, *honest;
	char fast[401] = ""; // ten times a second on a machine that has time

	(void)state;
	atomic_store(&rig_edge(rig)->tunables.command_timeout_s, 1);
	slow = in_body();
	assert_true(is_timed_out(slow, "x", 20)); // 10 octets/s
	honest = in_body();
	for (size_t i = 0; i + 1 < sizeof(fast); i++)
		fast[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : 'x';
	assert_false(is_timed_out(honest, fast, 20));

	atomic_store(&rig_edge(rig)->tunables.body_rate, 0);
	(void)is_timed_out(honest, "x", 8);
	assert_false(is_timed_out(honest, "x", 8));
	atomic_store(&rig_edge(rig)->tunables.body_rate, LIMIT_BODY_RATE);
	atomic_store(&rig_edge(rig)->tunables.command_timeout_s, LIMIT_COMMAND_S);
	rig_client_close(slow);
	rig_client_close(honest);
}

static void test_drip_command_is_timed_out(void **state)
{
	struct rig_client *c;

	(void)state;
	atomic_store(&rig_edge(rig)->tunables.command_timeout_s, 1);
	c = greeted("10.12.170.20", "10.12.170.74");
	assert_false(is_timed_out(c, "NOOP\r\n", 15));
	assert_true(is_timed_out(c, "x", 15));
	atomic_store(&rig_edge(rig)->tunables.command_timeout_s, LIMIT_COMMAND_S);
	rig_client_close(c);
}

static void test_data_before_the_greeting_is_refused(void **state)
{
	struct rig_client *c;

	(void)state;
	rig_talk_first(rig, "EHLO spam.example\r\n");
	c = rig_connect(rig, "10.12.170.50", "10.12.170.5");
	rig_talk_first(rig, NULL);
	assert_non_null(strstr(rig_say(c, "", "554"), "554 5.5.1"));
	rig_run_ms(rig, 50);
	assert_true(rig_client_saw_fin(c));
	rig_client_close(c);
}

static void send_bad(const char *dst, uint16_t port, uint8_t flags)
{
	struct segment s = {.src_port = 1234,
		.dst_port = port,
		.seq = 1,
		.ack = 1,
		.window = 1000,
		.flags = flags};

	assert_true(ip_addr_parse("10.12.170.20", &s.src) && ip_addr_parse(dst, &s.dst));
	rig_inject_segment(rig, &s);
	rig_run_ms(rig, 50);
}

static void test_packets_without_a_place_are_dropped_by_name(void **state)
{
	uint64_t strays = rig_drops(rig, DROP_TCP_NO_CONN); // of sessions that were timed out

	(void)state;
	send_bad("10.12.170.200", 25, SEGMENT_SYN);
	assert_int_equal(rig_drops(rig, DROP_IP_NOT_OURS), 1);
	send_bad("10.12.170.99", 25,
		SEGMENT_SYN); // an address of the port that no virtual server claims
	assert_int_equal(rig_drops(rig, DROP_TCP_PORT), 1);
	send_bad("10.12.170.5", 26, SEGMENT_SYN);
	assert_int_equal(rig_drops(rig, DROP_TCP_PORT), 2);
	send_bad("10.12.170.5", 25, SEGMENT_ACK);
	assert_int_equal(rig_drops(rig, DROP_TCP_NO_CONN), strays + 1);
}

// A port that is promiscuous, or behind a switch that floods, shows us what is for others.
static void test_frame_for_another_station_is_dropped_by_name(void **state)
{
	const struct frame_route route = {.src_mac = {{2, 0, 0, 0, 0, 0x77}},
		.dst_mac = {{2, 9, 9, 9, 9, 9}},
		.sums = FRAME_SUMS_SOFTWARE};
	struct segment s = {.src_port = 1234, .dst_port = 25, .window = 1000, .flags = SEGMENT_SYN};
	uint64_t before = rig_drops(rig, DROP_ETH_ADDRESS);
	uint8_t frame[2048];

	(void)state;
	assert_true(ip_addr_parse("10.12.170.20", &s.src) && ip_addr_parse("10.12.170.5", &s.dst));
	rig_inject(rig, frame, frame_build(&s, &route, frame, sizeof(frame)));
	rig_run_ms(rig, 50);
	assert_int_equal(rig_drops(rig, DROP_ETH_ADDRESS), before + 1);
}

static void test_random_frames_are_all_accounted_for(void **state)
{
	uint8_t frame[200];

	(void)state;
	srandom(7);
	for (int i = 0; i < 20000; i++) {
		uint32_t len = (uint32_t)random() % sizeof(frame);

		for (uint32_t k = 0; k < len; k++)
			frame[k] = (uint8_t)random();
		if (len > 14 && i % 2 == 0)
			memcpy(frame + 12, "\x08\x00\x45\x00", 4);
		rig_inject(rig, frame, len);
	}
	rig_run_ms(rig, 300);
	assert_int_equal(rig_received(rig), rig_accounted(rig));
	rig_client_close(greeted("10.12.170.20", "10.12.170.74"));
}

struct found {
	unsigned messages;
	bool dot;
};

static void on_segment(void *user, uint64_t segment, uint64_t octets)
{
	(void)user;
	(void)segment;
	(void)octets;
}

static void on_corrupt(void *user, uint64_t segment, uint64_t offset)
{
	(void)user;
	(void)segment;
	(void)offset;
	fail_msg("corrupt record in a spool that nobody damaged");
}

static void on_message(void *user, const struct spool_message *m)
{
	struct found *found = user;

	found->messages++;
	if (m->commit.rcpt_count == 1 && strcmp(m->rcpts[0], "bob@example.org") == 0)
		found->dot = strcmp(m->sender, "form@neulan.net") == 0 &&
			     strcmp(m->vserver, "relay") == 0;
}

// Runs last: what was answered by 250 is on disk, and nothing else.
static void test_spool_has_what_was_acknowledged(void **state)
{
	struct spool_reader *reader;
	struct found found = {0};
	struct spool_scan scan = {.message = on_message,
		.segment = on_segment,
		.corrupt = on_corrupt,
		.user = &found};

	(void)state;
	rig_run_ms(rig, 100); // what is in a ring between workers is in neither sum
	rig_stop(rig);
	assert_int_equal(rig_received(rig), rig_accounted(rig));
	assert_int_equal(spool_reader_open(disk_real(), rig_spool(rig), &reader), ERR_OK);
	assert_int_equal(spool_reader_scan(reader, &scan), ERR_OK);
	spool_reader_close(reader);
	assert_int_equal(found.messages, 2);
	assert_true(found.dot);
}

static int start(void **state)
{
	(void)state;
	rig = rig_start(yaml);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_free(rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_listed_address_relays),
		cmocka_unit_test(test_session_unlisted_address_is_refused_relay),
		cmocka_unit_test(test_session_default_relays_for_nobody),
		cmocka_unit_test(test_session_pipelined_mails_are_answered_in_order),
		cmocka_unit_test(test_syn_outside_the_vpn_is_reset),
		cmocka_unit_test(test_syn_refused_by_drop_gets_no_answer),
		cmocka_unit_test(test_connection_refused_by_reply_says_554),
		cmocka_unit_test(test_connection_over_the_clients_limit_gets_421),
		cmocka_unit_test(test_vserver_drain_ends_idle_sessions_and_refuses_new_ones),
		cmocka_unit_test(test_drip_body_below_the_least_rate_is_timed_out),
		cmocka_unit_test(test_drip_command_is_timed_out),
		cmocka_unit_test(test_data_before_the_greeting_is_refused),
		cmocka_unit_test(test_packets_without_a_place_are_dropped_by_name),
		cmocka_unit_test(test_frame_for_another_station_is_dropped_by_name),
		cmocka_unit_test(test_random_frames_are_all_accounted_for),
		cmocka_unit_test(test_spool_has_what_was_acknowledged),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
