// What `posternctl steering` says, of a file and of a running server.

#include "tests/unit/config_text.h"

#include <stdlib.h>

#include "config/snapshot.h"
#include "control/steering_report.h"

static const char text[] = "dataplane: {workers: [1, 2]}\n"
			   "ports:\n"
			   "  - {device: net_tap0, addresses: [192.0.2.1/24]}\n"
			   "  - {device: '0000:3b:00.0', addresses: [198.51.100.1/24]}\n"
			   "spool: /var/spool/postern\n"
			   "routes: [{domains: ['*'], to: 192.0.2.30}]\n"
			   "virtual_servers:\n"
			   "  - {name: v, listen: [192.0.2.1, 198.51.100.1], local_domains: "
			   "[a.example], workers: [2]}\n";

static struct config *config;
static struct snapshot *snapshot;

static int setup(void **state)
{
	struct config_text_mistakes mistakes;

	(void)state;
	config = config_text_load(text, &mistakes);
	config_text_print(&mistakes);
	snapshot = config != NULL ? snapshot_build(config, 1) : NULL;
	return snapshot == NULL;
}

static int teardown(void **state)
{
	(void)state;
	snapshot_free(snapshot);
	config_free(config);
	return 0;
}

static void test_report_of_a_pci_address_wants_the_kind(void **state)
{
	char why[STEERING_REPORT_WHY_MAX];

	(void)state;
	assert_null(steering_report(snapshot, NULL, NULL, why));
	assert_non_null(strstr(why, "0000:3b:00.0"));
	assert_non_null(strstr(why, "mlx5 ice i40e"));
	assert_null(steering_report(snapshot, "8139", NULL, why));
	assert_non_null(strstr(why, "8139: no kind of NIC"));
}

static void test_report_for_a_kind_prints_rules_of_every_port(void **state)
{
	char why[STEERING_REPORT_WHY_MAX], *out;
	json_t *report = steering_report(snapshot, "iavf", NULL, why);

	(void)state;
	assert_non_null(report);
	out = steering_report_text(report);
	assert_non_null(strstr(out, "None of them was verified on hardware yet"));
	assert_non_null(strstr(out, "flow create 0 ingress priority 0 pattern eth / ipv4 dst is "
				    "192.0.2.1 / end actions queue index 1 / end\n"));
	assert_non_null(strstr(out, "flow create 1 ingress priority 0 pattern eth / ipv4 dst is "
				    "198.51.100.1 / end actions queue index 1 / end\n"));
	free(out);
	json_decref(report);
}

static void test_report_of_a_running_server_knows_driver_queues_and_state(void **state)
{
	const struct steering_report_port live[LIMIT_PORTS] = {
		{"net_tap", 1, "in software"}, {"net_ice", 2, "2 rules, unproven"}};
	char why[STEERING_REPORT_WHY_MAX], *out;
	json_t *report = steering_report(snapshot, NULL, live, why);

	(void)state;
	assert_non_null(report);
	out = steering_report_text(report);
	assert_non_null(strstr(out, "# port 0, net_tap0: tap, 1 queues"));
	assert_non_null(strstr(out, "# now: in software\n# 192.0.2.1 of v: in software\n"));
	assert_non_null(strstr(out, "# port 1, 0000:3b:00.0: ice, 2 queues"));
	assert_non_null(strstr(out, "# now: 2 rules, unproven\n"));
	free(out);
	json_decref(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report_of_a_pci_address_wants_the_kind),
		cmocka_unit_test(test_report_for_a_kind_prints_rules_of_every_port),
		cmocka_unit_test(test_report_of_a_running_server_knows_driver_queues_and_state),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
