// Names in lists: which entries are taken, what they match, how far a relay list may reach, what the policy makes of them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/guard_names.h"
#include "config/name_match.h"
#include "config/name_pattern.h"
#include "config/suffix_rules.h"
#include "config_from_text.h"
#include "policy/policy.h"

static struct slice slice(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

// ---- Entries

static void test_name_pattern_takes_what_names_need(void **state)
{
	static const char *const good[] = {"host.example.net", ".example.net", "localhost",
		"/web[0-9]+\\.example\\.net/", "/^(a|b)-\\d{1,3}\\.x$/", "/(?:a|b)?c\\.x/",
		"/[a-z.-]+/", "/.+/", "/.*/", "/x{2,}y*?\\w\\.z/", "/[^.]+[.]x/"};
	static const char *const bad[] = {"", ".", "a..b", "-a", "a_b", "/", "//", "/x", "/()/",
		"/a*/", "/(/", "/)/", "/a)|(b/", "/(?x)a/", "/(?=a)b/", "/(*UTF8)a/", "/\\Qa/",
		"/a\\E/", "/\\x41/", "/(a)\\1/", "/a++/", "/[/", "/[]/", "/a{3,2}/", "/{2}/",
		"/a b/", "/a#/", "/a^b/", "/a$b/", "/\\/", "/[[:alpha:]]/", "/\xc3\xa4/"};
	struct value_why why;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_null(name_pattern_wrong(good[i], &why));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (name_pattern_wrong(bad[i], &why) == NULL)
			fail_msg("%s is taken", bad[i]);
	}
}

static void tails_text(const char *text, char out[512])
{
	struct name_tails tails;
	size_t len = 0;

	name_pattern_tails(text, &tails);
	out[0] = '\0';
	for (uint32_t i = 0; i < tails.count; i++)
		len += (size_t)snprintf(out + len, 512 - len, "%s%s%.*s", i > 0 ? " " : "",
			tails.list[i].whole ? "=" : "", tails.list[i].len, tails.list[i].text);
}

static void test_name_tails_are_what_all_names_end_with(void **state)
{
	static const struct {
		const char *text, *tails;
	} rows[] = {
		{"Host.Example.net", "=host.example.net"},
		{".example.net", ".example.net"},
		{"/host\\.example\\.net/", "=host.example.net"},
		{"/.*\\.example\\.net/", ".example.net =.example.net"},
		{"/.*example\\.net/", "example.net =example.net"},
		{"/(a|b)\\.x/", "=a.x =b.x"},
		{"/.*\\.(a|b)\\.x/", ".a.x =.a.x .b.x =.b.x"},
		{"/x\\.(a|.*)/", "=x.a  =x."},
		{"/a|.*/", "=a  ="},
		{"/a[.]x/", "=a.x"},
		{"/a[.b]x/", "x"},
		{"/ab?/", "=ab =a"},
		{"/ab*/", "b =a"},
		{"/ab+/", "b"},
		{"/a(bc){2}/", "bc"},
		{"/(a{1})b/", "=ab"},
		{"/a.x(\\.y)?/", "x.y x"},
	};
	char out[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tails_text(rows[i].text, out);
		assert_string_equal(out, rows[i].tails);
	}
}

// ---- The guard

static void test_guard_names_tells_wide_from_narrow(void **state)
{
	static const char *const narrow[] = {"laptop6247.neulan.net", ".neulan.net", "localhost",
		".internal", ".x.test", "/laptop[0-9]+\\.neulan\\.net/",
		"/.*\\.neulan\\.(net|org)/", "/(www|mail)\\.foo\\.(co\\.uk|com)/",
		"/.*[.]neulan[.]net/", "/.*\\.neulan\\.net?/", "s3.amazonaws.com.neulan.net",
		"/.*(\\.neulan)+\\.net/"};
	static const char *const wide[] = {".com", "com", ".co.uk", "co.uk", "/.*/", "/.+/",
		"/.*\\.com/", "/.*neulan\\.net/", "/mail\\..*\\.net/", "/.*\\.neulan\\..*/",
		"/.*\\.neulan\\.(net|[a-z]+)/", "/a\\.neulan\\.net|.*/", "/.*\\.co\\.uk/",
		"/.*\\.(neulan\\.net|uk)/", ".amazonaws.com", "/[a-z]+\\.amazonaws\\.com/",
		".github.io", ".lan", "/.*\\.lan/", ".foo.ck", "/(.*\\.neulan\\.net)?x/"};

	(void)state;
	for (size_t i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++) {
		if (guard_names_is_wide(narrow[i]))
			fail_msg("%s is refused", narrow[i]);
	}
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		if (!guard_names_is_wide(wide[i]))
			fail_msg("%s is taken", wide[i]);
	}
}

static struct config *load(const char *vserver, const char *rest)
{
	char text[4096];

	snprintf(text, sizeof(text),
		"ports:\n  - {device: net_null0, addresses: [10.12.170.5/24]}\n"
		"own_networks: [10.0.0.0/8]\nspool: /var/spool/postern\n"
		"routes:\n  - {domains: [\"*\"], to: [\"10.12.170.30:25\"]}\n"
		"virtual_servers:\n  - name: v\n    listen: [10.12.170.5]\n"
		"    local_domains: [neulan.net]\n%s\n%s\n",
		vserver, rest);
	return config_from_text_load(text);
}

static void expect_load(bool good, const char *vserver, const char *rest)
{
	struct config *config = load(vserver, rest);

	if ((config != NULL) != good)
		fail_msg("%s %s", vserver, rest);
	config_free(config);
}

static void test_guard_names_of_relay_lists_only(void **state)
{
	(void)state;
	expect_load(false, "    relay: {only: ['/.*/']}", "");
	expect_load(false, "    relay: {only: [.com, 10.1.1.1]}", "");
	expect_load(true, "    open_relay: i-understand\n    relay: {only: ['/.*/']}", "");
	expect_load(true, "    connections: {only: [.com]}", "");
	expect_load(true, "    relay: {only: [.neulan.net]}", "");
	// Exceptions by name do not make a list of exceptions narrow.
	expect_load(false, "    relay: {all_except: ['/.*/']}", "");
	// A name lets any address connect, so the addresses of the relay list count in full.
	expect_load(false,
		"    connections: {only: [10.1.1.1, .neulan.net]}\n    relay: {only: [192.0.2.1]}",
		"");
	expect_load(
		true, "    connections: {only: [10.1.1.1]}\n    relay: {only: [192.0.2.1]}", "");
}

static void test_guarantee_holds_names_as_well(void **state)
{
	const char *relay =
		"    relay: {only: [10.1.1.1, laptop.neulan.net, '/w[0-9]\\.a\\.net/']}";

	(void)state;
	expect_load(false, relay,
		"guarantees: [{vserver: v, relays_without_login: {only: [10.0.0.0/8]}}]");
	expect_load(false, relay,
		"guarantees: [{vserver: v, relays_without_login: {only: [10.0.0.0/8], names: "
		"[.neulan.net]}}]");
	expect_load(true, relay,
		"guarantees: [{vserver: v, relays_without_login: {only: [10.0.0.0/8], names: "
		"[.neulan.net, '/w[0-9]\\.a\\.net/']}}]");
	expect_load(false, relay, "guarantees: [{vserver: v, relays_without_login: nobody}]");
}

// Every public suffix of several labels is found to be one, and its parent to have one below: by libpsl's list and by ours.
static void test_suffix_rules_are_known_to_the_guard(void **state)
{
	char text[300];

	(void)state;
	assert_true(suffix_rule_count > 5000);
	for (size_t i = 0; i < suffix_rule_count; i++) {
		const char *rule = suffix_rules[i];

		if (rule[0] == '*')
			snprintf(text, sizeof(text), ".x%s", rule + 1);
		else
			snprintf(text, sizeof(text), ".%s", rule);
		if (!guard_names_is_wide(text))
			fail_msg("%s is taken", text);
		snprintf(text, sizeof(text), ".%s", strchr(rule, '.') + 1);
		if (!guard_names_is_wide(text))
			fail_msg("%s is taken though %s is below", text, rule);
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

// Pieces of expressions put together at random; those the guard lets pass match no name that a stranger could have: names below public
// suffixes made of the same pieces.
static void test_guard_names_passes_nothing_that_matches_a_stranger(void **state)
{
	static const char *const pieces[] = {"a", "neulan", "net", "com", "\\.", "[.]", ".", "*",
		"+", "?", "(", ")", "|", "(?:", "{2}", "[a-z]", "\\w", "-", "b\\.net",
		"\\.neulan\\.net"};
	static const char *const strangers[] = {"a.net", "a.com", "net", "com", "b.net",
		"aneulan.net", "a.b.net", "neulan.com", "a.neulan.com", "neulan.net.com",
		"a-neulan.net", "aa.net", "neulan.b.com", "neulan.neulan.com", "b.net.com",
		"neulanneulan.net", "aneulan.neta"};
	uint32_t seed = 7, passed = 0;

	(void)state;
	for (unsigned n = 0; n < 40000; n++) {
		const unsigned count = 1 + next_random(&seed) % 8;
		struct config_name name = {.text = NULL};
		struct config_vserver v = {.relay = {CONFIG_LIST_ONLY, {1, 1}, NULL, 0, &name, 1}};
		struct config config = {.vservers = &v, .vserver_count = 1};
		struct mistakes mistakes = {.list = NULL};
		struct value_why why;
		char text[256] = "/";

		for (unsigned i = 0; i < count; i++)
			strcat(text, pieces[next_random(&seed) % 20]);
		strcat(text, "/");
		if (name_pattern_wrong(text, &why) != NULL || guard_names_is_wide(text))
			continue;
		name.text = text;
		struct name_match *match = name_match_compile(&config, &mistakes);
		struct name_match_scratch *scratch = name_match_scratch_make(match);

		// Whole names are what the operator wrote, and may be those of anybody.
		struct name_tails tails;
		name_pattern_tails(text, &tails);
		for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
			uint64_t sets[1] = {0};
			bool written = false;

			for (uint32_t t = 0; t < tails.count; t++)
				written = written ||
					  (tails.list[t].whole &&
						  tails.list[t].len == strlen(strangers[i]) &&
						  memcmp(tails.list[t].text, strangers[i],
							  tails.list[t].len) == 0);
			name_match_scan(match, scratch, slice(strangers[i]), sets);
			// "b.net" is somebody's domain: its names are no stranger's.
			if (sets[0] != 0 && !written && strstr(text, "b\\.net") == NULL)
				fail_msg("%s passes and matches %s", text, strangers[i]);
		}
		name_match_scratch_free(scratch);
		name_match_free(match);
		passed++;
	}
	assert_true(passed > 100);
}

// ---- Matching and policy

static const char lists[] = "    connections: {all_except: [spam.example.org, .bad.example.org]}\n"
			    "    relay: {only: [10.1.1.0/24, laptop.neulan.net, .farm.neulan.net,\n"
			    "                   '/web[0-9]+\\.neulan\\.net/', Mixed.neulan.net]}";

static uint64_t sets_of(const struct snapshot *s, const char *name)
{
	struct name_match_scratch *scratch = name_match_scratch_make(s->config->names);
	uint64_t sets[1] = {0};

	snapshot_name_lists(s, scratch, slice(name), sets);
	name_match_scratch_free(scratch);
	return sets[0];
}

static void test_name_match_is_of_the_whole_name(void **state)
{
	static const struct {
		const char *name;
		uint64_t sets; // 1 connections, 2 relay
	} rows[] = {
		{"laptop.neulan.net", 2},
		{"xlaptop.neulan.net", 0},
		{"laptop.neulan.net.evil.com", 0},
		{"laptopxneulan.net", 0},
		{"farm.neulan.net", 0},
		{"a.farm.neulan.net", 2},
		{"a.b.farm.neulan.net", 2},
		{"xfarm.neulan.net", 0},
		{"web1.neulan.net", 2},
		{"web12.neulan.net", 2},
		{"web.neulan.net", 0},
		{"web1.neulan.net.com", 0},
		{"a.web1.neulan.net", 0},
		{"web1xneulan.net", 0},
		{"mixed.neulan.net", 2},
		{"spam.example.org", 1},
		{"x.bad.example.org", 1},
		{"", 0},
	};
	struct config *config = load(lists, "");
	struct snapshot *s = snapshot_build(config, 1);
	const struct config_name *first;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(sets_of(s, rows[i].name), rows[i].sets);
	assert_int_equal(snapshot_name_entries(s, 1, slice("web7.neulan.net"), &first), 1);
	assert_int_equal(first->pos.line, 13);
	assert_int_equal(snapshot_name_entries(s, 0, slice("web7.neulan.net"), &first), 0);
	assert_null(first);
	snapshot_free(s);
	config_free(config);
}

enum { UNKNOWN, NONE, LISTED, OTHER, PARTIAL, CUT };

static struct policy_names names_of(int what, const uint64_t *listed)
{
	static const uint64_t nothing;
	const enum policy_names_kind kinds[] = {POLICY_NAMES_UNKNOWN, POLICY_NAMES_NONE,
		POLICY_NAMES_FOUND, POLICY_NAMES_FOUND, POLICY_NAMES_FOUND, POLICY_NAMES_FOUND};

	return (struct policy_names){.kind = kinds[what],
		.partial = what == PARTIAL,
		.cut = what == CUT,
		.lists = what == LISTED ? listed : &nothing};
}

// Not known is not yes, and not no either; a client without a confirmed name is an exception.
static void test_policy_names_decide_only_what_addresses_leave_open(void **state)
{
	static const struct {
		const char *list, *address;
		enum policy_kind says[6]; // UNKNOWN, NONE, LISTED, OTHER, PARTIAL, CUT
	} rows[] = {
#define A POLICY_ACCEPT
#define R POLICY_REFUSE
#define D POLICY_DEFER
		{"only: [10.1.1.1, x.neulan.net]", "10.1.1.1", {A, A, A, A, A, A}},
		{"only: [10.1.1.1, x.neulan.net]", "10.1.1.2", {D, R, A, R, D, R}},
		{"only: [10.1.1.1]", "10.1.1.2", {R, R, R, R, R, R}},
		{"all_except: [10.1.1.1, x.neulan.net]", "10.1.1.1", {R, R, R, R, R, R}},
		{"all_except: [10.1.1.1, x.neulan.net]", "10.1.1.2", {D, R, R, A, D, R}},
		{"all_except: [10.1.1.1]", "10.1.1.2", {A, A, A, A, A, A}},
	};
	const uint64_t listed[2] = {1, 2};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned relay = 0; relay < 2; relay++) {
			char text[256];
			struct ip_addr addr;

			snprintf(text, sizeof(text), "    %s: {%s}\n    open_relay: i-understand",
				relay ? "relay" : "connections", rows[i].list);
			struct config *config = load(text, "");
			struct snapshot *s = snapshot_build(config, 1);
			const bool has_names = strstr(text, "x.neulan") != NULL;
			const uint64_t set = has_names ? listed[relay] : 0;

			assert_true(ip_addr_parse(rows[i].address, &addr));
			for (int what = UNKNOWN; what <= CUT; what++) {
				const struct policy_client client = {
					.class = snapshot_class_of(s, &addr),
					.names = names_of(what, &set)};
				const struct policy_verdict v =
					relay ? policy_rcpt(s, client, slice("far.example"))
					      : policy_connect(s, client);

				assert_int_equal(v.kind, rows[i].says[what]);
				// A local recipient is nobody's question.
				assert_int_equal(
					policy_rcpt(s, client, slice("neulan.net")).kind, A);
			}
			snapshot_free(s);
			config_free(config);
		}
	}
}

// Hyperscan compiles ten times slower under the sanitizers, and is not what they look at.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#ifdef SANITIZED
enum { MANY = 500 };
#else
enum { MANY = 5000 };
#endif

static void test_name_match_thousands_compile_in_time(void **state)
{
	struct value_why why;
	struct config_name *all = calloc(MANY, sizeof(all[0]));
	struct config_vserver v = {.relay = {CONFIG_LIST_ONLY, {1, 1}, NULL, 0, all, MANY}};
	struct config config = {.vservers = &v, .vserver_count = 1};
	struct mistakes mistakes = {.list = NULL};
	char last[64];

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		char one[64];

		snprintf(one, sizeof(one), "%shost%u.example%u.net", i % 3 == 0 ? "." : "", i,
			i % 97);
		all[i].text = strdup(one);
		assert_null(name_pattern_wrong(one, &why));
	}
	struct name_match *match = name_match_compile(&config, &mistakes);
	struct name_match_scratch *scratch = name_match_scratch_make(match);
	uint64_t sets[1] = {0};

	assert_non_null(match);
	snprintf(last, sizeof(last), "x.host%u.example%u.net", MANY - 2, (MANY - 2) % 97);
	name_match_scan(match, scratch, slice(last), sets);
	assert_int_equal(sets[0], 2);
	print_message("%u names: %lu octets\n", MANY, name_match_octets(match));
	name_match_scratch_free(scratch);
	name_match_free(match);
	for (unsigned i = 0; i < MANY; i++)
		free((void *)(uintptr_t)all[i].text);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_pattern_takes_what_names_need),
		cmocka_unit_test(test_name_tails_are_what_all_names_end_with),
		cmocka_unit_test(test_guard_names_tells_wide_from_narrow),
		cmocka_unit_test(test_guard_names_of_relay_lists_only),
		cmocka_unit_test(test_guarantee_holds_names_as_well),
		cmocka_unit_test(test_suffix_rules_are_known_to_the_guard),
		cmocka_unit_test(test_guard_names_passes_nothing_that_matches_a_stranger),
		cmocka_unit_test(test_name_match_is_of_the_whole_name),
		cmocka_unit_test(test_policy_names_decide_only_what_addresses_leave_open),
		cmocka_unit_test(test_name_match_thousands_compile_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
