// diff: what it says is gained and lost, address by address of a small universe, and by name.

#include "tests/unit/proof_world.h"

#include <string.h>

#include "config_from_text.h"
#include "control/policy_diff.h"

enum {
	MOST = 100000,
};

// What a virtual server of one policy gives and the other's does not; NULL: there is none of that name.
static void expect_less(const json_t *side, const struct config_vserver *a,
	const struct config_vserver *b, enum reach_right right)
{
	struct config_list list = proof_world_printed(json_object_get(side, "ipv4"));

	for (uint32_t i = 0; i < UNIVERSE; i += 1 + i % 3) {
		const address_key key = UNIVERSE_FIRST + i;
		const bool in_a = a != NULL && proof_world_expected(a, key, right);
		const bool in_b = b != NULL && proof_world_expected(b, key, right);

		assert_int_equal(policy_world_listed(&list, key), in_a && !in_b);
	}
	free(list.prefixes);
}

static void expect_vserver(const json_t *answer, const char *name, const struct config_vserver *old,
	const struct config_vserver *new)
{
	const json_t *v = json_object_get(answer, name);
	const json_t *connect = json_object_get(v, "connect");
	json_t *none;

	if (v == NULL) { // said to be the same
		none = json_loads("{\"ipv4\": {\"prefixes\": []}}", 0, NULL);
		expect_less(none, new, old, REACH_RELAY);
		expect_less(none, old, new, REACH_RELAY);
		json_decref(none);
		return;
	}
	expect_less(json_object_get(v, "gain"), new, old, REACH_RELAY);
	expect_less(json_object_get(v, "lose"), old, new, REACH_RELAY);
	expect_less(json_object_get(connect, "gain"), new, old, REACH_CONNECT);
	expect_less(json_object_get(connect, "lose"), old, new, REACH_CONNECT);
}

static void compare(struct policy_world *old, struct policy_world *new)
{
	struct snapshot *before = snapshot_build(&old->config, 1);
	struct snapshot *after = snapshot_build(&new->config, 2);
	json_t *answer = policy_diff(before, after, MOST);

	assert_non_null(answer);
	expect_vserver(answer, "a", &old->vservers[0], &new->vservers[0]);
	expect_vserver(answer, "b", &old->vservers[1], NULL);
	expect_vserver(answer, "d", NULL, &new->vservers[1]);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(answer, "b"), "state")),
		"removed");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(answer, "d"), "state")), "added");
	json_decref(answer);
	snapshot_free(before);
	snapshot_free(after);
}

// Small lists: the slow side asks each entry for each address.
static void test_policy_diff_every_address_is_gained_or_lost_as_said(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 25; seed++) {
		struct policy_world old, new;

		proof_world_init(&old, seed, (uint32_t)(1 + seed % 6));
		proof_world_init(&new, 1000 + seed, (uint32_t)(1 + seed % 5));
		new.vservers[1].name = "d";
		compare(&old, &new);
		policy_world_free(&old);
		policy_world_free(&new);
	}
}

static void test_policy_diff_of_a_policy_with_itself_is_empty(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		struct policy_world old, new;

		proof_world_init(&old, seed, 9);
		proof_world_init(&new, seed, 9);
		struct snapshot *before = snapshot_build(&old.config, 1);
		struct snapshot *after = snapshot_build(&new.config, 2);
		json_t *answer = policy_diff(before, after, MOST);

		assert_int_equal(json_object_size(answer), 0);
		json_decref(answer);
		snapshot_free(before);
		snapshot_free(after);
		policy_world_free(&old);
		policy_world_free(&new);
	}
}

#define HEAD                                                                                       \
	"ports: [{device: net_null0, addresses: [10.12.170.5/24, 10.12.170.6/24]}]\n"              \
	"spool: /var/spool/postern\nown_networks: [10.0.0.0/8]\n"                                  \
	"routes: [{domains: ['*'], to: 10.12.170.30}]\nvirtual_servers:\n"

static char *text_of(const char *old_text, const char *new_text)
{
	struct config *old = config_from_text_load(old_text),
		      *new = config_from_text_load(new_text);
	struct snapshot *before = snapshot_build(old, 1), *after = snapshot_build(new, 2);
	json_t *answer = policy_diff(before, after, MOST);
	char *text = policy_diff_text(answer);

	json_decref(answer);
	snapshot_free(before);
	snapshot_free(after);
	config_free(old);
	config_free(new);
	return text;
}

static void expect_text(const char *old_text, const char *new_text, const char *want)
{
	char *text = text_of(old_text, new_text);

	assert_string_equal(text, want);
	free(text);
}

static void test_policy_diff_text_says_who_gains_and_loses_what(void **state)
{
	(void)state;
	// Entries that only stand elsewhere, or are written in another way, are no difference.
	expect_text(HEAD "  - {name: v, listen: 10.12.170.5, relay: {only: [10.1.0.0/16]}}\n",
		"# moved\n" HEAD
		"  - {name: v, listen: 10.12.170.5, relay: {only: [10.1.0.0/17, 10.1.128.0/17]}}\n",
		"no difference in who may connect and relay\n");
	expect_text(HEAD "  - {name: v, listen: 10.12.170.5, relay: {only: [10.1.0.0/16]}, "
			 "local_domains: [a.example, b.example]}\n",
		HEAD "  - {name: v, listen: 10.12.170.5, relay: {only: [10.1.0.0/17]}, "
		     "connections: {all_except: [10.9.9.9]}, local_domains: b.example, "
		     "relay_domains: c.example}\n",
		"v (kept)\n"
		"  lose relaying without login: 32768 IPv4 and 0 IPv6 addresses\n"
		"  - 10.1.128.0/17\n"
		"  + warning: /etc/postern/test.yaml:6:80: connections.all_except: everybody "
		"nobody "
		"thought of is let in, networks of the future included\n"
		"  lose connecting: 1 IPv4 and 0 IPv6 addresses\n"
		"  - 10.9.9.9\n"
		"  + domain c.example\n"
		"  - domain a.example\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_diff_every_address_is_gained_or_lost_as_said),
		cmocka_unit_test(test_policy_diff_of_a_policy_with_itself_is_empty),
		cmocka_unit_test(test_policy_diff_text_says_who_gains_and_loses_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
