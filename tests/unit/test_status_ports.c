// What status says of ports and of who steers.

#include "control_world.h"

#include <jansson.h>

#include "control/status_ports.h"
#include "dataplane/port.h"
#include "dataplane/port_flow.h"

static struct port_set set;
static struct port_flows flows;

// "ab": a is served by both workers, b by the second only once workers are given.
static void begin(struct control_world *w, bool own_workers)
{
	struct snapshot *snapshot;

	control_world_make(w, "ab", -1);
	w->edge.worker_count = WORLD_WORKERS;
	memset(&flows, 0, sizeof(flows));
	set = (struct port_set){.count = 1,
		.ports[0] = {.device = "net_x0",
			.driver = "net_ice",
			.nic = steering_nic_named("ice"),
			.rx_queues = 2,
			.tx_queues = 2,
			.iface.mtu = 1500,
			.missed = 7,
			.link_up = true,
			.link_changes = 3}};
	w->edge.ports = &set;
	w->edge.flows = &flows;
	snapshot = (struct snapshot *)(uintptr_t)reload_policy(w->reload)->snapshot;
	if (own_workers)
		snapshot->vservers[1].worker_mask = 2;
}

static void says(const struct control_world *w, const char *steering, const char *isolation,
	const char *of_b)
{
	const struct edge_policy *policy = reload_policy(w->reload);
	json_t *status = json_object();

	status_ports_add(status, &w->edge, policy);
	assert_string_equal(json_string_value(json_object_get(status, "steering")), steering);
	assert_string_equal(json_string_value(json_object_get(status, "isolation")), isolation);
	assert_string_equal(status_ports_steering(&w->edge, policy, 1), of_b);
	json_decref(status);
}

static void test_status_rules_are_unproven_until_packets_come(void **state)
{
	struct control_world w;
	struct edge_vserver *b = &w.edge.vservers[1];

	(void)state;
	begin(&w, true);
	says(&w, "software", "partial", "software");
	atomic_store(&w.workers[0]->vservers[1].strayed, 5);
	b->by_ports = true;
	b->strayed_before = 5;
	says(&w, "ports", "unproven", "ports, unproven");
	atomic_store(&w.workers[1]->vservers[1].landed, 1);
	says(&w, "ports", "partial", "ports, proven"); // a is on the same worker
	((struct snapshot *)(uintptr_t)reload_policy(w.reload)->snapshot)->vservers[0].worker_mask =
		1;
	w.edge.vservers[0].by_ports = true;
	atomic_store(&w.workers[0]->vservers[0].landed, 1);
	says(&w, "ports", "full", "ports, proven");
	atomic_store(&w.workers[0]->vservers[1].strayed, 6);
	says(&w, "ports", "partial", "ports, contradicted");
	control_world_free(&w);
}

static void test_status_without_own_workers_there_is_nothing_to_steer(void **state)
{
	struct control_world w;

	(void)state;
	begin(&w, false);
	says(&w, "software", "partial", "any worker");
	control_world_free(&w);
}

static void test_status_ports_tell_links_losses_and_refusals(void **state)
{
	struct control_world w;
	struct steering_report_port live[LIMIT_PORTS];
	json_t *status = json_object();
	char *out = NULL;
	size_t octets;
	FILE *f = open_memstream(&out, &octets);

	(void)state;
	begin(&w, true);
	flows.ports[0] = (struct port_flow){.count = 3, .taken = 2, .refused = 1};
	strcpy(flows.ports[0].why, "table full");
	assert_int_equal(status_ports_missed(&w.edge), 7);
	status_ports_add(status, &w.edge, reload_policy(w.reload));
	status_ports_print(f, status);
	fclose(f);
	assert_non_null(
		strstr(out, "net_x0 (ice): link up, 3 changes, mtu 1500, queues 2 in 2 out"));
	assert_non_null(strstr(out, "missed 7, rules 2 taken, 1 refused (table full)"));
	assert_true(status_ports_live(&w.edge, live));
	assert_string_equal(live[0].state, "2 rules taken, 1 refused: table full");
	free(out);
	json_decref(status);
	control_world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_rules_are_unproven_until_packets_come),
		cmocka_unit_test(test_status_without_own_workers_there_is_nothing_to_steer),
		cmocka_unit_test(test_status_ports_tell_links_losses_and_refusals),
	};

	if (control_world_eal() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
