// The SMTP client. With --table the program prints the whole machine; the golden file is that output:
//   test_smtp_client --table > tests/golden/smtp_client.fsm

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/smtp_client.h"

static struct slice text(const char *s)
{
	return (struct slice){(const uint8_t *)s, strlen(s)};
}

// The client. A dialogue: what it says is collected in `said`.

struct dialogue {
	struct smtp_client c;
	struct smtp_client_mail mail;
	struct smtp_client_rcpt rcpts[3];
	char said[4096];
};

static void collect(struct dialogue *d)
{
	size_t n = strlen(d->said);

	assert_true(n + d->c.out_octets < sizeof(d->said));
	memcpy(d->said + n, d->c.out, d->c.out_octets);
	d->said[n + d->c.out_octets] = '\0';
	d->c.out_octets = 0;
}

static unsigned hear(struct dialogue *d, const char *octets)
{
	unsigned effects;

	d->said[0] = '\0';
	effects = smtp_client_input(&d->c, text(octets));
	collect(d);
	return effects;
}

static unsigned event(struct dialogue *d, enum smtp_client_event ev)
{
	unsigned effects;

	d->said[0] = '\0';
	effects = smtp_client_event(&d->c, ev);
	collect(d);
	return effects;
}

static void dialogue_init(struct dialogue *d, uint32_t rcpts)
{
	static const char *const addresses[] = {"a@example.net", "b@example.net", "c@example.net"};

	memset(d, 0, sizeof(*d));
	d->mail = (struct smtp_client_mail){
		.sender = "s@example.org", .octets = 100, .rcpt_count = rcpts, .rcpts = d->rcpts};
	for (uint32_t i = 0; i < rcpts; i++)
		d->rcpts[i].address = addresses[i];
	smtp_client_init(&d->c, "us.example.org");
}

// Up to a started mail.
static void begin(struct dialogue *d, uint32_t rcpts, const char *ehlo)
{
	dialogue_init(d, rcpts);
	assert_int_equal(hear(d, "220 mail.example.net ESMTP\r\n"), 0);
	assert_string_equal(d->said, "EHLO us.example.org\r\n");
	assert_int_equal(hear(d, ehlo), SMTP_CLIENT_READY);
	assert_int_equal(smtp_client_start(&d->c, &d->mail), 0);
	collect(d);
}

static const char plain[] = "250 mail.example.net\r\n";
static const char pipelining[] = "250-mail.example.net\r\n250 PIPELINING\r\n";

static void test_client_plain_dialogue_delivers(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 2, plain);
	assert_string_equal(d.said, "MAIL FROM:<s@example.org>\r\n");
	assert_int_equal(hear(&d, "250 ok\r\n"), 0);
	assert_string_equal(d.said, "RCPT TO:<a@example.net>\r\n");
	assert_int_equal(hear(&d, "250 ok\r\n"), 0);
	assert_string_equal(d.said, "RCPT TO:<b@example.net>\r\n");
	assert_int_equal(hear(&d, "250 ok\r\n"), 0);
	assert_string_equal(d.said, "DATA\r\n");
	assert_int_equal(hear(&d, "354 go\r\n"), SMTP_CLIENT_BODY);
	assert_int_equal(event(&d, SMTP_CLIENT_EV_SENT), 0);
	assert_int_equal(hear(&d, "250 queued\r\n"), SMTP_CLIENT_DONE | SMTP_CLIENT_READY);
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_DELIVERED);
	assert_int_equal(d.rcpts[1].result, SMTP_CLIENT_DELIVERED);
	assert_string_equal(d.rcpts[1].text, "250 queued");
	assert_int_equal(event(&d, SMTP_CLIENT_EV_LEAVE), 0);
	assert_string_equal(d.said, "QUIT\r\n");
	assert_int_equal(hear(&d, "221 bye\r\n"), SMTP_CLIENT_CLOSE);
}

static void test_client_offers_are_used_when_offered(void **state)
{
	struct dialogue d;

	(void)state;
	dialogue_init(&d, 1);
	d.mail.is_8bit = true;
	hear(&d, "220 hi\r\n");
	hear(&d, "250-mail\r\n250-8bitmime\r\n250-Pipelining\r\n250 SIZE 1000\r\n");
	smtp_client_start(&d.c, &d.mail);
	collect(&d);
	assert_string_equal(d.said, "MAIL FROM:<s@example.org> SIZE=100 BODY=8BITMIME\r\n"
				    "RCPT TO:<a@example.net>\r\nDATA\r\n");
}

static void test_client_offer_in_the_first_line_is_the_servers_name(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, "250 PIPELINING\r\n");
	assert_string_equal(d.said, "MAIL FROM:<s@example.org>\r\n");
}

static void test_client_too_large_for_size_is_refused_unsent(void **state)
{
	struct dialogue d;

	(void)state;
	dialogue_init(&d, 1);
	hear(&d, "220 hi\r\n");
	hear(&d, "250-mail\r\n250 SIZE 99\r\n");
	assert_int_equal(smtp_client_start(&d.c, &d.mail), SMTP_CLIENT_DONE | SMTP_CLIENT_READY);
	assert_int_equal(d.c.out_octets, 0);
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_REFUSED);
}

static void test_client_ehlo_refused_falls_back_to_helo(void **state)
{
	struct dialogue d;

	(void)state;
	dialogue_init(&d, 1);
	hear(&d, "220 old\r\n");
	assert_int_equal(hear(&d, "502 what\r\n"), 0);
	assert_string_equal(d.said, "HELO us.example.org\r\n");
	assert_int_equal(hear(&d, "250 old\r\n"), SMTP_CLIENT_READY);
}

static void test_client_pipelined_partial_acceptance_is_told_apart(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 3, pipelining);
	assert_int_equal(
		hear(&d, "250 m\r\n250 a\r\n550 5.1.1 b\r\n450 c\r\n354 go\r\n"), SMTP_CLIENT_BODY);
	event(&d, SMTP_CLIENT_EV_SENT);
	hear(&d, "250 queued\r\n");
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_DELIVERED);
	assert_int_equal(d.rcpts[1].result, SMTP_CLIENT_REFUSED);
	assert_string_equal(d.rcpts[1].text, "550 5.1.1 b");
	assert_int_equal(d.rcpts[2].result, SMTP_CLIENT_DEFERRED);
}

static void test_client_pipelined_mail_refused_refuses_all_and_resets(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 2, pipelining);
	assert_int_equal(
		hear(&d, "550 go away\r\n503 a\r\n503 b\r\n503 data\r\n"), SMTP_CLIENT_DONE);
	assert_string_equal(d.said, "RSET\r\n");
	assert_string_equal(d.rcpts[0].text, "550 go away");
	assert_int_equal(d.rcpts[1].result, SMTP_CLIENT_REFUSED);
	assert_int_equal(hear(&d, "250 ok\r\n"), SMTP_CLIENT_READY);
}

static void test_client_pipelined_data_taken_for_nobody_sends_a_dot_rfc2920_3_1(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, pipelining);
	assert_int_equal(hear(&d, "250 m\r\n550 a\r\n354 go\r\n"), 0);
	assert_string_equal(d.said, ".\r\n");
	assert_int_equal(hear(&d, "250 queued nothing\r\n"), SMTP_CLIENT_DONE | SMTP_CLIENT_READY);
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_REFUSED);
	assert_string_equal(d.rcpts[0].text, "550 a");
}

static void test_client_plain_all_rcpts_refused_resets(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, plain);
	hear(&d, "250 m\r\n");
	assert_int_equal(hear(&d, "550 a\r\n"), SMTP_CLIENT_DONE);
	assert_string_equal(d.said, "RSET\r\n");
}

static void test_client_552_to_rcpt_defers_rfc5321_4_5_3_1_10(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, plain);
	hear(&d, "250 m\r\n");
	hear(&d, "552 too many recipients\r\n");
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_DEFERRED);
}

static void test_client_421_at_any_time_defers_and_closes(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 2, pipelining);
	assert_int_equal(
		hear(&d, "250 m\r\n550 a\r\n421 bye\r\n"), SMTP_CLIENT_DONE | SMTP_CLIENT_CLOSE);
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_REFUSED);
	assert_int_equal(d.rcpts[1].result, SMTP_CLIENT_DEFERRED);
	assert_string_equal(d.rcpts[1].text, "421 bye");
}

static void test_client_greeting_5xx_closes_without_a_mail(void **state)
{
	struct dialogue d;

	(void)state;
	dialogue_init(&d, 1);
	assert_int_equal(hear(&d, "554 no service\r\n"), SMTP_CLIENT_CLOSE);
	assert_string_equal(d.c.trouble, "554 no service");
}

static void test_client_early_250_to_the_body_never_delivers(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, pipelining);
	assert_int_equal(hear(&d, "250 m\r\n250 a\r\n354 go\r\n250 queued already\r\n"),
		SMTP_CLIENT_BODY | SMTP_CLIENT_DONE | SMTP_CLIENT_CLOSE);
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_DEFERRED);
}

static void test_client_reply_before_its_command_is_out_of_turn(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 2, plain);
	// The second 250 came before RCPT was sent.
	assert_int_equal(hear(&d, "250 m\r\n250 a\r\n"), SMTP_CLIENT_DONE | SMTP_CLIENT_CLOSE);
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_DEFERRED);
}

static void test_client_5xx_in_the_body_refuses_and_closes(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, pipelining);
	assert_int_equal(hear(&d, "250 m\r\n250 a\r\n354 go\r\n"), SMTP_CLIENT_BODY);
	assert_int_equal(hear(&d, "552 too big\r\n"), SMTP_CLIENT_DONE | SMTP_CLIENT_CLOSE);
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_REFUSED);
}

static void test_client_lost_after_the_dot_defers(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, pipelining);
	hear(&d, "250 m\r\n250 a\r\n354 go\r\n");
	event(&d, SMTP_CLIENT_EV_SENT);
	assert_int_equal(event(&d, SMTP_CLIENT_EV_GONE), SMTP_CLIENT_DONE | SMTP_CLIENT_CLOSE);
	assert_int_equal(d.rcpts[0].result, SMTP_CLIENT_DEFERRED);
	assert_string_equal(
		d.rcpts[0].text, "connection lost waiting for the answer to the final dot");
}

static void deliver_one(struct dialogue *d)
{
	hear(d, "250 m\r\n250 a\r\n354 go\r\n");
	event(d, SMTP_CLIENT_EV_SENT);
	hear(d, "250 queued\r\n");
}

static void test_client_used_connection_lost_at_once_is_untouched(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, pipelining);
	deliver_one(&d);
	smtp_client_start(&d.c, &d.mail);
	event(&d, SMTP_CLIENT_EV_GONE);
	assert_true(d.mail.is_untouched);
}

static void test_client_fresh_connection_lost_is_not_untouched(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, pipelining);
	event(&d, SMTP_CLIENT_EV_GONE);
	assert_false(d.mail.is_untouched);
}

static void test_client_late_says_what_it_waited_for(void **state)
{
	struct dialogue d;

	(void)state;
	begin(&d, 1, plain);
	assert_int_equal(event(&d, SMTP_CLIENT_EV_LATE), SMTP_CLIENT_DONE | SMTP_CLIENT_CLOSE);
	assert_string_equal(d.rcpts[0].text, "timed out waiting for the answer to MAIL");
}

static void test_client_addresses_that_could_end_a_line_are_not_sendable(void **state)
{
	(void)state;
	assert_true(smtp_client_is_sendable(""));
	assert_true(smtp_client_is_sendable("a@example.net"));
	assert_true(smtp_client_is_sendable("\"a b>\\\"\"@example.net"));
	assert_false(smtp_client_is_sendable("a\r\nRCPT TO:<b@example.net>"));
	assert_false(smtp_client_is_sendable("\"a\\\r\n\"@example.net"));
	assert_false(smtp_client_is_sendable("a b@example.net"));
	assert_false(smtp_client_is_sendable("a> SIZE=1"));
	assert_false(smtp_client_is_sendable("\"a@example.net"));
}

// The table

static void client_in(struct dialogue *d, enum smtp_client_state st, bool is_pipelining)
{
	dialogue_init(d, 1);
	d->c.state = st;
	d->c.owed = st == SMTP_CLIENT_ST_IDLE || st == SMTP_CLIENT_ST_CLOSED ? 0 : 1;
	d->c.offers = is_pipelining ? SMTP_CLIENT_OFFERS_PIPELINING : 0;
	if (st < SMTP_CLIENT_ST_MAIL || st > SMTP_CLIENT_ST_FINAL)
		return;
	d->c.tx.mail = &d->mail;
	d->c.mails = 1;
	if (st <= SMTP_CLIENT_ST_RCPT)
		return;
	d->c.tx.answered = d->c.tx.taken = 1;
	d->rcpts[0].result = SMTP_CLIENT_TAKEN;
}

static unsigned feed(struct dialogue *d, enum smtp_client_event ev)
{
	static const char *const replies[SMTP_CLIENT_EV_COUNT] = {[SMTP_CLIENT_EV_OK] = "250 r\r\n",
		[SMTP_CLIENT_EV_GO_ON] = "354 r\r\n",
		[SMTP_CLIENT_EV_DEFER] = "450 r\r\n",
		[SMTP_CLIENT_EV_REFUSE] = "550 r\r\n",
		[SMTP_CLIENT_EV_SHUT] = "421 r\r\n",
		[SMTP_CLIENT_EV_GARBAGE] = "r\r\n"};

	if (ev == SMTP_CLIENT_EV_START)
		return smtp_client_start(&d->c, &d->mail);
	if (replies[ev] == NULL)
		return smtp_client_event(&d->c, ev);
	return smtp_client_input(&d->c, text(replies[ev]));
}

// From within, or never fed there by the owner.
static bool is_fed(enum smtp_client_state st, enum smtp_client_event ev)
{
	switch (ev) {
	case SMTP_CLIENT_EV_ALL_ANSWERED:
	case SMTP_CLIENT_EV_NONE_TAKEN:
		return false;
	case SMTP_CLIENT_EV_START:
		return st == SMTP_CLIENT_ST_IDLE;
	case SMTP_CLIENT_EV_LEAVE:
		return st == SMTP_CLIENT_ST_IDLE || st == SMTP_CLIENT_ST_CLOSED;
	case SMTP_CLIENT_EV_SENT:
		return st == SMTP_CLIENT_ST_BODY;
	case SMTP_CLIENT_EV_OK:
	case SMTP_CLIENT_EV_GO_ON:
	case SMTP_CLIENT_EV_DEFER:
	case SMTP_CLIENT_EV_REFUSE:
	case SMTP_CLIENT_EV_SHUT:
	case SMTP_CLIENT_EV_GARBAGE:
	case SMTP_CLIENT_EV_GONE:
	case SMTP_CLIENT_EV_LATE:
	case SMTP_CLIENT_EV_COUNT:
		break;
	}
	return true;
}

// What was said on one line: CRLFs become bars.
static void print_said(FILE *f, const struct smtp_client *c)
{
	for (uint32_t i = 0; i < c->out_octets; i++) {
		if (c->out[i] == '\n')
			continue;
		if (c->out[i] == '\r')
			fputs(" |", f);
		else
			fprintf(f, "%s%c", i == 0 || c->out[i - 1] == '\n' ? " " : "", c->out[i]);
	}
	fputc('\n', f);
}

static void print_row(FILE *f, enum smtp_client_state st, enum smtp_client_event ev, bool pipe)
{
	static const char *const results[] = {"-", "taken", "delivered", "deferred", "refused"};
	struct dialogue d;
	unsigned effects;

	client_in(&d, st, pipe);
	effects = feed(&d, ev);
	fprintf(f, "%-8s %-7s -> %-8s %s%s%s%s%s", smtp_client_state_name(st),
		smtp_client_event_name(ev), smtp_client_state_name(d.c.state),
		results[d.rcpts[0].result], effects & SMTP_CLIENT_DONE ? " done" : "",
		effects & SMTP_CLIENT_CLOSE ? " close" : "",
		effects & SMTP_CLIENT_BODY ? " body" : "",
		effects & SMTP_CLIENT_READY ? " ready" : "");
	print_said(f, &d.c);
}

static void print_table(FILE *f)
{
	for (int pipe = 0; pipe < 2; pipe++) {
		fprintf(f, "# one recipient, %s\n", pipe ? "PIPELINING" : "one command at a time");
		for (unsigned st = 0; st < SMTP_CLIENT_ST_COUNT; st++)
			for (unsigned ev = 0; ev < SMTP_CLIENT_EV_COUNT; ev++)
				if (is_fed(st, ev))
					print_row(f, st, ev, pipe);
	}
}

static char *read_golden(void)
{
	const char *source = getenv("POSTERN_SOURCE");
	char *all = calloc(1, 65536), path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/golden/smtp_client.fsm",
		source != NULL ? source : ".");
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(all, 1, 65535, f) > 0);
	fclose(f);
	return all;
}

static void test_client_table_is_the_golden_one(void **state)
{
	char *want = read_golden(), *got = NULL;
	size_t octets;
	FILE *f = open_memstream(&got, &octets);

	(void)state;
	print_table(f);
	fclose(f);
	assert_string_equal(got, want);
	free(got);
	free(want);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_plain_dialogue_delivers),
		cmocka_unit_test(test_client_offers_are_used_when_offered),
		cmocka_unit_test(test_client_offer_in_the_first_line_is_the_servers_name),
		cmocka_unit_test(test_client_too_large_for_size_is_refused_unsent),
		cmocka_unit_test(test_client_ehlo_refused_falls_back_to_helo),
		cmocka_unit_test(test_client_pipelined_partial_acceptance_is_told_apart),
		cmocka_unit_test(test_client_pipelined_mail_refused_refuses_all_and_resets),
		cmocka_unit_test(
			test_client_pipelined_data_taken_for_nobody_sends_a_dot_rfc2920_3_1),
		cmocka_unit_test(test_client_plain_all_rcpts_refused_resets),
		cmocka_unit_test(test_client_552_to_rcpt_defers_rfc5321_4_5_3_1_10),
		cmocka_unit_test(test_client_421_at_any_time_defers_and_closes),
		cmocka_unit_test(test_client_greeting_5xx_closes_without_a_mail),
		cmocka_unit_test(test_client_early_250_to_the_body_never_delivers),
		cmocka_unit_test(test_client_reply_before_its_command_is_out_of_turn),
		cmocka_unit_test(test_client_5xx_in_the_body_refuses_and_closes),
		cmocka_unit_test(test_client_lost_after_the_dot_defers),
		cmocka_unit_test(test_client_used_connection_lost_at_once_is_untouched),
		cmocka_unit_test(test_client_fresh_connection_lost_is_not_untouched),
		cmocka_unit_test(test_client_late_says_what_it_waited_for),
		cmocka_unit_test(test_client_addresses_that_could_end_a_line_are_not_sendable),
		cmocka_unit_test(test_client_table_is_the_golden_one),
	};

	if (argc > 1 && strcmp(argv[1], "--table") == 0) {
		print_table(stdout);
		return 0;
	}
	return cmocka_run_group_tests_name("smtp_client", tests, NULL, NULL);
}
