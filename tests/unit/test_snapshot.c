// The compiled configuration: classes, entries behind them, bindings, domains, and the policy asked on it.

#include "tests/unit/config_text.h"

#include "config/snapshot.h"
#include "policy/policy.h"
#include "tests/unit/policy_world.h"

static const char text[] = "dataplane: {workers: [1, 2, 5]}\n"
			   "ports: [{device: net_null0, addresses: [10.12.170.5/24, "
			   "10.12.170.74/24, 10.12.170.75/24]}]\n"
			   "own_networks: [10.12.0.0/16, 10.200.0.0/16, '2001:db8:12::/48']\n"
			   "spool: /var/spool/postern\n"
			   "routes: [{domains: ['*'], to: 10.12.170.30}]\n"
			   "virtual_servers:\n"
			   "  - name: default\n"
			   "    listen: [10.12.170.5, '10.12.170.5:587']\n"
			   "    local_domains: [neulan.net, .neulan.net, deep.sub.neulan.net]\n"
			   "  - name: relay\n"
			   "    listen: all-unassigned:26\n"
			   "    workers: [5, 2]\n"
			   "    relay_domains: [partner.example.com]\n"
			   "    connections:\n"
			   "      only: [10.12.0.0/16, 10.200.0.0/16, '::/0']\n"
			   "    relay:\n"
			   "      only:\n"
			   "        - 10.12.170.20\n"
			   "        - 10.12.8.0/24\n"
			   "        - 10.12.8.7\n"
			   "  - name: open\n"
			   "    listen: 10.12.170.75\n"
			   "    connections: {all_except: [192.0.2.0/24]}\n"
			   "    relay:\n"
			   "      all_except: [192.0.2.0/24, 198.51.100.1]\n"
			   "    local_domains: ['*']\n"
			   "    open_relay: i-understand\n";

enum {
	DEFAULT,
	RELAY,
	OPEN,
};

struct world {
	struct config *config;
	struct snapshot *snapshot;
};

static int setup(void **state)
{
	static struct world world;
	struct config_text_mistakes mistakes;

	world.config = config_text_load(text, &mistakes);
	config_text_print(&mistakes);
	assert_non_null(world.config);
	world.snapshot = snapshot_build(world.config, 7);
	assert_non_null(world.snapshot);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	snapshot_free(world->snapshot);
	config_free(world->config);
	return 0;
}

static struct ip_addr ip(const char *address)
{
	struct ip_addr addr;

	assert_true(ip_addr_parse(address, &addr));
	return addr;
}

static struct slice slice(const char *name)
{
	return (struct slice){(const uint8_t *)name, strlen(name)};
}

static const struct slice no_name;

static struct policy_client client_of(
	const struct world *world, uint16_t vserver, const char *address)
{
	const struct ip_addr addr = ip(address);

	return (struct policy_client){
		.vserver = vserver, .class = snapshot_class_of(world->snapshot, &addr)};
}

static void test_snapshot_bindings_specific_before_unassigned(void **state)
{
	const struct snapshot *s = ((struct world *)*state)->snapshot;
	const struct ip_addr five = ip("10.12.170.5"), other = ip("10.12.170.74"),
			     foreign = ip("10.12.170.9");

	assert_int_equal(s->epoch, 7);
	assert_int_equal(s->unassigned_vserver, RELAY);
	assert_int_equal(snapshot_vserver_at(s, &five), DEFAULT);
	assert_int_equal(snapshot_vserver_at(s, &other), RELAY);
	assert_int_equal(snapshot_vserver_at(s, &foreign), SNAPSHOT_NO_VSERVER);
	assert_true(snapshot_listens(s, DEFAULT, &five, 25));
	assert_true(snapshot_listens(s, DEFAULT, &five, 587));
	assert_false(snapshot_listens(s, DEFAULT, &five, 26));
	assert_false(snapshot_listens(s, RELAY, &five, 25));
	assert_true(snapshot_listens(s, RELAY, &other, 26));
	assert_false(snapshot_listens(s, RELAY, &other, 25));
	assert_false(snapshot_listens(s, RELAY, &foreign, 26));
}

static void test_snapshot_worker_mask_counts_in_order_of_the_dataplane(void **state)
{
	const struct snapshot *s = ((struct world *)*state)->snapshot;

	assert_int_equal(s->vservers[DEFAULT].worker_mask, 7);
	assert_int_equal(s->vservers[RELAY].worker_mask, 6);
}

static void test_snapshot_domains_exact_then_longest_suffix_then_any(void **state)
{
	const struct snapshot *s = ((struct world *)*state)->snapshot;
	const struct snapshot_domains *local = s->vservers[DEFAULT].local_domains;
	static const struct {
		const char *name, *entry;
	} cases[] = {
		{"neulan.net", "neulan.net"},
		{"a.neulan.net", ".neulan.net"},
		{"deep.sub.neulan.net", "deep.sub.neulan.net"},
		{"x.deep.sub.neulan.net", ".neulan.net"},
		{"xneulan.net", NULL},
		{"net", NULL},
		{".neulan.net", NULL},
		{"", NULL},
		{".", NULL},
		{"a.", NULL},
		{"neulan.net.evil.org", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct config_domain *found =
			snapshot_domain_find(local, slice(cases[i].name));

		assert_int_equal(found == NULL, cases[i].entry == NULL);
		if (found != NULL)
			assert_string_equal(found->name, cases[i].entry);
	}
	assert_string_equal(
		snapshot_domain_find(s->vservers[OPEN].local_domains, slice("x.org"))->name, "*");
	assert_null(snapshot_domain_find(s->vservers[RELAY].local_domains, slice("neulan.net")));
}

static void test_snapshot_entry_is_the_longest_of_its_list(void **state)
{
	const struct snapshot *s = ((struct world *)*state)->snapshot;
	const uint16_t relay = s->vservers[RELAY].relay_list,
		       connect = s->vservers[RELAY].connect_list;
	const struct ip_addr seven = ip("10.12.8.7"), eight = ip("10.12.8.8"),
			     nine = ip("10.12.9.9"), v6 = ip("2001:db8::1"), v4 = ip("11.0.0.1");

	assert_string_equal(snapshot_entry_of(s, relay, &seven)->text, "10.12.8.7");
	assert_string_equal(snapshot_entry_of(s, relay, &eight)->text, "10.12.8.0/24");
	assert_string_equal(snapshot_entry_of(s, connect, &seven)->text, "10.12.0.0/16");
	assert_null(snapshot_entry_of(s, relay, &nine));
	assert_string_equal(snapshot_entry_of(s, connect, &v6)->text, "::/0");
	assert_null(snapshot_entry_of(s, connect, &v4)); // ::/0 says nothing of v4
}

static void test_snapshot_classes_equal_the_lists(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct policy_world world;

		policy_world_init(&world, seed, 1 + (uint32_t)seed * 3);
		struct snapshot *s = snapshot_build(&world.config, seed);
		for (unsigned i = 0; i < 2000; i++) {
			const address_key key = policy_world_address(&world);
			const struct ip_addr addr = address_key_addr(key);
			const uint32_t class = snapshot_class_of(s, &addr);
			const unsigned v = i % 3;
			const bool listed =
				policy_world_listed(&world.vservers[v].connections, key);

			assert_int_equal(
				snapshot_class_has(s, class, s->vservers[v].connect_list), listed);
			assert_int_equal(snapshot_class_has(s, class, s->vservers[v].relay_list),
				policy_world_listed(&world.vservers[v].relay, key));
			assert_int_equal(
				snapshot_entry_of(s, s->vservers[v].connect_list, &addr) != NULL,
				listed);
		}
		snapshot_free(s);
		policy_world_free(&world);
	}
}

// One row per decision: who, where to, what comes out and by which line of the text above.
static const struct {
	uint16_t vserver;
	const char *client, *domain; // domain NULL: connecting
	enum policy_kind kind;
	enum policy_rule rule;
	uint32_t line;
} rows[] = {
	{DEFAULT, "192.0.2.1", NULL, POLICY_ACCEPT, POLICY_RULE_ANYBODY, 0},
	{DEFAULT, "192.0.2.1", "neulan.net", POLICY_ACCEPT, POLICY_RULE_LOCAL_DOMAIN, 9},
	{DEFAULT, "192.0.2.1", "", POLICY_ACCEPT, POLICY_RULE_POSTMASTER, 0},
	{DEFAULT, "10.12.170.20", "example.org", POLICY_REFUSE, POLICY_RULE_NONE, 0},
	{RELAY, "10.12.170.20", NULL, POLICY_ACCEPT, POLICY_RULE_CONNECT_LIST, 15},
	{RELAY, "10.12.170.20", "example.org", POLICY_ACCEPT, POLICY_RULE_RELAY_LIST, 18},
	{RELAY, "10.12.8.9", "example.org", POLICY_ACCEPT, POLICY_RULE_RELAY_LIST, 19},
	{RELAY, "10.12.9.9", "example.org", POLICY_REFUSE, POLICY_RULE_NONE, 17},
	{RELAY, "10.12.9.9", "partner.example.com", POLICY_ACCEPT, POLICY_RULE_RELAY_DOMAIN, 13},
	{RELAY, "192.0.2.1", NULL, POLICY_REFUSE, POLICY_RULE_CONNECT_LIST, 15},
	{OPEN, "192.0.2.1", NULL, POLICY_REFUSE, POLICY_RULE_CONNECT_LIST, 23},
	{OPEN, "198.51.100.1", NULL, POLICY_ACCEPT, POLICY_RULE_CONNECT_LIST, 23},
};

static void test_policy_rows(void **state)
{
	const struct world *world = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct policy_client client =
			client_of(world, rows[i].vserver, rows[i].client);
		const struct ip_addr addr = ip(rows[i].client);
		const struct policy_verdict v =
			rows[i].domain == NULL
				? policy_connect(world->snapshot, client)
				: policy_rcpt(world->snapshot, client, slice(rows[i].domain));

		assert_int_equal(v.kind, rows[i].kind);
		assert_int_equal(v.rule, rows[i].rule);
		assert_int_equal(policy_rule_pos(world->snapshot, client, &addr, no_name, v).line,
			rows[i].line);
	}
}

static void test_policy_all_except_relays_for_those_not_listed(void **state)
{
	const struct world *world = *state;
	struct config_text_mistakes mistakes;
	char shut[sizeof(text)];

	memcpy(shut, text, sizeof(text));
	memcpy(strstr(shut, "    local_domains: ['*']"), "    # local_domains: []", 23);
	struct config *config = config_text_load(shut, &mistakes);
	assert_non_null(config);
	struct snapshot *s = snapshot_build(config, 8);
	const struct policy_client listed = client_of(world, OPEN, "198.51.100.1"),
				   free_one = client_of(world, OPEN, "198.51.100.2");
	const struct ip_addr addr = ip("198.51.100.1");
	const struct policy_verdict no = policy_rcpt(s, listed, slice("x.org"));

	assert_int_equal(no.kind, POLICY_REFUSE);
	assert_int_equal(policy_rule_pos(s, listed, &addr, no_name, no).line, 25);
	assert_int_equal(policy_rcpt(s, free_one, slice("x.org")).rule, POLICY_RULE_RELAY_LIST);
	snapshot_free(s);
	config_free(config);
}

static void test_policy_rule_texts_are_there(void **state)
{
	(void)state;
	for (unsigned rule = 0; rule < POLICY_RULE_COUNT; rule++)
		assert_true(strlen(policy_rule_text((enum policy_rule)rule)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot_bindings_specific_before_unassigned),
		cmocka_unit_test(test_snapshot_worker_mask_counts_in_order_of_the_dataplane),
		cmocka_unit_test(test_snapshot_domains_exact_then_longest_suffix_then_any),
		cmocka_unit_test(test_snapshot_entry_is_the_longest_of_its_list),
		cmocka_unit_test(test_snapshot_classes_equal_the_lists),
		cmocka_unit_test(test_policy_rows),
		cmocka_unit_test(test_policy_all_except_relays_for_those_not_listed),
		cmocka_unit_test(test_policy_rule_texts_are_there),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
