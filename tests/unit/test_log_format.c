// Log lines: hostile text stays in its field, and a refusal says where its rule stands.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "config_from_text.h"
#include "control/log_format.h"
#include "smtp/smtp_reply.h"

static const char text[] = "ports:\n"                                               // 1
			   "  - {device: net_null0, addresses: [10.12.170.5/24]}\n" // 2
			   "own_networks: [10.0.0.0/8]\n"                           // 3
			   "spool: /var/spool/postern\n"                            // 4
			   "virtual_servers:\n"                                     // 5
			   "  - name: relay\n"                                      // 6
			   "    listen: [10.12.170.5]\n"                            // 7
			   "    fqdn: relay.example.net\n"                          // 8
			   "    local_domains:\n"                                   // 9
			   "      - example.net\n"                                  // 10
			   "    connections: {only: [10.0.0.0/8]}\n"                // 11
			   "    relay:\n"                                           // 12
			   "      only:\n"                                          // 13
			   "        - 10.1.1.0/24\n"                                // 14
			   "routes:\n"
			   "  - {domains: [\"*\"], to: [\"10.12.170.30:25\"]}\n";

struct world {
	struct config *config;
	struct snapshot *snapshot;
};

static int make_world(void **state)
{
	static struct world world;

	world.config = config_from_text_load(text);
	assert_non_null(world.config);
	world.snapshot = snapshot_build(world.config, 7);
	assert_non_null(world.snapshot);
	*state = &world;
	return 0;
}

static int free_world(void **state)
{
	struct world *world = *state;

	snapshot_free(world->snapshot);
	config_free(world->config);
	return 0;
}

static struct log_record record_of(const struct world *world, const char *client,
	const char *sender, const char *recipient, const char *helo)
{
	struct log_record r = {.wall_us = 1790000000123456,
		.epoch = 7,
		.session = UINT64_C(1) << 48 | 26,
		.client_port = 4711,
		.local_port = 25,
		.event = LOG_RCPT,
		.sender_len = (uint16_t)strlen(sender),
		.recipient_len = (uint16_t)strlen(recipient),
		.helo_len = (uint16_t)strlen(helo)};

	assert_true(ip_addr_parse(client, &r.client) && ip_addr_parse("10.12.170.5", &r.local));
	r.class = snapshot_class_of(world->snapshot, &r.client);
	snprintf((char *)r.text, sizeof(r.text), "%s%s%s", sender, recipient, helo);
	return r;
}

static struct log_record refused(const struct world *world)
{
	struct log_record r =
		record_of(world, "10.2.2.2", "a@b.example", "c@d.example", "helo.example");

	r.verdict = POLICY_REFUSE;
	r.rule = POLICY_RULE_NONE;
	r.reply = SMTP_REPLY_RELAY_DENIED;
	r.reply_code = 550;
	return r;
}

static void w3c_of(const struct world *world, const struct log_record *r, char *out)
{
	char rule[64];
	struct log_format_names names = log_format_lookup(world->snapshot, r, rule);
	size_t len = log_format_w3c(r, &names, out);

	assert_true(len < LOG_FORMAT_LINE_MAX && out[len - 1] == '\n');
	out[len] = '\0';
	assert_ptr_equal(strchr(out, '\n'), out + len - 1); // one line, whatever was sent
}

static json_t *json_of(const struct world *world, const struct log_record *r)
{
	static char out[LOG_FORMAT_LINE_MAX];
	char rule[64];
	struct log_format_names names = log_format_lookup(world->snapshot, r, rule);
	size_t len = log_format_json(r, &names, out);
	json_t *line = json_loadb(out, len, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(line);
	assert_ptr_equal(memchr(out, '\n', len), out + len - 1);
	return line;
}

static unsigned fields_of(const char *line)
{
	unsigned count = 1;

	for (; *line != '\0'; line++)
		count += *line == ' ' ? 1 : 0;
	return count;
}

static void test_log_format_refusal_names_rule_file_line_epoch_and_client(void **state)
{
	char out[LOG_FORMAT_LINE_MAX];
	struct log_record r = refused(*state);

	w3c_of(*state, &r, out);
	assert_string_equal(out,
		"2026-09-21 14:13:20.123 7 100000000001a 10.2.2.2 4711 10.12.170.5 25 relay rcpt "
		"refuse none "
		"/etc/postern/test.yaml:13 550 - a@b.example c@d.example - helo.example - - - -\n");
}

static void test_log_format_accepted_recipient_names_its_entry(void **state)
{
	char out[LOG_FORMAT_LINE_MAX];
	struct log_record r = record_of(*state, "10.1.1.9", "", "x@y.example", "h");

	r.rule = POLICY_RULE_RELAY_LIST;
	w3c_of(*state, &r, out);
	assert_non_null(strstr(out, " accept relay /etc/postern/test.yaml:14 "));
	assert_non_null(strstr(out, " <> x@y.example ")); // the null sender is not "nothing"
	r.rule = POLICY_RULE_LOCAL_DOMAIN;
	r.recipient_len = (uint16_t)snprintf((char *)r.text, sizeof(r.text), "u@EXAMPLE.net");
	r.helo_len = 0;
	w3c_of(*state, &r, out);
	assert_non_null(strstr(out, " accept local_domains /etc/postern/test.yaml:10 "));
}

static void test_log_format_refused_connection_names_the_list(void **state)
{
	char out[LOG_FORMAT_LINE_MAX];
	struct log_record r = record_of(*state, "192.0.2.1", "", "", "");

	r.event = LOG_CONNECT_REFUSED;
	r.verdict = POLICY_REFUSE;
	r.rule = POLICY_RULE_CONNECT_LIST;
	w3c_of(*state, &r, out);
	assert_non_null(strstr(out,
		" refused refuse connections /etc/postern/test.yaml:11 - - - - - - - - - -\n"));
}

static void test_log_format_refusal_by_form_names_the_reply_not_the_list(void **state)
{
	char out[LOG_FORMAT_LINE_MAX];
	struct log_record r = refused(*state);

	r.reply = SMTP_REPLY_RCPT_FORM;
	w3c_of(*state, &r, out);
	assert_non_null(strstr(out, " refuse rcpt_form - 550 "));
}

// RFC 5321 lets a quoted local part hold nearly anything, and clients send what they like.
static void test_log_format_hostile_octets_stay_in_their_field(void **state)
{
	static const char evil[] = "a\r\n#Fields: x \"%\x1b[2J\x7f\xff\xc3\xa9@x";
	char out[LOG_FORMAT_LINE_MAX], usual[LOG_FORMAT_LINE_MAX];
	struct log_record r = refused(*state), e = record_of(*state, "10.2.2.2", evil, evil, evil);
	json_t *line;

	w3c_of(*state, &r, usual);
	e.verdict = POLICY_REFUSE;
	e.reply = SMTP_REPLY_RELAY_DENIED;
	e.reply_code = 550;
	w3c_of(*state, &e, out);
	assert_int_equal(fields_of(out), fields_of(usual));
	assert_non_null(strstr(out, " a%0D%0A#Fields:%20x%20%22%25%1B[2J%7F%FF%C3%A9@x "));
	for (const char *c = out; *c != '\n'; c++)
		assert_true(*c >= ' ' && *c < 127);
	line = json_of(*state, &e);
	assert_int_equal(
		strlen(json_string_value(json_object_get(line, "sender"))), strlen(evil) + 3);
	assert_int_equal(json_integer_value(json_object_get(line, "rule_line")), 13);
	json_decref(line);
}

static void test_log_format_lone_dash_is_not_nothing(void **state)
{
	char out[LOG_FORMAT_LINE_MAX];
	struct log_record r = record_of(*state, "10.2.2.2", "-", "", "-");

	w3c_of(*state, &r, out);
	assert_non_null(strstr(out, " %2D - - %2D - - - -\n"));
}

static void test_log_format_longest_hostile_record_is_one_line(void **state)
{
	char out[LOG_FORMAT_LINE_MAX];
	struct log_record r = refused(*state);
	json_t *line;

	memset(r.text, 0xff, sizeof(r.text));
	r.sender_len = 256;
	r.recipient_len = 256;
	r.helo_len = 128;
	w3c_of(*state, &r, out);
	line = json_of(*state, &r);
	json_decref(line);
	// Lengths that cannot be are taken for none.
	r.sender_len = UINT16_MAX;
	w3c_of(*state, &r, out);
	assert_null(strstr(out, "%FF"));
}

static void test_log_format_queued_carries_the_queue_id(void **state)
{
	struct log_record r = record_of(*state, "10.1.1.9", "a@b.example", "", "");
	json_t *line;

	r.event = LOG_QUEUED;
	r.reply = SMTP_REPLY_QUEUED;
	r.reply_code = 250;
	r.message_id = 33;
	r.octets = 4096;
	r.rcpt_count = 2;
	line = json_of(*state, &r);
	assert_string_equal(
		json_string_value(json_object_get(line, "message_id")), "0000000000011");
	assert_int_equal(json_integer_value(json_object_get(line, "octets")), 4096);
	assert_int_equal(json_integer_value(json_object_get(line, "recipients")), 2);
	assert_string_equal(json_string_value(json_object_get(line, "event")), "queued");
	assert_null(json_object_get(line, "rule")); // nothing had to say yes
	json_decref(line);
}

static void test_log_format_unknown_epoch_or_server_is_survived(void **state)
{
	struct log_record r = refused(*state);
	char rule[64];

	assert_string_equal(log_format_lookup(NULL, &r, rule).vserver, "-");
	r.vserver = SNAPSHOT_NO_VSERVER;
	assert_null(log_format_lookup(((struct world *)*state)->snapshot, &r, rule).file);
	r.vserver = 0;
	r.class = UINT32_MAX;
	assert_null(log_format_lookup(((struct world *)*state)->snapshot, &r, rule).file);
}

static void test_log_format_header_repeats_open_relay(void **state)
{
	char out[LOG_FORMAT_LINE_MAX];

	(void)state;
	out[log_format_w3c_header("relay", true, 1790000000, out)] = '\0';
	assert_non_null(strstr(out, "#Version: 1.0\n"));
	assert_non_null(strstr(out, "#Date: 2026-09-21 14:13:20.000\n"));
	assert_non_null(strstr(out, "open_relay: i-understand"));
	assert_non_null(strstr(out, "\n#Fields: date time "));
	out[log_format_w3c_header("relay", false, 1790000000, out)] = '\0';
	assert_null(strstr(out, "open_relay"));
	out[log_format_json_header("relay", true, 1790000000, out)] = '\0';
	assert_non_null(strstr(out, "\"open_relay\":\"i-understand\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log_format_refusal_names_rule_file_line_epoch_and_client),
		cmocka_unit_test(test_log_format_accepted_recipient_names_its_entry),
		cmocka_unit_test(test_log_format_refused_connection_names_the_list),
		cmocka_unit_test(test_log_format_refusal_by_form_names_the_reply_not_the_list),
		cmocka_unit_test(test_log_format_hostile_octets_stay_in_their_field),
		cmocka_unit_test(test_log_format_lone_dash_is_not_nothing),
		cmocka_unit_test(test_log_format_longest_hostile_record_is_one_line),
		cmocka_unit_test(test_log_format_queued_carries_the_queue_id),
		cmocka_unit_test(test_log_format_unknown_epoch_or_server_is_survived),
		cmocka_unit_test(test_log_format_header_repeats_open_relay),
	};

	return cmocka_run_group_tests(tests, make_world, free_world);
}
