// The open-relay guard and the guarantees: tricks by name, and random lists against asking the policy address by address.

#include "tests/unit/config_text.h"

#include "config/guard.h"
#include "config/snapshot.h"
#include "config/value.h"
#include "policy/policy.h"
#include "tests/unit/policy_world.h"

#define HEAD                                                                                       \
	"ports: [{device: net_null0, addresses: [10.12.170.5/24]}]\n"                              \
	"spool: /var/spool/postern\n"                                                              \
	"routes: [{domains: ['*'], to: 10.12.170.30}]\n"
#define SERVER "virtual_servers:\n  - {name: v, listen: 10.12.170.5, local_domains: neulan.net, "
#define OWN    "own_networks: [10.12.0.0/16, '2001:db8:12::/48']\n"

// Each lets somebody outside relay, or hides that it does.
static const struct {
	const char *text, *says;
} open_relays[] = {
	{SERVER "relay: {only: [10.12.0.0/16]}}\n", "of which none are declared"},
	{OWN SERVER "relay: {only: [0.0.0.0/0]}}\n", "clients of 0.0.0.0/5"},
	{OWN SERVER "relay: {only: [0.0.0.0/1, 128.0.0.0/1]}}\n", "clients of 0.0.0.0/5"},
	{OWN SERVER "relay: {only: [10.12.0.0/15]}}\n", "clients of 10.13.0.0/16"},
	{OWN SERVER "relay: {only: [10.12.1.1, 192.0.2.1]}}\n", "clients of 192.0.2.1 "},
	{OWN SERVER "relay: {all_except: []}}\n", "clients of 0.0.0.0/5"},
	{OWN SERVER "relay: {all_except: [192.0.2.1]}}\n", "clients of 0.0.0.0/5"},
	{OWN SERVER "relay: {all_except: [0.0.0.0/0]}}\n", "clients of ::/3"},
	{OWN SERVER "relay: {only: ['::ffff:0:0/96']}}\n", "open relay: clients of 0.0.0.0/5"},
	{OWN SERVER "relay: {only: ['::/0']}}\n", "clients of ::/3"},
	{OWN SERVER "relay: {only: ['2001:db8::/32']}}\n", "clients of 2001:db8::/44"},
	{OWN SERVER "relay: {all_except: [10.0.0.1]}, connections: {all_except: [192.0.2.0/24]}}\n",
		"clients of 0.0.0.0/5"},
	{OWN SERVER "relay: {all_except: []}, connections: {only: [10.12.0.0/16, 192.0.2.7]}}\n",
		"clients of 192.0.2.7 "},
	{"own_networks: [0.0.0.0/0]\n" SERVER "relay: {only: [192.0.2.1]}}\n", "wider than"},
	{"own_networks: [0.0.0.0/1, 128.0.0.0/1]\n" SERVER "relay: {all_except: []}}\n",
		"wider than"},
	{"own_networks: [32.0.0.0/7]\n" SERVER "relay: {only: [32.0.0.1]}}\n", "at least 8 bits"},
	{"own_networks: ['2000::/3']\n" SERVER "relay: {only: ['2001:db8::1']}}\n",
		"at least 16 bits"},
	{OWN SERVER "relay_domains: ['*']}\n", "every domain there is"},
	{OWN SERVER "relay_domains: [com]}\n", "public suffix"},
	{OWN SERVER "relay_domains: [.com]}\n", "public suffix"},
	{OWN SERVER "relay_domains: [CO.UK]}\n", "public suffix"},
	{OWN SERVER "relay_domains: [.github.io]}\n", "public suffix"},
};

static const char *const closed[] = {
	OWN SERVER "relay: {only: [10.12.0.0/16, '2001:db8:12:1::/64']}}\n",
	OWN SERVER "relay: {only: []}}\n",
	SERVER "relay: {}}\n",
	OWN SERVER "relay: {all_except: [10.12.9.0/24]}, connections: {only: [10.12.0.0/16]}}\n",
	OWN SERVER "relay: {only: [192.0.2.0/24]}, connections: {all_except: [192.0.2.0/25, "
		   "192.0.2.128/25]}}\n",
	SERVER "relay: {only: [0.0.0.0/0]}, open_relay: i-understand}\n",
	OWN SERVER "relay_domains: ['*', com], open_relay: i-understand}\n",
	OWN SERVER "relay_domains: [localhost, example.com, .neulan.org]}\n",
};

static bool says(const struct config_text_mistakes *mistakes, const char *fragment)
{
	for (unsigned i = 0; i < mistakes->count && i < 32; i++) {
		if (strstr(mistakes->messages[i], fragment) != NULL)
			return true;
	}
	config_text_print(mistakes);
	print_message("expected: %s\n", fragment);
	return false;
}

static void test_guard_open_relay_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(open_relays) / sizeof(open_relays[0]); i++) {
		struct config_text_mistakes mistakes;
		char text[2048];

		(void)snprintf(text, sizeof(text), "%s%s", HEAD, open_relays[i].text);
		assert_null(config_text_load(text, &mistakes));
		assert_true(says(&mistakes, open_relays[i].says));
	}
}

static void test_guard_closed_relay_is_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		struct config_text_mistakes mistakes;
		char text[2048];

		(void)snprintf(text, sizeof(text), "%s%s", HEAD, closed[i]);
		struct config *config = config_text_load(text, &mistakes);
		config_text_print(&mistakes);
		assert_non_null(config);
		config_free(config);
	}
}

// 127 networks of /8 are each narrow enough and more than half of everything together.
static void test_guard_own_networks_of_half_the_internet_are_refused(void **state)
{
	struct config_text_mistakes mistakes;
	char text[4096] = HEAD SERVER "relay: {only: [10.12.0.1]}}\nown_networks: [1.0.0.0/8";

	(void)state;
	for (unsigned i = 2; i < 130; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), ", %u.0.0.0/8", i);
	(void)strcat(text, "]\n");
	assert_null(config_text_load(text, &mistakes));
	assert_true(says(&mistakes, "more than half of all addresses"));
}

static const struct {
	const char *guarantee, *says; // NULL: holds
} guarantees[] = {
	{"nobody", "guarantee broken: clients of 10.12.1.0/24"},
	{"{only: [10.12.1.0/25]}", "guarantee broken: clients of 10.12.1.128/25"},
	{"{only: []}", "guarantee broken: clients of 10.12.1.0/24"},
	{"{only: [10.12.1.0/24]}", "guarantee broken: clients of 2001:db8:12::7,"},
	{"{only: [10.12.1.0/24, '2001:db8:12::/64']}", NULL},
	{"{only: [10.12.1.0/25, 10.12.1.128/25, '::/0']}", NULL},
};

static void test_guard_guarantee_is_judged_on_the_computed_set(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(guarantees) / sizeof(guarantees[0]); i++) {
		struct config_text_mistakes mistakes;
		char text[2048];

		(void)snprintf(text, sizeof(text),
			"%sguarantees: [{vserver: v, relays_without_login: %s}]\n",
			HEAD OWN SERVER "relay: {only: [10.12.1.0/24, '2001:db8:12::7', "
					"10.12.9.9]}, connections: {all_except: [10.12.9.9]}}\n",
			guarantees[i].guarantee);
		struct config *config = config_text_load(text, &mistakes);
		if (guarantees[i].says != NULL)
			assert_true(says(&mistakes, guarantees[i].says));
		else
			assert_non_null(config);
		config_free(config);
	}
}

// Each on one virtual server whose lists begin on the line after its own.
static const struct {
	const char *server, *guarantee, *says; // NULL: holds
} promises[] = {
	{"relay: {only: [10.12.1.0/24]}", "relays_without_login: nobody",
		"guarantee broken: clients of 10.12.1.0/24, 10.12.1.0 for one, may relay without "
		"logging in through virtual server v (by relay on line 6)"},
	{"connections: {only: [10.12.1.0/24]}", "connects: {only: [10.12.0.0/16]}", NULL},
	{"connections: {only: [10.12.1.0/24, 192.0.2.1]}", "connects: {only: [10.12.0.0/16]}",
		"clients of 192.0.2.1, 192.0.2.1 for one, may connect to virtual server v (by "
		"connections on line 6)"},
	{"connections: {all_except: [0.0.0.0/1]}", "connects: {only: ['::/0', 128.0.0.0/2]}",
		"clients of 192.0.0.0/2, 192.0.0.0 for one"},
	{"connections: {all_except: [0.0.0.0/0, '::/0']}", "connects: nobody", NULL},
	{"relay: {only: []}", "connects: nobody", "clients of 0.0.0.0/0, 0.0.0.0 for one"},
	{"relay: {only: []}", "connects: {only: [0.0.0.0/0]}", "clients of ::/0, :: for one"},
	{"connections: {only: [10.12.1.0/24]}, relay_domains: ['*'], open_relay: i-understand",
		"relays_without_login: nobody", "clients of 10.12.1.0/24"},
	{"connections: {only: [10.12.1.0/24]}, local_domains: ['*'], open_relay: i-understand",
		"relays_without_login: {only: [10.12.1.0/25]}", "clients of 10.12.1.128/25"},
	{"relay: {only: [0.0.0.0/0]}, open_relay: i-understand",
		"relays_without_login: {only: [0.0.0.0/1]}", "clients of 128.0.0.0/1"},
	{"relay: {only: [10.12.1.1]}",
		"connects: {only: [0.0.0.0/0, '::/0']}, "
		"relays_without_login: nobody",
		"clients of 10.12.1.1, 10.12.1.1 for one, may relay"},
	{"relay: {only: []}", "",
		"this guarantees nothing: expected relays_without_login or connects"},
	{"relay: {only: []}", "connects: {}", "only"},
	{"relay: {only: []}", "connects: everybody", "nobody"},
};

static void test_guard_promises_are_kept_or_the_breach_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
		struct config_text_mistakes mistakes;
		char text[2048];

		(void)snprintf(text, sizeof(text),
			HEAD OWN "virtual_servers:\n  - {name: v, listen: 10.12.170.5, %s}\n"
				 "guarantees: [{vserver: v, %s}]\n",
			promises[i].server, promises[i].guarantee);
		struct config *config = config_text_load(text, &mistakes);

		if (promises[i].says != NULL) {
			assert_true(says(&mistakes, promises[i].says));
			assert_int_equal(mistakes.count, 1);
			assert_int_equal(mistakes.pos[0].line, 7);
		} else {
			config_text_print(&mistakes);
			assert_non_null(config);
		}
		config_free(config);
	}
}

static bool relays(const struct snapshot *snapshot, uint16_t vserver, address_key key)
{
	const struct ip_addr addr = address_key_addr(key);
	const struct policy_client client = {
		.vserver = vserver, .class = snapshot_class_of(snapshot, &addr)};
	static const struct slice foreign = {(const uint8_t *)"example.org", 11};

	return policy_connect(snapshot, client).kind == POLICY_ACCEPT &&
	       policy_rcpt(snapshot, client, foreign).kind == POLICY_ACCEPT;
}

// What the proofs say and what a client would get are the same, at the edges of every prefix.
static void test_guard_relay_clients_equal_the_policy(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct policy_world world;

		policy_world_init(&world, seed, 1 + (uint32_t)seed % 40);
		struct snapshot *snapshot = snapshot_build(&world.config, seed);
		for (uint16_t v = 0; v < 3; v++) {
			struct arena *arena = arena_create(guard_octets(&world.vservers[v]));
			const struct address_set set =
				guard_relay_clients(arena, &world.vservers[v]);

			for (unsigned i = 0; i < 1000; i++) {
				const address_key key = policy_world_address(&world);

				assert_int_equal(
					address_set_has(set, key), relays(snapshot, v, key));
			}
			arena_free(arena);
		}
		snapshot_free(snapshot);
		policy_world_free(&world);
	}
}

static size_t print_list(char *out, size_t size, struct policy_world *world, uint32_t count)
{
	size_t at = (size_t)snprintf(out, size, "[");

	for (uint32_t i = 0; i < count; i++) {
		char text[VALUE_PREFIX_TEXT_MAX];
		const address_key net = ADDRESS_KEY_V4_FIRST | 0x0a000000;
		const unsigned len = 104 + (unsigned)(policy_world_random(world) % 6);
		const struct config_prefix p =
			policy_world_prefix(net | (policy_world_random(world) & 0xff0000), len);

		at += (size_t)snprintf(out + at, size - at, "%s%s", i == 0 ? "" : ", ",
			value_prefix_print(&p.addr, p.len, text));
	}
	return at + (size_t)snprintf(out + at, size - at, "]");
}

// Random small lists in one /8: refused exactly when an address at an edge can relay and is not in own_networks.
static bool any_stranger_relays(const struct config *config)
{
	struct snapshot *snapshot = snapshot_build(config, 1);
	const struct config_list own = {
		.prefixes = config->own_networks, .prefix_count = config->own_network_count};
	bool found = false;

	for (address_key host = 0; host < 1 << 24 && !found; host += 1 << 17) {
		const address_key key = (ADDRESS_KEY_V4_FIRST | 0x0a000000) + host;

		found = relays(snapshot, 0, key) && !policy_world_listed(&own, key);
	}
	found = found || relays(snapshot, 0, ADDRESS_KEY_V4_FIRST | 0xc0000201);
	snapshot_free(snapshot);
	return found;
}

static void test_guard_verdict_equals_brute_force(void **state)
{
	unsigned refused = 0;
	struct policy_world world;

	(void)state;
	policy_world_init(&world, 99, 1);
	for (unsigned round = 0; round < 400; round++) {
		struct config_text_mistakes mistakes;
		char own[512], relay[512], connect[512], text[2048], open_text[2100];
		const char *mode = policy_world_random(&world) % 4 ? "only" : "all_except";

		(void)print_list(own, sizeof(own), &world, 4);
		(void)print_list(relay, sizeof(relay), &world, 1 + round % 3);
		(void)print_list(connect, sizeof(connect), &world, 1 + round % 4);
		(void)snprintf(text, sizeof(text),
			"%sown_networks: %s\n%srelay: {%s: %s}, connections: {only: %s}", HEAD, own,
			SERVER, mode, relay, connect);
		(void)snprintf(
			open_text, sizeof(open_text), "%s, open_relay: i-understand}\n", text);
		(void)strcat(text, "}\n");
		struct config *config = config_text_load(open_text, &mistakes);
		assert_non_null(config);
		const bool strangers = any_stranger_relays(config);
		config_free(config);
		config = config_text_load(text, &mistakes);
		assert_int_equal(config == NULL, strangers);
		refused += strangers;
		config_free(config);
	}
	policy_world_free(&world);
	assert_in_range(refused, 50, 350); // both outcomes were tried
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guard_open_relay_is_refused),
		cmocka_unit_test(test_guard_closed_relay_is_accepted),
		cmocka_unit_test(test_guard_own_networks_of_half_the_internet_are_refused),
		cmocka_unit_test(test_guard_guarantee_is_judged_on_the_computed_set),
		cmocka_unit_test(test_guard_promises_are_kept_or_the_breach_is_named),
		cmocka_unit_test(test_guard_relay_clients_equal_the_policy),
		cmocka_unit_test(test_guard_verdict_equals_brute_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
