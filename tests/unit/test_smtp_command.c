// Verbs and what may follow them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "smtp/smtp_command.h"

static struct slice slice_of(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

static void test_command_every_event_has_its_verb_in_any_case(void **state)
{
	static const char *const verbs[] = {
		"EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "VRFY", "HELP", "QUIT"};

	(void)state;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		struct smtp_command upper = smtp_command_parse(slice_of(verbs[i])), lower;
		char text[] = "xxxx a b \t";

		for (size_t k = 0; k < 4; k++)
			text[k] = (char)(verbs[i][k] | 0x20);
		lower = smtp_command_parse(slice_of(text));
		assert_string_equal(smtp_session_event_name(upper.event), verbs[i]);
		assert_int_equal(upper.event, lower.event);
		assert_int_equal(upper.arg.len, 0);
		assert_int_equal(lower.arg.len, 3);
		assert_memory_equal(lower.arg.at, "a b", 3);
	}
}

static void expect_refusal(const char *line, enum smtp_reply want)
{
	struct smtp_command c = smtp_command_parse(slice_of(line));

	assert_int_equal(c.event, SMTP_EV_COUNT);
	assert_int_equal(c.refusal, want);
}

static void test_command_that_is_not_ours_is_refused(void **state)
{
	static const char *const known[] = {"EXPN x", "auth PLAIN", "BDAT 1", "TURN", "ETRN x",
		"ATRN", "SEND", "SOML", "SAML", "XCLIENT", "XFORWARD"};
	static const char *const unknown[] = {
		"", " ", " NOOP", "NOOPS", "NOO", "MAILFROM:<a@b>", "NOOP\tx", "\xff", "DATA:"};
	static const char *const web[] = {"GET / HTTP/1.1", "POST /", "HEAD /", "PUT /",
		"OPTIONS *", "CONNECT a:25 HTTP/1.1", "Host: a", "get /"};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		expect_refusal(known[i], SMTP_REPLY_NOT_IMPLEMENTED);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		expect_refusal(unknown[i], SMTP_REPLY_UNKNOWN_COMMAND);
	for (size_t i = 0; i < sizeof(web) / sizeof(web[0]); i++)
		expect_refusal(web[i], SMTP_REPLY_HTTP);
}

static void test_command_names_are_checked(void **state)
{
	char text[LIMIT_DOMAIN_OCTETS + 2];

	(void)state;
	assert_true(smtp_command_has_arg_for(SMTP_EV_EHLO, slice_of("a_b-c.example")));
	assert_true(smtp_command_has_arg_for(SMTP_EV_HELO, slice_of("[IPv6:2001:db8::1]")));
	assert_false(smtp_command_has_arg_for(SMTP_EV_EHLO, slice_of("")));
	assert_false(smtp_command_has_arg_for(SMTP_EV_EHLO, slice_of("a b")));
	assert_false(smtp_command_has_arg_for(SMTP_EV_HELO, slice_of("a(b)")));
	assert_false(smtp_command_has_arg_for(SMTP_EV_HELO, slice_of("\xc3\xbc")));
	memset(text, 'a', sizeof(text));
	assert_true(smtp_command_has_arg_for(
		SMTP_EV_EHLO, (struct slice){(uint8_t *)text, LIMIT_DOMAIN_OCTETS}));
	assert_false(smtp_command_has_arg_for(
		SMTP_EV_EHLO, (struct slice){(uint8_t *)text, LIMIT_DOMAIN_OCTETS + 1}));
}

static void test_command_arguments_where_there_must_be_none(void **state)
{
	(void)state;
	for (int ev = 0; ev < SMTP_EV_COUNT; ev++) {
		bool none = ev == SMTP_EV_STARTTLS || ev == SMTP_EV_RSET || ev == SMTP_EV_DATA ||
			    ev == SMTP_EV_QUIT;

		assert_int_equal(
			smtp_command_has_arg_for((enum smtp_event)ev, slice_of("x")), !none);
	}
	assert_false(smtp_command_has_arg_for(SMTP_EV_VRFY, slice_of("")));
	assert_true(smtp_command_has_arg_for(SMTP_EV_NOOP, slice_of("")));
}

struct mail_row {
	const char *arg;
	enum smtp_reply reply;
	uint32_t size;
	bool body_8bit;
};

static void test_command_mail_parameters_are_read(void **state)
{
	static const struct mail_row rows[] = {
		{"FROM:<a@b.example>", SMTP_REPLY_NONE, 0, false},
		{"from: <a@b.example>", SMTP_REPLY_NONE, 0, false},
		{"FROM:<a@b.example> SIZE=1000", SMTP_REPLY_NONE, 1000, false},
		{"FROM:<a@b.example> size=0  body=8bitmime", SMTP_REPLY_NONE, 0, true},
		{"FROM:<a@b.example> BODY=7BIT SIZE=00000000000000000007", SMTP_REPLY_NONE, 7,
			false},
		{"FROM:<a@b.example> SIZE=1001", SMTP_REPLY_TOO_BIG, 0, false},
		{"FROM:<a@b.example> SIZE=4294967297", SMTP_REPLY_TOO_BIG, 0, false},
		{"FROM:<a@b.example> SIZE=99999999999999999999", SMTP_REPLY_TOO_BIG, 0, false},
		{"FROM:<a@b.example> SIZE=18446744073709551617", SMTP_REPLY_TOO_BIG, 0, false},
		{"FROM:<a@b.example> SIZE=000000000000000000007", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> SIZE", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> SIZE=", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> SIZE=-1", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> SIZE=1 SIZE=1", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> BODY=7BIT BODY=7BIT", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> BODY=BINARYMIME", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> BODY", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> =1", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> X=a=b", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> X_Y=1", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> -X=1", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> <c@d.example>", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM:<a@b.example> SMTPUTF8", SMTP_REPLY_BAD_PARAMETER, 0, false},
		{"FROM:<a@b.example> AUTH=<>", SMTP_REPLY_BAD_PARAMETER, 0, false},
		{"FROM:<a@b.example> RET=HDRS", SMTP_REPLY_BAD_PARAMETER, 0, false},
		{"FROM:<a@b.example>SIZE=1", SMTP_REPLY_BAD_SENDER, 0, false},
		{"FROM:  <a@b.example>", SMTP_REPLY_BAD_SENDER, 0, false},
		{"FROM:", SMTP_REPLY_BAD_SENDER, 0, false},
		{"FROM <a@b.example>", SMTP_REPLY_SYNTAX, 0, false},
		{"TO:<a@b.example>", SMTP_REPLY_SYNTAX, 0, false},
		{"FROM", SMTP_REPLY_SYNTAX, 0, false},
		{"", SMTP_REPLY_SYNTAX, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct smtp_transaction txn = {0};

		if (smtp_command_read_mail(slice_of(rows[i].arg), 1000, &txn) != rows[i].reply)
			print_error("%s\n", rows[i].arg);
		assert_int_equal(
			smtp_command_read_mail(slice_of(rows[i].arg), 1000, &txn), rows[i].reply);
		if (rows[i].reply != SMTP_REPLY_NONE)
			continue;
		assert_int_equal(txn.size_declared, rows[i].size);
		assert_int_equal(txn.body_8bit, rows[i].body_8bit);
		assert_int_equal(txn.sender.len, 11);
	}
}

static void expect_rcpt(const char *arg, enum smtp_reply want, enum smtp_address_form want_form)
{
	struct smtp_path path;
	enum smtp_address_form form;

	assert_int_equal(smtp_command_read_rcpt(slice_of(arg), &path, &form), want);
	assert_int_equal(form, want_form);
}

static void test_command_rcpt_takes_no_parameter_yet(void **state)
{
	(void)state;
	expect_rcpt("TO:<a@b.example>", SMTP_REPLY_NONE, SMTP_ADDRESS_PLAIN);
	expect_rcpt("to: <postmaster>", SMTP_REPLY_NONE, SMTP_ADDRESS_POSTMASTER);
	expect_rcpt("TO:<a@b.example> NOTIFY=NEVER", SMTP_REPLY_BAD_PARAMETER, SMTP_ADDRESS_PLAIN);
	expect_rcpt(
		"TO:<a@b.example> ORCPT=rfc822;x@y", SMTP_REPLY_BAD_PARAMETER, SMTP_ADDRESS_PLAIN);
	expect_rcpt("TO:<a@b.example> SIZE=1", SMTP_REPLY_BAD_PARAMETER, SMTP_ADDRESS_PLAIN);
	expect_rcpt("TO:<a@b.example> <c@d.example>", SMTP_REPLY_SYNTAX, SMTP_ADDRESS_PLAIN);
}

static void test_command_rcpt_forms_are_told_apart(void **state)
{
	(void)state;
	expect_rcpt("FROM:<a@b.example>", SMTP_REPLY_SYNTAX, SMTP_ADDRESS_SYNTAX);
	expect_rcpt("TO:a@b.example", SMTP_REPLY_BAD_RCPT, SMTP_ADDRESS_SYNTAX);
	expect_rcpt("TO:<>", SMTP_REPLY_BAD_RCPT, SMTP_ADDRESS_NULL_PATH);
	expect_rcpt("TO:<a>", SMTP_REPLY_BAD_RCPT, SMTP_ADDRESS_UNQUALIFIED);
	expect_rcpt("TO:<a@-b>", SMTP_REPLY_BAD_RCPT, SMTP_ADDRESS_DOMAIN);
	expect_rcpt("TO:<a%b@c>", SMTP_REPLY_RCPT_FORM, SMTP_ADDRESS_PERCENT);
	expect_rcpt("TO:<SRS0=a@c>", SMTP_REPLY_RCPT_FORM, SMTP_ADDRESS_ENCAPSULATED);
	expect_rcpt("TO:<a@b.> NOTIFY=NEVER", SMTP_REPLY_RCPT_FORM, SMTP_ADDRESS_TRAILING_DOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_every_event_has_its_verb_in_any_case),
		cmocka_unit_test(test_command_that_is_not_ours_is_refused),
		cmocka_unit_test(test_command_names_are_checked),
		cmocka_unit_test(test_command_arguments_where_there_must_be_none),
		cmocka_unit_test(test_command_mail_parameters_are_read),
		cmocka_unit_test(test_command_rcpt_takes_no_parameter_yet),
		cmocka_unit_test(test_command_rcpt_forms_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
