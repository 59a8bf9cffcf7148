// With --table the program prints the whole machine; tests/golden/smtp_session.fsm is that. Each pair is provoked by a dialogue.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/smtp_owner.h"

static const char message[] = "MAIL FROM:<a@foreign.example>\r\nRCPT TO:<b@neulan.net>\r\nDATA\r\n";

static struct smtp_step step(struct owner *o, const char *text)
{
	uint8_t reply[SMTP_REPLY_MAX_OCTETS];
	struct smtp_io io = owner_io(o, reply);
	struct smtp_step result =
		smtp_session_step(&o->s, (struct slice){(const uint8_t *)text, strlen(text)}, &io);

	owner_heard(o, &io);
	return result;
}

static void lead_to(struct owner *o, enum smtp_state state)
{
	owner_init(o, 4096, OWNER_BLOCKS);
	o->service.tls = true;
	if (state == SMTP_ST_GREET)
		return;
	owner_feed_text(o, "HELO x\r\n");
	if (state == SMTP_ST_TLS_VERDICT)
		(void)step(o, "STARTTLS\r\n");
	if (state == SMTP_ST_MAIL_VERDICT)
		(void)step(o, "MAIL FROM:<a@foreign.example>\r\n");
	if (state == SMTP_ST_MAIL || state >= SMTP_ST_RCPT_VERDICT)
		owner_feed_text(o, "MAIL FROM:<a@foreign.example>\r\n");
	if (state == SMTP_ST_RCPT_VERDICT)
		(void)step(o, "RCPT TO:<b@neulan.net>\r\n");
	if (state >= SMTP_ST_RCPT)
		owner_feed_text(o, "RCPT TO:<b@neulan.net>\r\n");
	if (state == SMTP_ST_DATA_VERDICT)
		(void)step(o, "DATA\r\n");
	if (state >= SMTP_ST_BODY)
		owner_feed_text(o, "DATA\r\n");
	if (state == SMTP_ST_COMMIT)
		(void)step(o, "text\r\n.\r\n");
	if (state == SMTP_ST_CLOSED)
		owner_feed_text(o, ".\r\nQUIT\r\n");
	assert_int_equal(o->s.state, state);
}

static bool is_waiting(enum smtp_state state)
{
	return state == SMTP_ST_TLS_VERDICT || state == SMTP_ST_MAIL_VERDICT ||
	       state == SMTP_ST_RCPT_VERDICT || state == SMTP_ST_DATA_VERDICT ||
	       state == SMTP_ST_COMMIT;
}

static bool may_be_fed(enum smtp_state state, enum smtp_event ev)
{
	bool verdict = ev == SMTP_EV_ALLOW || ev == SMTP_EV_DENY;
	bool end = ev == SMTP_EV_END_GOOD || ev == SMTP_EV_END_BAD || ev == SMTP_EV_END_FATAL;

	if (state == SMTP_ST_CLOSED)
		return false;
	return verdict == is_waiting(state) && end == (state == SMTP_ST_BODY);
}

static const char *const lines[] = {
	[SMTP_EV_EHLO] = "EHLO x\r\n",
	[SMTP_EV_HELO] = "HELO x\r\n",
	[SMTP_EV_STARTTLS] = "STARTTLS\r\n",
	[SMTP_EV_MAIL] = "MAIL FROM:<c@foreign.example>\r\n",
	[SMTP_EV_RCPT] = "RCPT TO:<d@neulan.net>\r\n",
	[SMTP_EV_DATA] = "DATA\r\n",
	[SMTP_EV_END_GOOD] = "text\r\n.\r\n",
	[SMTP_EV_END_BAD] = "Received:\r\nReceived:\r\nReceived:\r\n.\r\n",
	[SMTP_EV_END_FATAL] = "text\n\r\n.\r\n",
	[SMTP_EV_RSET] = "RSET\r\n",
	[SMTP_EV_NOOP] = "NOOP\r\n",
	[SMTP_EV_VRFY] = "VRFY x\r\n",
	[SMTP_EV_HELP] = "HELP\r\n",
	[SMTP_EV_QUIT] = "QUIT\r\n",
};

static enum smtp_reply allowing(enum smtp_state state)
{
	switch ((int)state) {
	case SMTP_ST_TLS_VERDICT:
		return SMTP_REPLY_TLS_READY;
	case SMTP_ST_MAIL_VERDICT:
		return SMTP_REPLY_MAIL_OK;
	case SMTP_ST_RCPT_VERDICT:
		return SMTP_REPLY_RCPT_OK;
	case SMTP_ST_DATA_VERDICT:
		return SMTP_REPLY_DATA;
	default:
		return SMTP_REPLY_QUEUED;
	}
}

static struct smtp_step provoke(struct owner *o, enum smtp_event ev)
{
	struct smtp_step result;
	size_t done;

	if (ev == SMTP_EV_ALLOW)
		return owner_verdict(o, allowing((enum smtp_state)o->s.state), "");
	if (ev == SMTP_EV_DENY)
		return owner_verdict(o, SMTP_REPLY_DEFER_STORE, "");
	result = step(o, lines[ev]);
	done = result.consumed;
	// A message is refused, then read to its end.
	while (result.need == SMTP_NEED_ABORT) {
		result = step(o, lines[ev] + done);
		done += result.consumed;
	}
	assert_int_equal(done, strlen(lines[ev]));
	return result;
}

static const char *const needs[] = {"input", "again", "ask_tls", "ask_mail", "ask_rcpt", "ask_data",
	"body", "commit", "abort", "close"};

static void print_pair(FILE *out, enum smtp_state state, enum smtp_event ev)
{
	struct owner o;
	struct smtp_step result;

	lead_to(&o, state);
	result = provoke(&o, ev);
	assert_int_equal(o.last_io.event, ev);
	(void)fprintf(out, "%-12s %-9s -> %-12s %3u %s\n", smtp_session_state_name(state),
		smtp_session_event_name(ev), smtp_session_state_name((enum smtp_state)o.s.state),
		(unsigned)smtp_reply_code(o.last_io.replied), needs[result.need]);
	owner_free(&o);
}

static void print_table(FILE *out)
{
	for (int state = 0; state < SMTP_ST_COUNT; state++)
		for (int ev = 0; ev < SMTP_EV_COUNT; ev++)
			if (may_be_fed((enum smtp_state)state, (enum smtp_event)ev))
				print_pair(out, (enum smtp_state)state, (enum smtp_event)ev);
}

static void test_session_table_is_the_golden_one(void **state)
{
	const char *source = getenv("POSTERN_SOURCE");
	char path[256], want[16384] = "", *got = NULL;
	size_t len = 0;
	FILE *golden, *out = open_memstream(&got, &len);

	(void)state;
	print_table(out);
	(void)fclose(out);
	(void)snprintf(path, sizeof(path), "%s/tests/golden/smtp_session.fsm",
		source != NULL ? source : ".");
	golden = fopen(path, "r");
	assert_non_null(golden);
	assert_true(fread(want, 1, sizeof(want) - 1, golden) > 0);
	(void)fclose(golden);
	assert_string_equal(got, want);
	free(got);
}

// What may not be fed is our own bug, and ends the process.
static bool aborts(enum smtp_state state, bool with_verdict)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct owner o;

		(void)signal(SIGABRT, SIG_DFL);
		(void)freopen("/dev/null", "w", stderr);
		lead_to(&o, state);
		if (with_verdict)
			(void)owner_verdict(&o, SMTP_REPLY_OK, "");
		else
			(void)step(&o, "NOOP\r\n");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_session_wrong_call_in_any_state_asserts(void **state)
{
	(void)state;
	for (int st = 0; st < SMTP_ST_COUNT; st++) {
		bool waits = is_waiting((enum smtp_state)st);

		assert_int_equal(aborts((enum smtp_state)st, true), !waits);
		assert_int_equal(aborts((enum smtp_state)st, false), waits || st == SMTP_ST_CLOSED);
	}
}

// At the end of a session in any state everything is given back (owner_free() looks).
static void test_session_end_in_any_state_gives_all_back(void **state)
{
	(void)state;
	for (int st = 0; st < SMTP_ST_CLOSED; st++) {
		uint8_t reply[SMTP_REPLY_MAX_OCTETS];
		struct owner o;
		struct smtp_io io;

		lead_to(&o, (enum smtp_state)st);
		(void)owner_said(&o);
		io = owner_io(&o, reply);
		smtp_session_end(&o.s, SMTP_REPLY_TIMEOUT, &io);
		owner_heard(&o, &io);
		assert_string_equal(
			owner_said(&o), "421 4.4.2 mx.neulan.net timed out waiting for you\r\n");
		assert_int_equal(o.s.state, SMTP_ST_CLOSED);
		assert_int_equal(o.pool.free_count, o.pool.count);
		owner_free(&o);
	}
}

static void test_session_freed_in_any_state_gives_all_back(void **state)
{
	(void)state;
	for (int st = 0; st < SMTP_ST_COUNT; st++) {
		struct owner o;

		lead_to(&o, (enum smtp_state)st);
		owner_free(&o);
	}
}

static void test_session_greeting_that_refuses_closes(void **state)
{
	static const struct {
		enum smtp_reply greeting;
		const char *said;
	} rows[] = {
		{SMTP_REPLY_CONNECT_REFUSED,
			"554 5.7.1 mx.neulan.net you may not connect here\r\n"},
		{SMTP_REPLY_EARLY_TALKER, "554 5.5.1 You talked before the greeting\r\n"},
		{SMTP_REPLY_TOO_MANY_CONNECTIONS,
			"421 4.7.0 mx.neulan.net too many connections from your address\r\n"},
		{SMTP_REPLY_SHUTTING_DOWN,
			"421 4.3.2 mx.neulan.net service shutting down, try again\r\n"},
		{SMTP_REPLY_SPOOL_DOWN, "421 4.3.0 mx.neulan.net cannot store mail, try later\r\n"},
		{SMTP_REPLY_NO_LONGER_ALLOWED,
			"421 4.7.1 mx.neulan.net your address may no longer connect\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t reply[SMTP_REPLY_MAX_OCTETS];
		struct owner o;
		struct smtp_io io;

		lead_to(&o, SMTP_ST_GREET);
		io = owner_io(&o, reply);
		smtp_session_greet(&o.s, rows[i].greeting, &io);
		owner_heard(&o, &io);
		assert_string_equal(owner_said(&o), rows[i].said);
		assert_int_equal(o.s.state, SMTP_ST_CLOSED);
		assert_int_equal(o.last_io.replied, rows[i].greeting);
		owner_free(&o);
	}
}

static void test_session_verdict_421_closes_in_any_waiting_state(void **state)
{
	(void)state;
	for (int st = 0; st < SMTP_ST_COUNT; st++) {
		struct owner o;

		if (!is_waiting((enum smtp_state)st))
			continue;
		lead_to(&o, (enum smtp_state)st);
		assert_int_equal(
			owner_verdict(&o, SMTP_REPLY_SPOOL_DOWN, "").need, SMTP_NEED_CLOSE);
		assert_int_equal(o.s.state, SMTP_ST_CLOSED);
		owner_free(&o);
	}
}

static void test_session_verdict_argument_is_used_when_given(void **state)
{
	struct owner o;

	(void)state;
	lead_to(&o, SMTP_ST_RCPT_VERDICT);
	(void)owner_said(&o);
	(void)owner_verdict(&o, SMTP_REPLY_RELAY_DENIED, "");
	(void)step(&o, "RCPT TO:<c@neulan.net>\r\n");
	(void)owner_verdict(&o, SMTP_REPLY_NO_SUCH_USER, "somebody");
	assert_string_equal(owner_said(&o), "550 5.7.1 Unable to relay for b@neulan.net\r\n"
					    "550 5.1.1 somebody: no such user here\r\n");
	owner_free(&o);
}

static void test_session_long_name_takes_a_block_and_a_short_one_gives_it_back(void **state)
{
	struct owner o;
	char text[300] = "EHLO ";

	(void)state;
	owner_init(&o, 4096, 1);
	memset(text + 5, 'b', 255);
	memcpy(text + 260, "\r\n", 3);
	owner_feed_text(&o, text);
	assert_int_equal(o.pool.free_count, 0);
	assert_int_equal(smtp_session_helo(&o.s).len, 255);
	owner_feed_text(&o, text);
	assert_int_equal(o.s.state, SMTP_ST_READY);
	memcpy(text + 69, "\r\n", 3);
	owner_feed_text(&o, text);
	assert_int_equal(o.pool.free_count, 1);
	assert_int_equal(smtp_session_helo(&o.s).len, 64);
	assert_memory_equal(smtp_session_helo(&o.s).at, text + 5, 64);
	owner_feed_text(&o, "QUIT\r\n");
	assert_int_equal(smtp_session_helo(&o.s).len, 64);
	owner_free(&o);
	assert_int_equal(smtp_session_helo(&o.s).len, 0);
}

static void test_session_idle_holds_no_block_and_is_small(void **state)
{
	struct owner o;

	(void)state;
	lead_to(&o, SMTP_ST_READY);
	assert_int_equal(o.pool.free_count, o.pool.count);
	assert_true(sizeof(struct smtp_session) <= 80);
	owner_free(&o);
}

static void test_session_many_recipients_keep_their_order(void **state)
{
	struct smtp_rcpt_cursor cursor = {0};
	struct slice address;
	struct owner o;
	char line[200];
	int n = 0;

	(void)state;
	owner_init(&o, 4096, 300);
	o.service.limits.recipients = 1000;
	owner_feed_text(&o, "HELO x\r\nMAIL FROM:<>\r\n");
	for (int i = 0; i < 1001; i++) {
		(void)snprintf(line, sizeof(line), "RCPT TO:<user%d%.*s@neulan.net>\r\n", i, i % 50,
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		owner_feed_text(&o, line);
		o.said.len = i < 1000 ? 0 : o.said.len;
	}
	assert_string_equal(owner_said(&o), "452 4.5.3 Too many recipients\r\n");
	assert_int_equal(o.s.txn->rcpt_count, 1000);
	for (; smtp_session_next_rcpt(o.s.txn, &cursor, &address); n++) {
		int len = snprintf(line, sizeof(line), "user%d%.*s@neulan.net", n, n % 50,
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");

		assert_int_equal(address.len, len);
		assert_memory_equal(address.at, line, address.len);
	}
	assert_int_equal(n, 1000);
	assert_false(smtp_session_next_rcpt(o.s.txn, &cursor, &address));
	owner_free(&o);
}

// Blocks reserved for a recipient that was refused are used by the next one, or skipped.
static void test_session_refused_recipient_leaves_no_hole(void **state)
{
	struct smtp_rcpt_cursor cursor = {0};
	struct slice address;
	struct owner o;
	unsigned n = 0;

	(void)state;
	lead_to(&o, SMTP_ST_RCPT_VERDICT);
	(void)owner_verdict(&o, SMTP_REPLY_RELAY_DENIED, "");
	assert_false(smtp_session_next_rcpt(o.s.txn, &cursor, &address));
	o.service.limits.recipients = 100;
	for (int i = 0; i < 40; i++)
		owner_feed_text(&o, "RCPT TO:<a-name-of-some-length@foreign.example>\r\n"
				    "RCPT TO:<another-name-of-some-length@neulan.net>\r\n");
	while (smtp_session_next_rcpt(o.s.txn, &cursor, &address))
		n++;
	assert_int_equal(n, 40);
	assert_int_equal(o.s.txn->rcpt_count, 40);
	assert_int_equal(o.s.txn->rcpt_refused, 41);
	owner_free(&o);
}

static void test_session_refusals_are_free_up_to_a_limit(void **state)
{
	struct owner o;
	unsigned n = 0;

	(void)state;
	owner_init(&o, 4096, OWNER_BLOCKS);
	owner_feed_text(&o, "HELO x\r\nMAIL FROM:<>\r\n");
	while (!o.closed) {
		owner_feed_text(
			&o, n % 2 == 0 ? "RCPT TO:<a@foreign.example>\r\n" : "RCPT TO:<a%b@c>\r\n");
		n++;
	}
	assert_int_equal(n, LIMIT_REFUSALS + o.service.limits.errors);
	assert_int_equal(o.last_io.replied, SMTP_REPLY_TOO_MANY_ERRORS);
	owner_free(&o);
}

static void test_session_deferred_recipients_are_no_errors(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o, 4096, OWNER_BLOCKS);
	owner_feed_text(&o, "HELO x\r\nMAIL FROM:<>\r\n");
	for (int i = 0; i < 300; i++)
		owner_feed_text(&o, "RCPT TO:<a@defer.example>\r\n");
	assert_false(o.closed);
	assert_int_equal(o.s.errors, 0);
	owner_free(&o);
}

static void feed_line_of(struct owner *o, size_t octets)
{
	for (size_t i = 0; i + 2 < octets; i++)
		owner_feed(o, "A", 1);
	owner_feed(o, "\r\n", 2);
}

static void test_session_rfc5321_4_5_3_1_4_long_line_is_an_error(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o, 4096, OWNER_BLOCKS);
	feed_line_of(&o, LIMIT_COMMAND_LINE_OCTETS);
	assert_int_equal(o.last_io.replied, SMTP_REPLY_NONE);
	assert_string_equal(owner_said(&o), "500 5.5.2 Command not recognized\r\n");
	feed_line_of(&o, LIMIT_COMMAND_LINE_OCTETS + 1);
	assert_string_equal(owner_said(&o), "500 5.5.2 Line too long\r\n");
	assert_int_equal(o.s.errors, 2);
	feed_line_of(&o, LIMIT_COMMAND_READ_OCTETS);
	assert_string_equal(owner_said(&o), "500 5.5.2 Line too long\r\n");
	assert_false(o.closed);
	owner_free(&o);
}

static void test_session_line_without_end_closes(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o, 4096, OWNER_BLOCKS);
	for (int i = 0; i < LIMIT_COMMAND_READ_OCTETS - 1; i++)
		owner_feed(&o, "A", 1);
	assert_false(o.closed);
	owner_feed(&o, "A", 1);
	assert_true(o.closed);
	assert_string_equal(owner_said(&o), "500 5.5.2 Line too long\r\n");
	owner_free(&o);
}

static void test_session_framing_closes_with_line_framing(void **state)
{
	struct owner o;

	(void)state;
	owner_init(&o, 4096, OWNER_BLOCKS);
	owner_feed_text(&o, "NOOP\n");
	assert_true(o.closed);
	assert_int_equal(o.last_io.replied, SMTP_REPLY_LINE_FRAMING);
	owner_free(&o);
}

static void test_session_bad_run_adds_nothing_to_the_body(void **state)
{
	struct owner o;

	(void)state;
	lead_to(&o, SMTP_ST_BODY);
	assert_int_equal(step(&o, "good\r\n").need, SMTP_NEED_BODY);
	assert_int_equal(o.body.len, 6);
	assert_int_equal(step(&o, "good, then bad\n").need, SMTP_NEED_ABORT);
	assert_int_equal(o.body.len, 6);
	assert_int_equal(o.s.txn->body_verdict, SMTP_REPLY_BODY_FRAMING);
	assert_int_equal(step(&o, "more\n").need, SMTP_NEED_INPUT);
	assert_int_equal(o.body.len, 6);
	owner_free(&o);
}

// A limit that shrinks while a message comes in (a reload) is a limit all the same.
static void test_session_size_that_shrinks_within_a_message_refuses(void **state)
{
	struct owner o;

	(void)state;
	lead_to(&o, SMTP_ST_BODY);
	owner_feed_text(&o, "0123456789");
	o.service.limits.message_octets = 5;
	owner_feed_text(&o, "x");
	assert_int_equal(o.aborted, 1);
	assert_int_equal(o.s.txn->body_verdict, SMTP_REPLY_TOO_BIG);
	(void)owner_said(&o);
	owner_feed_text(&o, "\r\n.\r\n");
	assert_string_equal(
		owner_said(&o), "552 5.3.4 Message is larger than this server takes\r\n");
	owner_free(&o);
}

static void test_session_commit_that_fails_keeps_the_session(void **state)
{
	struct owner o;

	(void)state;
	lead_to(&o, SMTP_ST_COMMIT);
	(void)owner_said(&o);
	assert_int_equal(owner_verdict(&o, SMTP_REPLY_DEFER_STORE, "").need, SMTP_NEED_AGAIN);
	assert_string_equal(owner_said(&o), "451 4.3.0 Cannot store mail now, try again\r\n");
	assert_int_equal(o.pool.free_count, o.pool.count);
	o.open = false;
	o.body.len = 0;
	owner_feed_text(&o, message);
	owner_feed_text(&o, ".\r\n");
	assert_int_equal(o.committed, 1);
	owner_free(&o);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_table_is_the_golden_one),
		cmocka_unit_test(test_session_wrong_call_in_any_state_asserts),
		cmocka_unit_test(test_session_end_in_any_state_gives_all_back),
		cmocka_unit_test(test_session_freed_in_any_state_gives_all_back),
		cmocka_unit_test(test_session_greeting_that_refuses_closes),
		cmocka_unit_test(test_session_verdict_421_closes_in_any_waiting_state),
		cmocka_unit_test(test_session_verdict_argument_is_used_when_given),
		cmocka_unit_test(
			test_session_long_name_takes_a_block_and_a_short_one_gives_it_back),
		cmocka_unit_test(test_session_idle_holds_no_block_and_is_small),
		cmocka_unit_test(test_session_many_recipients_keep_their_order),
		cmocka_unit_test(test_session_refused_recipient_leaves_no_hole),
		cmocka_unit_test(test_session_refusals_are_free_up_to_a_limit),
		cmocka_unit_test(test_session_deferred_recipients_are_no_errors),
		cmocka_unit_test(test_session_rfc5321_4_5_3_1_4_long_line_is_an_error),
		cmocka_unit_test(test_session_line_without_end_closes),
		cmocka_unit_test(test_session_framing_closes_with_line_framing),
		cmocka_unit_test(test_session_bad_run_adds_nothing_to_the_body),
		cmocka_unit_test(test_session_size_that_shrinks_within_a_message_refuses),
		cmocka_unit_test(test_session_commit_that_fails_keeps_the_session),
	};

	if (argc > 1 && strcmp(argv[1], "--table") == 0) {
		print_table(stdout);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
