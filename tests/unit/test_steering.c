// Rules for every kind of NIC. With --print KIND the program prints them; the golden files are that output:
//   test_steering --print ice > tests/golden/steering/ice.txt

#include "tests/unit/config_text.h"

#include <stdlib.h>

#include "config/snapshot.h"
#include "dataplane/steering.h"

// Five workers, so five queues; 203.0.113.x stand for the v6 addresses put in below.
static const char text[] =
	"dataplane: {workers: [1, 2, 3, 4, 5]}\n"
	"ports:\n"
	"  - device: net_null0\n"
	"    addresses: [192.0.2.1/24, 192.0.2.2/24, 192.0.2.3/24, 192.0.2.4/24, 192.0.2.5/24,\n"
	"      203.0.113.1/24, 203.0.113.2/24]\n"
	"spool: /var/spool/postern\n"
	"routes: [{domains: ['*'], to: 192.0.2.30}]\n"
	"virtual_servers:\n"
	"  - {name: all, listen: [192.0.2.1, 203.0.113.1], local_domains: [a.example]}\n"
	"  - {name: one, listen: [192.0.2.2, 203.0.113.2], local_domains: [b.example], workers: "
	"[3]}\n"
	"  - {name: row, listen: 192.0.2.3, local_domains: [c.example], workers: [2, 3]}\n"
	"  - {name: gaps, listen: 192.0.2.4, local_domains: [d.example], workers: [1, 4, 5]}\n";

struct world {
	struct config *config;
	struct snapshot *snapshot;
};

static void become_v6(struct ip_addr *addr)
{
	if (ip_addr_v4(addr) >> 8 == 0xcb0071)
		*addr = (struct ip_addr){
			{0x20, 1, 0xd, 0xb8, [14] = 0xab, [15] = addr->octets[15]}};
}

static void all_v6(struct config *config)
{
	for (uint32_t i = 0; i < config->ports[0].address_count; i++)
		memcpy(config->ports[0].addresses[i].addr.octets,
			(uint8_t[]){0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0}, 12);
}

static void some_v6(struct config *config)
{
	for (uint32_t i = 0; i < config->ports[0].address_count; i++)
		become_v6(&config->ports[0].addresses[i].addr);
	for (uint32_t v = 0; v < config->vserver_count; v++) {
		for (uint32_t i = 0; i < config->vservers[v].listen_count; i++)
			become_v6(&config->vservers[v].listen[i].addr);
	}
}

static struct world make(const char *from, void (*change)(struct config *config))
{
	struct config_text_mistakes mistakes;
	struct world w = {.config = config_text_load(from, &mistakes)};

	config_text_print(&mistakes);
	assert_non_null(w.config);
	change(w.config);
	w.snapshot = snapshot_build(w.config, 1);
	assert_non_null(w.snapshot);
	return w;
}

static void drop(struct world *w)
{
	snapshot_free(w->snapshot);
	config_free(w->config);
}

static char *print_all(const struct world *w, const struct steering_nic *nic, uint16_t queues)
{
	static struct steering_rule rules[LIMIT_STEERING_RULES];
	uint32_t count = steering_plan(w->snapshot, 0, queues, nic, rules);
	char rule[STEERING_TEXT_MAX], *out = NULL;
	size_t octets;
	FILE *f = open_memstream(&out, &octets);

	fprintf(f, "# %s\n", steering_nic_remark(nic));
	for (uint32_t i = 0; i < count; i++)
		fprintf(f, "%s\n", steering_print(w->snapshot, 0, &rules[i], rule));
	fclose(f);
	return out;
}

static char *golden(const char *kind)
{
	char path[512], *out = calloc(1, 65536);
	const char *root = getenv("POSTERN_SOURCE");
	FILE *f;

	snprintf(path, sizeof(path), "%s/tests/golden/steering/%s.txt", root != NULL ? root : ".",
		kind);
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("%s is missing", path);
	(void)!fread(out, 1, 65535, f);
	fclose(f);
	return out;
}

static void test_steering_rules_of_each_nic_are_the_golden_ones(void **state)
{
	struct world w = make(text, some_v6);
	const struct steering_nic *nic;

	(void)state;
	for (size_t i = 0; (nic = steering_nic_at(i)) != NULL; i++) {
		char *got = print_all(&w, nic, 5), *want = golden(steering_nic_name(nic));

		assert_string_equal(got, want);
		free(got);
		free(want);
	}
	drop(&w);
}

// Every claimed address appears, whatever the NIC; an address of nobody never does.
static void test_steering_no_claimed_address_is_forgotten(void **state)
{
	static struct steering_rule rules[LIMIT_STEERING_RULES];
	struct world w = make(text, some_v6);
	const struct steering_nic *nic;

	(void)state;
	for (size_t i = 0; (nic = steering_nic_at(i)) != NULL; i++) {
		for (uint16_t queues = 1; queues <= 8; queues++) {
			uint32_t count = steering_plan(w.snapshot, 0, queues, nic, rules);
			uint32_t seen = 0;

			for (uint32_t r = 0; r < count; r++) {
				assert_int_equal(rules[r].queues >> queues, 0);
				if (rules[r].vserver == SNAPSHOT_NO_VSERVER)
					continue;
				for (uint32_t a = 0; a < 7; a++)
					seen |= (uint32_t)ip_addr_eq(&rules[r].addr,
							&w.config->ports[0].addresses[a].addr)
						<< a;
				// A rule may narrow the choice, never widen it.
				assert_int_equal(rules[r].queues & ~rules[r].wanted, 0);
				if (rules[r].by == STEERING_BY_RULE)
					assert_true(rules[r].queues != 0);
			}
			assert_int_equal(seen, 0x6f);
		}
	}
	drop(&w);
}

static void test_steering_fewer_queues_than_workers_leaves_the_rest_to_software(void **state)
{
	struct world w = make(text, some_v6);
	char *got = print_all(&w, steering_nic_named("mlx5"), 2);

	(void)state;
	assert_non_null(strstr(got, "dst is 192.0.2.3 / end actions queue index 1 / end"));
	assert_non_null(strstr(got, "# 192.0.2.2 of one: in software"));
	free(got);
	drop(&w);
}

static void test_steering_kinds_are_found_by_driver_and_device(void **state)
{
	(void)state;
	assert_string_equal(steering_nic_name(steering_nic_of_driver("net_ice")), "ice");
	assert_string_equal(steering_nic_name(steering_nic_of_driver("net_igc")), "igc");
	assert_string_equal(steering_nic_name(steering_nic_of_driver("net_tap0,iface=x")), "tap");
	assert_string_equal(
		steering_nic_name(steering_nic_of_driver("net_virtio_user3")), "virtio");
	assert_null(steering_nic_of_driver("0000:3b:00.0"));
	assert_string_equal(steering_nic_name(steering_nic_of_driver("net_tapx")), "other");
	assert_null(steering_nic_named("net_ice"));
}

// Most addresses, each with as many rules as the NIC wants: the plan ends at its bound.
static void test_steering_rules_are_bounded(void **state)
{
	static struct steering_rule rules[LIMIT_STEERING_RULES + 1];
	static char many[20000];
	size_t used = (size_t)snprintf(many, sizeof(many),
		"dataplane: {workers: [1, 2]}\nspool: /x\nports: [{device: net_null0, addresses: "
		"[");
	struct world w;

	(void)state;
	for (int i = 0; i < 256; i++)
		used += (size_t)snprintf(many + used, sizeof(many) - used, "%s10.0.%d.%d/8",
			i != 0 ? ", " : "", i / 200, i % 200 + 1);
	snprintf(many + used, sizeof(many) - used,
		"]}]\nroutes: [{domains: ['*'], to: 192.0.2.30}]\nvirtual_servers:\n"
		"  - {name: v, listen: all-unassigned, local_domains: [a.example], workers: "
		"[2]}\n");
	w = make(many, all_v6);
	memset(&rules[LIMIT_STEERING_RULES], 0x5a, sizeof(rules[0]));
	assert_int_equal(steering_plan(w.snapshot, 0, 2, steering_nic_named("i40e"), rules),
		LIMIT_STEERING_RULES);
	assert_int_equal(((const uint8_t *)&rules[LIMIT_STEERING_RULES])[0], 0x5a);
	drop(&w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steering_rules_of_each_nic_are_the_golden_ones),
		cmocka_unit_test(test_steering_no_claimed_address_is_forgotten),
		cmocka_unit_test(
			test_steering_fewer_queues_than_workers_leaves_the_rest_to_software),
		cmocka_unit_test(test_steering_kinds_are_found_by_driver_and_device),
		cmocka_unit_test(test_steering_rules_are_bounded),
	};

	if (argc == 3 && strcmp(argv[1], "--print") == 0) {
		struct world w = make(text, some_v6);
		char *out = print_all(&w, steering_nic_named(argv[2]), 5);

		fputs(out, stdout);
		free(out);
		drop(&w);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
