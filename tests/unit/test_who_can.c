// who-can-relay and who-can-connect: what they print against asking the lists address by address.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config_from_text.h"
#include "control/who_can.h"
#include "tests/unit/proof_world.h"

enum {
	MOST = 100000,
};

// Each prefix once, in order, none beside its sibling (or one shorter would do), none in another.
static void expect_minimal(const struct config_prefix *all, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		const address_key a = address_key_of(&all[i - 1].addr),
				  b = address_key_of(&all[i].addr);

		assert_true(address_key_last(a, all[i - 1].len) < b);
		assert_false(all[i - 1].len == all[i].len &&
			     (a ^ b) == address_key_host_mask(all[i].len) + 1);
	}
}

static void expect_count(const json_t *family, const struct config_list *list)
{
	const char *text = json_string_value(json_object_get(family, "count"));
	address_key sum = 0, said = 0;

	for (uint32_t i = 0; i < list->prefix_count; i++)
		sum += address_key_host_mask(list->prefixes[i].len) + 1;
	assert_non_null(text);
	for (; *text != '\0'; text++)
		said = said * 10 + (unsigned)(*text - '0');
	assert_true(sum == said); // both wrap to 0 for 2^128
}

// --- a small universe, all of it ---

// The prefixes printed hold exactly those of the first 65536 addresses of 10.0.0.0/8 that the lists mean.
static void expect_exact(
	const json_t *family, const struct config_vserver *v, enum reach_right right)
{
	struct config_list list = proof_world_printed(family);
	static bool marked[UNIVERSE];

	memset(marked, 0, sizeof(marked));
	expect_minimal(list.prefixes, list.prefix_count);
	expect_count(family, &list);
	for (uint32_t i = 0; i < list.prefix_count; i++) {
		address_key first = address_key_of(&list.prefixes[i].addr);
		address_key last = address_key_last(first, list.prefixes[i].len);

		if (last < UNIVERSE_FIRST || first > (UNIVERSE_FIRST | 0xffff))
			continue;
		first = first < UNIVERSE_FIRST ? UNIVERSE_FIRST : first;
		last = last > (UNIVERSE_FIRST | 0xffff) ? (UNIVERSE_FIRST | 0xffff) : last;
		for (address_key at = first; at <= last; at++)
			marked[at - UNIVERSE_FIRST] = true;
	}
	for (uint32_t i = 0; i < UNIVERSE; i++)
		assert_int_equal(marked[i], proof_world_expected(v, UNIVERSE_FIRST + i, right));
	assert_int_equal(policy_world_listed(&list, ADDRESS_KEY_V4_FIRST | 0xc0000201),
		proof_world_expected(v, ADDRESS_KEY_V4_FIRST | 0xc0000201, right));
	free(list.prefixes);
}

static json_t *ask(const struct snapshot *snapshot, enum reach_right right, uint32_t most)
{
	char why[WHO_CAN_WHY_MAX];
	json_t *args = json_object(), *answer = who_can(snapshot, right, args, most, why);

	assert_non_null(answer);
	json_decref(args);
	return answer;
}

static void expect_world(struct policy_world *world, enum reach_right right)
{
	struct snapshot *snapshot = snapshot_build(&world->config, 1);
	json_t *answer = ask(snapshot, right, MOST);

	for (uint32_t v = 0; v < 3; v++) {
		const json_t *object = json_object_get(answer, world->vservers[v].name);

		expect_exact(json_object_get(object, "ipv4"), &world->vservers[v], right);
	}
	json_decref(answer);
	snapshot_free(snapshot);
}

static void test_who_can_every_address_of_a_small_universe_is_told_right(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct policy_world world;

		proof_world_init(&world, seed, (uint32_t)(1 + seed % 24));
		expect_world(&world, REACH_RELAY);
		expect_world(&world, REACH_CONNECT);
		policy_world_free(&world);
	}
}

// --- both families, at the edges ---

static void expect_edges(struct policy_world *world, enum reach_right right)
{
	struct snapshot *snapshot = snapshot_build(&world->config, 1);
	json_t *answer = ask(snapshot, right, MOST);

	for (uint32_t v = 0; v < 3; v++) {
		const json_t *object = json_object_get(answer, world->vservers[v].name);
		struct config_list v4 = proof_world_printed(json_object_get(object, "ipv4")),
				   v6 = proof_world_printed(json_object_get(object, "ipv6"));

		expect_minimal(v4.prefixes, v4.prefix_count);
		expect_minimal(v6.prefixes, v6.prefix_count);
		expect_count(json_object_get(object, "ipv4"), &v4);
		expect_count(json_object_get(object, "ipv6"), &v6);
		for (unsigned i = 0; i < 1500; i++) {
			const address_key key = policy_world_address(world);

			assert_int_equal(
				policy_world_listed(address_key_is_v4(key) ? &v4 : &v6, key),
				proof_world_expected(&world->vservers[v], key, right));
		}
		free(v4.prefixes);
		free(v6.prefixes);
	}
	json_decref(answer);
	snapshot_free(snapshot);
}

static void test_who_can_edges_of_both_families_are_told_right(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct policy_world world;

		policy_world_init(&world, seed, (uint32_t)(1 + seed % 40));
		proof_world_name(&world);
		expect_edges(&world, REACH_RELAY);
		expect_edges(&world, REACH_CONNECT);
		policy_world_free(&world);
	}
}

// --- by name ---

#define HEAD                                                                                       \
	"ports: [{device: net_null0, addresses: [10.12.170.5/24, 10.12.170.6/24]}]\n"              \
	"spool: /var/spool/postern\nown_networks: [10.0.0.0/8]\n"                                  \
	"routes: [{domains: ['*'], to: 10.12.170.30}]\nvirtual_servers:\n"
#define SERVER "  - {name: v, listen: 10.12.170.5, open_relay: i-understand, "

static void expect_text(const char *servers, enum reach_right right, const char *want)
{
	char text[2048], *got;
	struct config *config;
	struct snapshot *snapshot;
	json_t *answer;

	(void)snprintf(text, sizeof(text), "%s%s", HEAD, servers);
	config = config_from_text_load(text);
	assert_non_null(config);
	snapshot = snapshot_build(config, 1);
	answer = ask(snapshot, right, MOST);
	got = who_can_text(answer, right);
	if (strstr(got, want) == NULL)
		print_error("%s\nlacks: %s\n", got, want);
	assert_non_null(strstr(got, want));
	free(got);
	json_decref(answer);
	snapshot_free(snapshot);
	config_free(config);
}

static void test_who_can_text_names_sets_and_risks(void **state)
{
	(void)state;
	expect_text("  - {name: v, listen: 10.12.170.5}\n", REACH_RELAY,
		"v: 0 IPv4 and 0 IPv6 addresses can relay without logging in\n");
	expect_text("  - {name: v, listen: 10.12.170.5}\n", REACH_CONNECT,
		"v: 4294967296 IPv4 and 340282366920938463463374607431768211456 IPv6 addresses can "
		"connect\n  0.0.0.0/0\n  ::/0\n");
	expect_text(SERVER "relay: {all_except: [10.0.0.0/8]}}\n", REACH_RELAY,
		"relay.all_except: everybody nobody thought of");
	expect_text(SERVER "relay: {only: [10.0.0.0/8]}}\n", REACH_RELAY,
		"warning: /etc/postern/test.yaml:6:48: open_relay: i-understand");
	expect_text(SERVER "connections: {only: [10.1.0.0/16]}, relay_domains: ['*']}\n",
		REACH_RELAY, "v: 65536 IPv4 and 0 IPv6 addresses can relay");
	expect_text(SERVER "connections: {only: [10.1.0.0/16]}, local_domains: ['*']}\n",
		REACH_RELAY, "local_domains: \"*\" takes mail for every domain");
	expect_text(SERVER "connections: {only: [10.1.0.0/16]}, relay: {only: [10.2.0.0/16, "
			   "10.1.0.9]}}\n",
		REACH_RELAY, "relay.only: 10.2.0.0/16 may not connect, so it does not relay");
}

static void test_who_can_warns_of_addresses_that_change_hands(void **state)
{
	(void)state;
	expect_text(SERVER "connections: {only: [10.1.0.0/16]}, relay: {only: [10.1.1.0/24]}}\n"
			   "dynamic_pools: [10.1.2.0/24, 10.1.1.128/25, 10.0.0.0/8]\n",
		REACH_RELAY,
		"warning: /etc/postern/test.yaml:6:113: relay: 10.1.1.128 may relay and is in the "
		"dynamic pool 10.1.1.128/25 (line 7): who has the address next relays too\n"
		"  warning: /etc/postern/test.yaml:6:113: relay: 10.1.1.0 may relay and is in the "
		"dynamic pool 10.0.0.0/8 ");
	expect_text(SERVER "relay: {all_except: ['::/0']}}\ndynamic_pools: ['::/0', 10.0.0.0/8]\n",
		REACH_RELAY, "relay: 10.0.0.0 may relay and is in the dynamic pool 10.0.0.0/8");
}

static void test_who_can_names_are_told_apart_with_their_risks(void **state)
{
	(void)state;
	expect_text(SERVER "local_domains: a.example.net, relay: {only: [10.1.1.1, "
			   "x.a.example.net, .example.org]}}\n",
		REACH_RELAY, "  10.1.1.1\n  name     x.a.example.net\n  name     .example.org\n");
	expect_text(SERVER "local_domains: a.example.net, relay: {only: [x.a.example.net, "
			   ".example.org]}}\n",
		REACH_RELAY, "relay.only: .example.org: whoever has the zones of such names");
	// By a name it may connect, by its address it relays then.
	expect_text(SERVER "connections: {only: [x.example.net]}, relay: {only: [10.1.1.1]}}\n",
		REACH_RELAY, "v: 1 IPv4 and 0 IPv6 addresses can relay");
	expect_text(SERVER "connections: {only: [x.example.net]}, relay: {only: [10.1.1.1]}}\n",
		REACH_CONNECT,
		"v: 0 IPv4 and 0 IPv6 addresses can connect\n  name     x.example.net");
	// Who is in no list of exceptions may have any other name.
	expect_text(SERVER "connections: {all_except: [10.0.0.0/8, .example.net]}}\n",
		REACH_CONNECT, "v: 4278190080 IPv4");
	expect_text(SERVER "connections: {all_except: [10.0.0.0/8, .example.net]}}\n",
		REACH_CONNECT,
		"connections.all_except has names: who is let in hangs on the zones");
	expect_text(SERVER "forward_confirm: false, relay: {only: [x.example.net]}}\n", REACH_RELAY,
		"forward_confirm: false: whoever has the reverse zone");
}

static void test_who_can_one_vserver_or_a_complaint(void **state)
{
	struct config *config = config_from_text_load(
		HEAD "  - {name: v, listen: 10.12.170.5}\n  - {name: w, listen: 10.12.170.6}\n");
	struct snapshot *snapshot = snapshot_build(config, 9);
	static const char *const bad[] = {
		"{\"vserver\": \"x\"}", "{\"vserver\": 1}", "{\"client\": \"10.0.0.1\"}"};
	char why[WHO_CAN_WHY_MAX];
	json_t *args = json_pack("{s:s}", "vserver", "w");
	json_t *answer = who_can(snapshot, REACH_RELAY, args, MOST, why);

	(void)state;
	assert_int_equal(json_object_size(answer), 1);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(answer, "w"), "epoch")), 9);
	json_decref(answer);
	json_decref(args);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		args = json_loads(bad[i], 0, NULL);
		assert_null(who_can(snapshot, REACH_RELAY, args, MOST, why));
		assert_non_null(strstr(why, i == 0 ? "there are: v w" : "unknown argument"));
		json_decref(args);
	}
	snapshot_free(snapshot);
	config_free(config);
}

// More prefixes than are listed are still counted.
static void test_who_can_more_prefixes_than_are_listed_are_counted(void **state)
{
	struct config *config = config_from_text_load(
		HEAD SERVER "relay: {all_except: [10.0.0.1, '2001:db8::1']}}\n");
	struct snapshot *snapshot = snapshot_build(config, 1);
	json_t *answer = ask(snapshot, REACH_RELAY, 100);
	const json_t *v = json_object_get(answer, "v");
	const json_t *v6 = json_object_get(v, "ipv6");

	(void)state;
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(v, "ipv4"), "prefixes")), 32);
	assert_true(json_is_null(json_object_get(v6, "prefixes")));
	assert_int_equal(json_integer_value(json_object_get(v6, "prefix_count")), 128);
	assert_string_equal(json_string_value(json_object_get(v6, "count")),
		"340282366920938463463374607431768211455");
	json_decref(answer);
	snapshot_free(snapshot);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_can_every_address_of_a_small_universe_is_told_right),
		cmocka_unit_test(test_who_can_edges_of_both_families_are_told_right),
		cmocka_unit_test(test_who_can_text_names_sets_and_risks),
		cmocka_unit_test(test_who_can_warns_of_addresses_that_change_hands),
		cmocka_unit_test(test_who_can_names_are_told_apart_with_their_risks),
		cmocka_unit_test(test_who_can_one_vserver_or_a_complaint),
		cmocka_unit_test(test_who_can_more_prefixes_than_are_listed_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
