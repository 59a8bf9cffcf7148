// Sessions under TLS, turn by turn: the worker is real, handshake threads are the test's, clients are OpenSSL's in memory. The keys are
// random, so octets differ from run to run; records, segments and what is inside of them do not.

#include "tests/unit/tls_world.h"

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "control/tls/handshaker.h"
#include "dataplane/conn_tls.h"
#include "dataplane/name_record.h"
#include "tls/tls_job.h"
#include "turn_rig.h"

enum { WIRE = 65536, APPLICATION_DATA = 23 };

static struct turn_rig *rig;
static char directory[] = "/tmp/postern-tls-XXXXXX";
static char yaml[2048];
static bool hang; // handshake threads do nothing

// Both sides of one session: TCP's client, and TLS above it.
struct talker {
	struct turn_client *tcp;
	struct tls_client tls;
	char text[WIRE];  // decrypted since the last talk()
	size_t len, seen; // seen: of tcp->text
	bool ended;       // close_notify came
};

static struct edge_vserver_counters *counters(void)
{
	return &rig->edge.workers[0]->vservers[0];
}

static void serve_jobs(void)
{
	void *job;

	for (unsigned t = 0; t < LIMIT_TLS_THREADS && !hang; t++)
		while (rte_ring_sc_dequeue(conn_tls_jobs(rig->w, t), &job) == 0) {
			handshaker_step(job);
			assert_int_equal(rte_ring_sp_enqueue(conn_tls_answers(rig->w, t), job), 0);
		}
}

static void run_turns(unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		serve_jobs();
		turn_rig_run_us(rig, TURN_US);
	}
}

// What came to TLS, and what TLS wants to say, piece by piece.
static void hear(struct talker *t)
{
	int n;

	tls_client_give(&t->tls, (const uint8_t *)t->tcp->text + t->seen, t->tcp->len - t->seen);
	t->seen = t->tcp->len;
	while (SSL_is_init_finished(t->tls.ssl) &&
		(n = SSL_read(t->tls.ssl, t->text + t->len, (int)(WIRE - 1 - t->len))) > 0)
		t->len += (size_t)n;
	t->text[t->len] = '\0';
	t->ended = (SSL_get_shutdown(t->tls.ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

static void say_wire(struct talker *t, size_t piece)
{
	static uint8_t wire[WIRE];
	size_t n = tls_client_take(&t->tls, wire, WIRE);

	for (size_t at = 0; at < n && t->tcp->conn != NULL; at += piece) {
		turn_rig_send_octets(
			t->tcp, (struct slice){wire + at, n - at < piece ? n - at : piece});
		if (piece < n)
			run_turns(1);
	}
}

static bool shake(struct talker *t, size_t piece)
{
	for (int i = 0; i < 200; i++) {
		hear(t);
		bool done = SSL_do_handshake(t->tls.ssl) == 1;

		say_wire(t, piece);
		if (done)
			return true;
		run_turns(2);
	}
	return false;
}

static struct talker *talker_plain(const char *to)
{
	static struct talker pool[64];
	static unsigned next;
	struct talker *t = &pool[next++ % 64];

	memset(t, 0, sizeof(*t));
	t->tcp = turn_rig_connect(rig, "10.12.170.20", to);
	(void)turn_rig_say(t->tcp, "EHLO before.example\r\n", "250 ");
	return t;
}

static void start_tls(struct talker *t, int version)
{
	(void)turn_rig_say(t->tcp, "STARTTLS\r\n", "220 2.0.0 Ready");
	t->seen = t->tcp->len;
	tls_client_open(&t->tls, version, NULL);
}

// In TLS, after EHLO.
static const char *talk(struct talker *t, const char *text)
{
	t->len = 0;
	if (*text != '\0')
		assert_int_equal(SSL_write(t->tls.ssl, text, (int)strlen(text)), (int)strlen(text));
	say_wire(t, WIRE);
	run_turns(12);
	hear(t);
	return t->text;
}

static struct talker *talker_new(int version, size_t piece)
{
	struct talker *t = talker_plain("10.12.170.5");

	start_tls(t, version);
	assert_true(shake(t, piece));
	assert_non_null(strstr(talk(t, "EHLO client.example\r\n"), "250 ENHANCED"));
	return t;
}

static void talker_free(struct talker *t)
{
	turn_rig_close(t->tcp);
	tls_client_close(&t->tls);
}

static const char mail[] = "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@neulan.net>\r\nDATA\r\n";

// Records of one kind among what was heard from octet `from` on.
static unsigned records(const struct turn_client *c, size_t from)
{
	unsigned count = 0;

	for (size_t at = from; at + 5 <= c->len;) {
		const uint8_t *r = (const uint8_t *)c->text + at;

		count += r[0] == APPLICATION_DATA;
		at += 5 + (size_t)(r[3] << 8 | r[4]);
	}
	return count;
}

static void test_tls_replies_of_one_burst_are_one_record_in_one_segment(void **state)
{
	struct talker *t = talker_new(TLS1_3_VERSION, WIRE);
	size_t from = t->tcp->len;

	(void)state;
	turn_rig_forget(rig);
	assert_non_null(strstr(talk(t, mail), "354 "));
	assert_non_null(strstr(t->text, "250 2.1.0"));
	assert_int_equal(records(t->tcp, from), 1);
	assert_int_equal(turn_rig_data(rig), 1);
	assert_int_equal(turn_rig_bare(rig), 0);
	assert_non_null(strstr(talk(t, "text\r\n.\r\n"), "250 2.6.0"));
	talker_free(t);
}

static void test_tls_goodbye_close_notify_and_fin_share_one_segment(void **state)
{
	struct talker *t = talker_new(TLS1_2_VERSION, WIRE);

	(void)state;
	turn_rig_forget(rig);
	assert_non_null(strstr(talk(t, "QUIT\r\n"), "221 2.0.0"));
	assert_true(t->ended);
	assert_true(t->tcp->fin);
	assert_int_equal(turn_rig_data(rig), 1);
	assert_true(rig->segments[0].flags & SEGMENT_FIN);
	talker_free(t);
}

static void test_tls_handshake_and_records_octet_by_octet(void **state)
{
	struct talker *t = talker_new(TLS1_3_VERSION, 1);
	uint32_t before = rig->committed;

	(void)state;
	// Each command in records of one octet, then the records cut.
	for (const char *at = mail; *at != '\0'; at++)
		assert_int_equal(SSL_write(t->tls.ssl, at, 1), 1);
	say_wire(t, 7);
	assert_non_null(strstr(talk(t, ""), "354 "));
	assert_non_null(strstr(talk(t, "a\r\n.\r\n"), "250 2.6.0"));
	assert_int_equal(rig->committed, before + 1);
	talker_free(t);
}

static void test_tls_large_records_over_many_segments_arrive_whole(void **state)
{
	static char text[16384];
	struct talker *t = talker_new(TLS1_2_VERSION, WIRE);
	uint64_t before = rig->spooled;

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 64; i < sizeof(text); i += 64)
		memcpy(text + i - 2, "\r\n", 2);
	memcpy(text + sizeof(text) - 2, "\r\n", 2);
	assert_non_null(strstr(talk(t, mail), "354 "));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(SSL_write(t->tls.ssl, text, sizeof(text)), sizeof(text));
		say_wire(t, WIRE);
		run_turns(20);
	}
	assert_non_null(strstr(talk(t, ".\r\n"), "250 2.6.0"));
	assert_true(rig->spooled - before > 20 * sizeof(text));
	assert_true(rig->spooled - before < 20 * sizeof(text) + 1000);
	talker_free(t);
}

// What follows the dot in the same record waits for the commit, decrypted, and is not lost when the client has left meanwhile.
static void test_tls_what_is_behind_a_commit_waits_for_it(void **state)
{
	struct talker *t = talker_new(TLS1_3_VERSION, WIRE);
	uint32_t before = rig->committed, rate = rig->spool_rate;

	(void)state;
	assert_non_null(strstr(talk(t, mail), "354 "));
	rig->spool_rate = 0;
	(void)talk(
		t, "one\r\n.\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@neulan.net>\r\nDATA\r\n");
	assert_int_equal(t->len, 0);
	(void)talk(t, "two\r\n.\r\nQUIT\r\n");
	(void)SSL_shutdown(t->tls.ssl);
	say_wire(t, WIRE);
	assert_int_equal(rig->committed, before);
	rig->spool_rate = rate;
	run_turns(30);
	hear(t);
	assert_int_equal(rig->committed, before + 2);
	assert_non_null(strstr(t->text, "221 2.0.0"));
	assert_true(t->ended);
	talker_free(t);
}

static void test_tls_commands_behind_starttls_are_refused(void **state)
{
	struct talker *t = talker_plain("10.12.170.5");
	uint64_t before = atomic_load(&counters()->tls_early);

	(void)state;
	(void)turn_rig_say(t->tcp, "STARTTLS\r\nEHLO x\r\n", "554 5.5.1 You talked between");
	assert_null(strstr(t->tcp->text, "220 "));
	run_turns(4);
	assert_true(t->tcp->fin);
	turn_rig_close(t->tcp);
	// Two segments of one burst: the second came before the 220 had left.
	t = talker_plain("10.12.170.5");
	turn_rig_send(t->tcp, "STARTTLS\r\n");
	turn_rig_send(t->tcp, "EHLO x\r\nMAIL FROM:<a@example.org>\r\n");
	run_turns(10);
	assert_null(strstr(t->tcp->text, "250"));
	assert_true(t->tcp->fin);
	turn_rig_close(t->tcp);
	// Later: it is a ClientHello that is none.
	t = talker_plain("10.12.170.5");
	(void)turn_rig_say(t->tcp, "STARTTLS\r\n", "220 ");
	turn_rig_send(t->tcp, "EHLO x\r\nMAIL FROM:<a@example.org>\r\n");
	run_turns(10);
	assert_null(strstr(t->tcp->text, "250"));
	assert_true(t->tcp->fin || t->tcp->reset);
	turn_rig_close(t->tcp);
	assert_int_equal(atomic_load(&counters()->tls_early), before + 2);
}

static void test_tls_nothing_said_before_is_known_inside(void **state)
{
	struct talker *t = talker_plain("10.12.170.5");

	(void)state;
	start_tls(t, TLS1_3_VERSION);
	assert_true(shake(t, WIRE));
	assert_non_null(strstr(talk(t, "MAIL FROM:<a@example.org>\r\n"), "503 "));
	assert_non_null(strstr(talk(t, "STARTTLS\r\n"), "503 "));
	talker_free(t);
}

static struct talker *talker_465(const char *from, const char *to)
{
	struct talker *t = talker_plain("10.12.170.5");

	turn_rig_close(t->tcp);
	memset(t, 0, sizeof(*t));
	t->tcp = turn_rig_connect_port(rig, from, to, 465);
	tls_client_open(&t->tls, TLS1_3_VERSION, NULL);
	return t;
}

static void test_tls_port_465_speaks_it_first(void **state)
{
	struct talker *t = talker_465("10.12.170.20", "10.12.170.5");

	(void)state;
	run_turns(20);
	assert_int_equal(t->tcp->len, 0);
	assert_true(shake(t, WIRE));
	assert_non_null(strstr(talk(t, ""), "220 mail.neulan.net"));
	assert_null(strstr(talk(t, "EHLO client.example\r\n"), "STARTTLS"));
	assert_non_null(strstr(talk(t, mail), "354 "));
	talker_free(t);
	// Somebody who speaks SMTP there.
	t->tcp = turn_rig_connect_port(rig, "10.12.170.20", "10.12.170.5", 465);
	turn_rig_send(t->tcp, "EHLO x\r\nMAIL FROM:<a@example.org>\r\n");
	run_turns(20);
	assert_true(t->tcp->fin || t->tcp->reset);
	assert_null(strstr(t->tcp->text, "250"));
	turn_rig_close(t->tcp);
}

// The one question that is open is answered.
static void answer_name(uint8_t status, const char *name)
{
	struct name_question q;
	struct name_answer answer;

	assert_int_equal(
		rte_ring_sc_dequeue_elem(rig->w->shared->name_questions, &q, sizeof(q)), 0);
	answer = (struct name_answer){.entry = q.entry,
		.serial = q.serial,
		.ttl_s = 1,
		.status = status,
		.count = status == NAME_FOUND};
	(void)snprintf(answer.text, sizeof(answer.text), "%s", name);
	assert_int_equal(
		rte_ring_sp_enqueue_elem(rig->w->shared->name_answers, &answer, sizeof(answer)), 0);
}

static void test_tls_port_465_waits_for_the_name_before_the_handshake(void **state)
{
	struct talker *t = talker_465("10.12.170.30", "10.12.170.6");

	(void)state;
	// A ClientHello does not wait for a greeting, so it is no early talker.
	(void)SSL_do_handshake(t->tls.ssl);
	say_wire(t, WIRE);
	run_turns(20);
	assert_int_equal(t->tcp->len, 0);
	assert_int_equal(atomic_load(&rig->edge.workers[0]->tls_open), 0);
	answer_name(NAME_FOUND, "laptop6247.neulan.net");
	assert_true(shake(t, WIRE));
	assert_non_null(strstr(talk(t, ""), "220 names.neulan.net"));
	talker_free(t);
	run_turns(6000); // its name is forgotten
	t = talker_465("10.12.170.30", "10.12.170.6");
	run_turns(20);
	answer_name(NAME_NONE, "");
	run_turns(20);
	assert_true(t->tcp->fin || t->tcp->reset);
	assert_int_equal(t->tcp->len, 0);
	talker_free(t);
}

// A handshake goes on while it is found out once more who the client is; it is not begun again, and has no more time than before.
static void test_tls_name_is_asked_for_again_in_a_handshake(void **state)
{
	struct talker *t;

	(void)state;
	run_turns(12000);
	t = talker_465("10.12.170.30", "10.12.170.6");
	run_turns(20);
	answer_name(NAME_FOUND, "laptop6247.neulan.net");
	run_turns(6000);
	(void)SSL_do_handshake(t->tls.ssl);
	say_wire(t, WIRE);
	assert_int_equal(atomic_load(&rig->edge.workers[0]->tls_open), 1);
	turn_rig_reload(rig, yaml);
	atomic_store(&rig->edge.vservers[0].state,
		EDGE_DRAINING); // so that all sessions are gone through
	turn_rig_run_us(rig, 20 * TURN_US);
	atomic_store(&rig->edge.vservers[0].state, EDGE_RUNNING);
	answer_name(NAME_FOUND, "laptop6247.neulan.net");
	turn_rig_run_us(rig, 20 * TURN_US);
	assert_int_equal(atomic_load(&rig->edge.workers[0]->tls_open), 1);
	assert_true(shake(t, WIRE));
	assert_non_null(strstr(talk(t, ""), "220 names.neulan.net"));
	assert_non_null(strstr(talk(t, "NOOP\r\n"), "250 "));
	talker_free(t);
	run_turns(4);
	assert_int_equal(atomic_load(&rig->edge.workers[0]->tls_open), 0);
}

static void test_tls_handshakes_that_hang_hold_up_nobody(void **state)
{
	struct talker *t = talker_plain("10.12.170.5"), *plain = talker_plain("10.12.170.5");
	uint64_t failed = atomic_load(&counters()->tls_failed);
	struct talker *silent = talker_plain("10.12.170.5");

	(void)state;
	hang = true;
	(void)turn_rig_say(silent->tcp, "STARTTLS\r\n", "220 ");
	start_tls(t, TLS1_3_VERSION);
	(void)SSL_do_handshake(t->tls.ssl);
	say_wire(t, WIRE);
	for (int i = 0; i < 40; i++) {
		turn_rig_run_us(rig, 1000000);
		if (i < 25)
			(void)turn_rig_say(plain->tcp, "NOOP\r\n", "250 ");
	}
	assert_true(silent->tcp->fin);
	assert_true(t->tcp->fin);
	assert_int_equal(atomic_load(&counters()->tls_failed), failed + 2);
	hang = false;
	talker_free(t);
	turn_rig_close(plain->tcp);
	turn_rig_close(silent->tcp);
	run_turns(10);
	assert_int_equal(atomic_load(&rig->edge.workers[0]->tls_open), 0);
}

// The answer for a connection that was reset meanwhile finds nobody, and its session is freed all the same.
static void test_tls_answer_for_a_connection_that_is_gone_is_dropped(void **state)
{
	struct talker *t = talker_plain("10.12.170.5");

	(void)state;
	start_tls(t, TLS1_3_VERSION);
	(void)SSL_do_handshake(t->tls.ssl);
	hang = true;
	say_wire(t, WIRE);
	turn_rig_run_us(rig, 2000);
	talker_free(t); // RST
	turn_rig_run_us(rig, 2000);
	assert_int_equal(atomic_load(&rig->edge.workers[0]->tls_open), 1);
	hang = false;
	run_turns(4);
	assert_int_equal(atomic_load(&rig->edge.workers[0]->tls_open), 0);
}

static void test_tls_more_handshakes_of_a_client_than_it_may_have_are_deferred(void **state)
{
	struct talker *all[LIMIT_TLS_HANDSHAKES_PER_CLIENT + 1];
	uint64_t refused = atomic_load(&counters()->tls_refused);

	(void)state;
	for (int i = 0; i <= LIMIT_TLS_HANDSHAKES_PER_CLIENT; i++)
		all[i] = talker_plain("10.12.170.5");
	for (int i = 0; i < LIMIT_TLS_HANDSHAKES_PER_CLIENT; i++)
		(void)turn_rig_say(all[i]->tcp, "STARTTLS\r\n", "220 ");
	(void)turn_rig_say(
		all[LIMIT_TLS_HANDSHAKES_PER_CLIENT]->tcp, "STARTTLS\r\n", "454 4.7.0 TLS not");
	(void)turn_rig_say(all[LIMIT_TLS_HANDSHAKES_PER_CLIENT]->tcp, "NOOP\r\n", "250 ");
	assert_int_equal(atomic_load(&counters()->tls_refused), refused + 1);
	for (int i = 0; i <= LIMIT_TLS_HANDSHAKES_PER_CLIENT; i++)
		turn_rig_close(all[i]->tcp);
	run_turns(4);
	assert_int_equal(atomic_load(&rig->edge.workers[0]->tls_open), 0);
}

// A session in the clear has none of OpenSSL's memory, and no place.
static void test_tls_costs_plain_sessions_no_memory(void **state)
{
	uint64_t shared = tls_memory_shared_octets();
	struct talker *plain = talker_plain("10.12.170.5");

	(void)state;
	(void)turn_rig_say(plain->tcp, mail, "354 ");
	(void)turn_rig_say(plain->tcp, "text\r\n.\r\n", "250 2.6.0");
	assert_int_equal(tls_memory_shared_octets(), shared);
	assert_int_equal(atomic_load(&rig->edge.workers[0]->tls_open), 0);
	turn_rig_close(plain->tcp);
}

static int start(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	tls_world_certify(directory, "mail", 3600);
	(void)snprintf(yaml, sizeof(yaml),
		"dataplane: {workers: [0], memory: 512MiB, huge_pages: no}\n"
		"ports: [{device: net_ring_rig, addresses: [10.12.170.5/24, 10.12.170.6/24]}]\n"
		"own_networks: [10.12.0.0/16]\n"
		"routes: [{domains: [\"*\"], to: [\"127.0.0.1:25\"]}]\n"
		"virtual_servers:\n"
		"  - {name: default, listen: [10.12.170.5, \"10.12.170.5:465\"], fqdn: "
		"mail.neulan.net,\n"
		"     local_domains: [neulan.net], tls: {certificate: %s/mail.pem, key: "
		"%s/mail.key}}\n"
		"  - {name: names, listen: [10.12.170.6, \"10.12.170.6:465\"], fqdn: "
		"names.neulan.net,\n"
		"     connections: {only: [laptop6247.neulan.net], refuse: reply}, local_domains: "
		"[neulan.net],\n"
		"     tls: {certificate: %s/mail.pem, key: %s/mail.key}}\n",
		directory, directory, directory, directory);
	rig = turn_rig_start(yaml);
	return 0;
}

static int stop(void **state)
{
	char path[64];

	(void)state;
	turn_rig_free(rig);
	(void)snprintf(path, sizeof(path), "%s/mail.pem", directory);
	unlink(path);
	(void)snprintf(path, sizeof(path), "%s/mail.key", directory);
	unlink(path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls_replies_of_one_burst_are_one_record_in_one_segment),
		cmocka_unit_test(test_tls_goodbye_close_notify_and_fin_share_one_segment),
		cmocka_unit_test(test_tls_handshake_and_records_octet_by_octet),
		cmocka_unit_test(test_tls_large_records_over_many_segments_arrive_whole),
		cmocka_unit_test(test_tls_what_is_behind_a_commit_waits_for_it),
		cmocka_unit_test(test_tls_commands_behind_starttls_are_refused),
		cmocka_unit_test(test_tls_nothing_said_before_is_known_inside),
		cmocka_unit_test(test_tls_port_465_speaks_it_first),
		cmocka_unit_test(test_tls_port_465_waits_for_the_name_before_the_handshake),
		cmocka_unit_test(test_tls_name_is_asked_for_again_in_a_handshake),
		cmocka_unit_test(test_tls_handshakes_that_hang_hold_up_nobody),
		cmocka_unit_test(test_tls_answer_for_a_connection_that_is_gone_is_dropped),
		cmocka_unit_test(
			test_tls_more_handshakes_of_a_client_than_it_may_have_are_deferred),
		cmocka_unit_test(test_tls_costs_plain_sessions_no_memory),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
