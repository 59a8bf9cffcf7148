// explain: its verdicts are the policy's, its replies the server's, and what it says would change the verdict does.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "config_from_text.h"
#include "control/explain.h"

enum {
	ENTRIES = 6,
};

// A virtual server as lists of texts; NULL ends each.
struct world {
	const char *connect_mode, *relay_mode; // only, all_except; NULL: list not written
	const char *connections[ENTRIES], *relay[ENTRIES];
	const char *local[ENTRIES], *relayed[ENTRIES];
	const char *refuse;
};

static void print_list(FILE *out, const char *const *entries)
{
	fputc('[', out);
	for (int i = 0; i < ENTRIES && entries[i] != NULL; i++)
		fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", entries[i]);
	fputc(']', out);
}

static struct config *load_world(const struct world *w)
{
	char *text = NULL;
	size_t octets;
	FILE *out = open_memstream(&text, &octets);
	struct config *config;

	fputs("ports:\n  - {device: net_null0, addresses: [10.12.170.5/24]}\n"
	      "own_networks: [10.0.0.0/8]\nspool: /var/spool/postern\nvirtual_servers:\n"
	      "  - name: v\n    listen: [10.12.170.5]\n    fqdn: v.example.net\n"
	      "    open_relay: i-understand\n    local_domains: ",
		out);
	print_list(out, w->local);
	fputs("\n    relay_domains: ", out);
	print_list(out, w->relayed);
	if (w->connect_mode != NULL) {
		fprintf(out, "\n    connections:\n      refuse: %s\n      %s: ",
			w->refuse != NULL ? w->refuse : "reset", w->connect_mode);
		print_list(out, w->connections);
	}
	if (w->relay_mode != NULL) {
		fprintf(out, "\n    relay:\n      %s: ", w->relay_mode);
		print_list(out, w->relay);
	}
	fputs("\nroutes:\n  - {domains: [\"*\"], to: [\"10.12.170.30:25\"]}\n", out);
	fclose(out);
	config = config_from_text_load(text);
	free(text);
	return config;
}

static const char *asked_name; // of the client, for all questions of a test

static json_t *ask(
	const struct world *w, const char *client, const char *sender, const char *recipient)
{
	struct config *config = load_world(w);
	struct snapshot *snapshot;
	char why[EXPLAIN_WHY_MAX] = "";
	json_t *args = json_pack("{s:s, s:s, s:s?, s:s?}", "vserver", "v", "client", client,
		"sender", sender, "recipient", recipient);
	json_t *answer;

	if (config == NULL) {
		json_decref(args);
		return NULL;
	}
	if (sender == NULL)
		json_object_del(args, "sender");
	if (recipient == NULL)
		json_object_del(args, "recipient");
	if (asked_name != NULL)
		json_object_set_new(args, "name", json_string(asked_name));
	snapshot = snapshot_build(config, 3);
	answer = explain(snapshot, args, why);
	if (answer == NULL)
		fprintf(stderr, "%s\n", why);
	assert_non_null(answer);
	json_decref(args);
	snapshot_free(snapshot);
	config_free(config);
	return answer;
}

static const char *get(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

static void expect(const json_t *answer, const char *verdict, const char *stage, const char *reply)
{
	assert_string_equal(get(answer, "verdict"), verdict);
	assert_string_equal(get(answer, "stage"), stage);
	assert_string_equal(get(answer, "reply"), reply);
	assert_int_equal(json_integer_value(json_object_get(answer, "epoch")), 3);
}

static const struct world plain = {.local = {"example.net"},
	.relay_mode = "only",
	.relay = {"10.1.1.0/24"},
	.connect_mode = "only",
	.connections = {"10.0.0.0/8"}};

static void test_explain_each_stage_says_what_the_server_would(void **state)
{
	json_t *answer;

	(void)state;
	answer = ask(&plain, "10.2.2.2", NULL, NULL);
	expect(answer, "accept", "connect", "220 v.example.net ESMTP Postern");
	json_decref(answer);
	answer = ask(&plain, "10.2.2.2", "a@b.example", NULL);
	expect(answer, "accept", "mail", "250 2.1.0 a@b.example....Sender OK");
	json_decref(answer);
	answer = ask(&plain, "10.2.2.2", "a@b.example", "u@example.net");
	expect(answer, "accept", "rcpt", "250 2.1.5 u@example.net");
	json_decref(answer);
	answer = ask(&plain, "10.2.2.2", NULL, "u@far.example");
	expect(answer, "refuse", "rcpt", "550 5.7.1 Unable to relay for u@far.example");
	json_decref(answer);
	answer = ask(&plain, "10.1.1.2", NULL, "u@far.example");
	expect(answer, "accept", "rcpt", "250 2.1.5 u@far.example");
	json_decref(answer);
}

static void test_explain_refused_connection_is_silent_or_says_554(void **state)
{
	struct world w = plain;
	json_t *answer = ask(&w, "192.0.2.1", NULL, "u@example.net");

	(void)state;
	expect(answer, "refuse", "connect", "");
	assert_string_equal(get(answer, "refused_by"), "reset");
	json_decref(answer);
	w.refuse = "reply";
	answer = ask(&w, "192.0.2.1", NULL, NULL);
	expect(answer, "refuse", "connect", "554 5.7.1 v.example.net you may not connect here");
	json_decref(answer);
}

static void test_explain_rule_has_file_line_and_text(void **state)
{
	json_t *answer = ask(&plain, "10.1.1.2", NULL, "u@far.example");
	const json_t *rule = json_object_get(answer, "rule");

	(void)state;
	assert_string_equal(get(rule, "file"), "/etc/postern/test.yaml");
	assert_string_equal(get(rule, "text"), "relay.only: 10.1.1.0/24");
	assert_int_equal(json_integer_value(json_object_get(rule, "line")), 16);
	json_decref(answer);
}

static void test_explain_double_routing_is_refused_by_form(void **state)
{
	const char *const recipients[] = {"u%far.example@example.net", "far.example!u@example.net",
		"@example.net:u@far.example", "\"u@far.example\"@example.net",
		"u@far.example@example.net"};

	(void)state;
	for (size_t i = 0; i < sizeof(recipients) / sizeof(recipients[0]); i++) {
		// Even from a client that may relay.
		json_t *answer = ask(&plain, "10.1.1.2", NULL, recipients[i]);

		assert_string_equal(get(answer, "verdict"), "refuse");
		assert_int_equal(get(answer, "reply")[0], '5');
		assert_non_null(strstr(
			get(json_object_get(answer, "rule"), "text"), "form of the recipient"));
		json_decref(answer);
	}
}

static void bad(const char *args_text, const char *part)
{
	struct config *config = load_world(&plain);
	struct snapshot *snapshot = snapshot_build(config, 3);
	json_t *args = json_loads(args_text, 0, NULL);
	char why[EXPLAIN_WHY_MAX] = "";

	assert_non_null(args);
	assert_null(explain(snapshot, args, why));
	assert_non_null(strstr(why, part));
	json_decref(args);
	snapshot_free(snapshot);
	config_free(config);
}

static void test_explain_bad_questions_are_named(void **state)
{
	(void)state;
	bad("{\"vserver\": \"w\", \"client\": \"10.1.1.1\"}", "there are: v");
	bad("{\"client\": \"10.1.1.1\"}", "there are: v");
	bad("{\"vserver\": \"v\"}", "not an IP address");
	bad("{\"vserver\": \"v\", \"client\": \"10.1\"}", "not an IP address");
	bad("{\"vserver\": \"v\", \"client\": 5}", "wrong type");
	bad("{\"vserver\": \"v\", \"client\": \"10.1.1.1\", \"helo\": \"x\"}", "helo: unknown");
	bad("{\"vserver\": \"v\", \"client\": \"10.1.1.1\", \"sender\": \"a>\\r\\nRCPT TO:<b\"}",
		"line break");
	bad("{\"vserver\": \"v\", \"client\": \"10.1.1.1\", \"name\": \"a b\"}", "not a host");
	bad("[]", "object");
}

static void test_explain_overlong_address_is_refused_not_cut(void **state)
{
	char recipient[4000];
	json_t *answer;

	(void)state;
	memset(recipient, 'a', sizeof(recipient) - 1);
	memcpy(recipient + sizeof(recipient) - 13, "@example.net", 13);
	answer = ask(&plain, "10.1.1.2", NULL, recipient);
	assert_string_equal(get(answer, "verdict"), "refuse");
	json_decref(answer);
}

// --- would_change, carried out ---

static void list_add(const char **list, const char *entry)
{
	for (int i = 0; i < ENTRIES; i++) {
		if (list[i] != NULL)
			continue;
		list[i] = entry;
		return;
	}
	fail();
}

static void list_remove(const char **list, const char *entry)
{
	for (int i = 0; i < ENTRIES; i++) {
		if (list[i] == NULL || strcmp(list[i], entry) != 0)
			continue;
		for (; i + 1 < ENTRIES; i++)
			list[i] = list[i + 1];
		list[ENTRIES - 1] = NULL;
		return;
	}
	fail();
}

static void carry_out(struct world *w, const json_t *change)
{
	const char *name = get(change, "list") + strlen("virtual_servers.v.");
	const char **list = strncmp(name, "connections", 11) == 0 ? w->connections
			    : strncmp(name, "relay.", 6) == 0     ? w->relay
			    : strcmp(name, "local_domains") == 0  ? w->local
								  : w->relayed;
	const char *mode = strstr(name, "all_except") != NULL ? "all_except" : "only";

	if (list == w->connections)
		w->connect_mode = mode;
	if (list == w->relay)
		w->relay_mode = mode;
	if (strcmp(get(change, "action"), "add") == 0)
		list_add(list, get(change, "entry"));
	else
		list_remove(list, get(change, "entry"));
}

static unsigned try_changes(const struct world *w, const char *client, const char *recipient)
{
	json_t *answer = ask(w, client, NULL, recipient), *other;
	const json_t *change;
	unsigned count = 0;
	size_t i;

	if (answer == NULL)
		return 0; // such a configuration is refused at load
	json_array_foreach(json_object_get(answer, "would_change"), i, change)
	{
		struct world changed = *w;

		carry_out(&changed, change);
		other = ask(&changed, client, NULL, recipient);
		if (other == NULL)
			continue;
		// From the SYN refused the change leads on; what comes there is another matter.
		if (strcmp(get(answer, "stage"), "connect") == 0 && recipient != NULL)
			assert_true(strcmp(get(other, "stage"), "connect") != 0 ||
				    strcmp(get(other, "verdict"), get(answer, "verdict")) != 0);
		else
			assert_string_not_equal(get(answer, "verdict"), get(other, "verdict"));
		json_decref(other);
		count++;
	}
	json_decref(answer);
	return count;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

static void pick(uint32_t *seed, const char **list, const char *const *from, unsigned count)
{
	for (unsigned i = 0, used = 0; i < count; i++)
		if (next_random(seed) % 3 == 0 && used < ENTRIES - 2)
			list[used++] = from[i];
}

// Each domain once: in one list, the other, or neither.
static void deal(uint32_t *seed, struct world *w, const char *const *from, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		switch (next_random(seed) % 4) {
		case 0:
			list_add(w->local, from[i]);
			break;
		case 1:
			list_add(w->relayed, from[i]);
			break;
		default:
			break;
		}
	}
}

static void test_explain_every_change_it_names_alters_the_verdict(void **state)
{
	static const char *const prefixes[] = {"10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24",
		"10.1.1.2", "192.0.2.0/24", "2001:db8::/32", "host.example.net", ".example.net",
		"/[a-z]+[.]example[.]net/"};
	static const char *const names[] = {NULL, "?", "host.example.net", "web1.example.net"};
	static const char *const domains[] = {
		"example.net", ".example.net", "a.example.net", "example.org"};
	static const char *const clients[] = {"10.1.1.2", "10.2.2.2", "192.0.2.1", "2001:db8::1"};
	static const char *const recipients[] = {
		NULL, "u@example.net", "u@a.example.net", "u@far.example", "postmaster"};
	static const char *const modes[] = {NULL, "only", "all_except"};
	uint32_t seed = 1;
	unsigned changes = 0;

	(void)state;
	for (int i = 0; i < 900; i++) {
		struct world w = {.connect_mode = modes[next_random(&seed) % 3],
			.relay_mode = modes[next_random(&seed) % 3]};

		pick(&seed, w.connections, prefixes, 9);
		pick(&seed, w.relay, prefixes, 9);
		deal(&seed, &w, domains, 4);
		asked_name = names[next_random(&seed) % 4];
		changes += try_changes(
			&w, clients[next_random(&seed) % 4], recipients[next_random(&seed) % 5]);
	}
	asked_name = NULL;
	assert_true(changes > 300);
}

static void test_explain_by_name(void **state)
{
	struct world w = plain;
	json_t *answer;

	(void)state;
	w.relay[1] = ".farm.example.net";
	w.connections[1] = "/[a-z]+\\\\.farm\\\\.example\\\\.net/";
	w.refuse = "drop";
	asked_name = "Web.Farm.example.net";
	answer = ask(&w, "192.0.2.1", NULL, "u@far.example");
	expect(answer, "accept", "rcpt", "250 2.1.5 u@far.example");
	assert_string_equal(
		get(json_object_get(answer, "rule"), "text"), "relay.only: .farm.example.net");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(answer, "rule"), "line")), 16);
	assert_string_equal(get(answer, "name"), "web.farm.example.net");
	json_decref(answer);
	asked_name = "web.other.example.net";
	answer = ask(&w, "192.0.2.1", NULL, "u@far.example");
	expect(answer, "refuse", "connect", "");
	assert_string_equal(get(answer, "refused_by"), "reset"); // the handshake is over by then
	json_decref(answer);
	asked_name = "?";
	answer = ask(&w, "192.0.2.1", NULL, NULL);
	expect(answer, "defer", "connect",
		"421 4.4.3 v.example.net cannot find out your name now, try again");
	json_decref(answer);
	answer = ask(&w, "10.2.2.2", NULL, "u@far.example");
	expect(answer, "defer", "rcpt",
		"451 4.4.3 u@far.example: a lookup has not answered yet, try again");
	json_decref(answer);
	asked_name = NULL;
	answer = ask(&w, "10.2.2.2", NULL, "u@far.example");
	expect(answer, "refuse", "rcpt", "550 5.7.1 Unable to relay for u@far.example");
	json_decref(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_explain_each_stage_says_what_the_server_would),
		cmocka_unit_test(test_explain_refused_connection_is_silent_or_says_554),
		cmocka_unit_test(test_explain_rule_has_file_line_and_text),
		cmocka_unit_test(test_explain_double_routing_is_refused_by_form),
		cmocka_unit_test(test_explain_bad_questions_are_named),
		cmocka_unit_test(test_explain_overlong_address_is_refused_not_cut),
		cmocka_unit_test(test_explain_by_name),
		cmocka_unit_test(test_explain_every_change_it_names_alters_the_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
