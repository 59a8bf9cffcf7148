// What NICs are really asked for. The calls of DPDK are played here: this program's own rte_flow_* stand before the library's, take
// the structures apart again, and the text has to be the one that `posternctl steering` prints.

#include "tests/unit/config_text.h"

#include <netinet/in.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <stdlib.h>

#include "config/snapshot.h"
#include "dataplane/port_flow.h"

static const char text[] =
	"dataplane: {workers: [1, 2, 3, 4, 5]}\n"
	"ports:\n"
	"  - device: net_null0\n"
	"    addresses: [192.0.2.1/24, 192.0.2.2/24, 192.0.2.3/24, 192.0.2.4/24]\n"
	"spool: /var/spool/postern\n"
	"routes: [{domains: ['*'], to: 192.0.2.30}]\n"
	"virtual_servers:\n"
	"  - {name: all, listen: 192.0.2.1, local_domains: [a.example]}\n"
	"  - {name: one, listen: 192.0.2.2, local_domains: [b.example], workers: [3]}\n"
	"  - {name: row, listen: 192.0.2.3, local_domains: [c.example], workers: [2, 3]}\n"
	"  - {name: gaps, listen: 192.0.2.4, local_domains: [d.example], workers: [1, 4, 5]}\n";

static struct {
	char asked[64][STEERING_TEXT_MAX];
	unsigned count, destroyed;
	unsigned refuse_at; // this one, counted from 1
	unsigned alive;
	const uint8_t *key; // of the last rule that spreads
	uint32_t key_octets, queue_num;
	uint16_t queues[RSS_TABLE_ENTRIES];
} nic;

// ---- Taking a request apart

static char *add(char *at, const char *format, ...) __attribute__((format(printf, 2, 3)));
static char *add(char *at, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	at += vsnprintf(at, STEERING_TEXT_MAX, format, ap);
	va_end(ap);
	return at;
}

static char *add_v4(char *at, const struct rte_flow_item *item)
{
	const struct rte_flow_item_ipv4 *spec = item->spec, *mask = item->mask, *last = item->last;
	struct ip_addr addr = ip_addr_from_v4(ntohl(spec->hdr.dst_addr));
	char printed[IP_ADDR_TEXT_MAX];

	at = add(at, " / ipv4");
	if (mask->hdr.dst_addr != 0) {
		assert_int_equal(mask->hdr.dst_addr, UINT32_MAX);
		at = add(at, " dst is %s", ip_addr_print(&addr, printed));
	}
	if (mask->hdr.next_proto_id != 0)
		at = add(at, " proto is %u", spec->hdr.next_proto_id);
	if (mask->hdr.fragment_offset != 0) {
		assert_non_null(last);
		assert_int_equal(last->hdr.dst_addr, spec->hdr.dst_addr);
		at = add(at,
			" fragment_offset spec 0x%04x fragment_offset last 0x%04x fragment_offset "
			"mask 0x%04x",
			ntohs(spec->hdr.fragment_offset), ntohs(last->hdr.fragment_offset),
			ntohs(mask->hdr.fragment_offset));
	}
	return at;
}

static char *add_v6(char *at, const struct rte_flow_item *item)
{
	const struct rte_flow_item_ipv6 *spec = item->spec, *mask = item->mask;
	struct ip_addr addr;
	char printed[IP_ADDR_TEXT_MAX];

	memcpy(addr.octets, spec->hdr.dst_addr, 16);
	at = add(at, " / ipv6");
	if (mask->hdr.dst_addr[0] != 0) {
		for (int i = 0; i < 16; i++)
			assert_int_equal(mask->hdr.dst_addr[i], 0xff);
		at = add(at, " dst is %s", ip_addr_print(&addr, printed));
	}
	if (mask->hdr.proto != 0)
		at = add(at, " proto is %u", spec->hdr.proto);
	else if (spec->hdr.proto != 0)
		at = add(at, " proto spec %u proto mask 0", spec->hdr.proto);
	return at;
}

static char *add_item(char *at, const struct rte_flow_item *item)
{
	const struct rte_flow_item_eth *eth = item->spec;

	switch ((int)item->type) {
	case RTE_FLOW_ITEM_TYPE_ETH:
		return eth != NULL ? add(at, "eth type is 0x%04x", ntohs(eth->hdr.ether_type))
				   : add(at, "eth");
	case RTE_FLOW_ITEM_TYPE_IPV4:
		return add_v4(at, item);
	case RTE_FLOW_ITEM_TYPE_IPV6:
		return add_v6(at, item);
	case RTE_FLOW_ITEM_TYPE_TCP:
		return add(at, " / tcp");
	case RTE_FLOW_ITEM_TYPE_ICMP:
		return add(at, " / icmp");
	case RTE_FLOW_ITEM_TYPE_ICMP6:
		return add(at, " / icmp6");
	default:
		fail_msg("item %d", (int)item->type);
	}
	return at;
}

static char *add_action(char *at, const struct rte_flow_action *action)
{
	const struct rte_flow_action_queue *queue = action->conf;
	const struct rte_flow_action_rss *rss = action->conf;
	uint64_t seen = 0;

	if (action->type == RTE_FLOW_ACTION_TYPE_QUEUE)
		return add(at, " / end actions queue index %u / end", queue->index);
	assert_int_equal(action->type, RTE_FLOW_ACTION_TYPE_RSS);
	at = add(at, " / end actions rss types ipv4 ipv4-tcp ipv6 ipv6-tcp end queues");
	for (uint32_t i = 0; i < rss->queue_num; i++) {
		if (seen >> rss->queue[i] & 1)
			continue;
		seen |= UINT64_C(1) << rss->queue[i];
		at = add(at, " %u", rss->queue[i]);
	}
	nic.key = rss->key;
	nic.key_octets = rss->key_len;
	nic.queue_num = rss->queue_num;
	memcpy(nic.queues, rss->queue, rss->queue_num * sizeof(rss->queue[0]));
	return add(at, " end / end");
}

// ---- The NIC

int rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error)
{
	char *at = nic.asked[nic.count++];

	assert_int_equal(attr->ingress, 1);
	at = add(at, "flow create %u ingress priority %u pattern ", port, attr->priority);
	for (; pattern->type != RTE_FLOW_ITEM_TYPE_END; pattern++)
		at = add_item(at, pattern);
	(void)add_action(at, &actions[0]);
	assert_int_equal(actions[1].type, RTE_FLOW_ACTION_TYPE_END);
	error->message = "not today";
	return nic.count == nic.refuse_at ? -ENOTSUP : 0;
}

struct rte_flow *rte_flow_create(uint16_t port, const struct rte_flow_attr *attr,
	const struct rte_flow_item pattern[], const struct rte_flow_action actions[],
	struct rte_flow_error *error)
{
	(void)port;
	(void)attr;
	(void)pattern;
	(void)actions;
	(void)error;
	return (struct rte_flow *)&nic.asked[nic.alive++];
}

int rte_flow_destroy(uint16_t port, struct rte_flow *flow, struct rte_flow_error *error)
{
	(void)port;
	(void)error;
	assert_non_null(flow);
	nic.destroyed++;
	nic.alive--;
	return 0;
}

// ---- Tests

struct world {
	struct config *config;
	struct snapshot *snapshot;
	struct port_set set;
	struct port_flows flows;
};

static struct world *make(const char *kind, bool v6)
{
	struct world *w = calloc(1, sizeof(*w));
	struct config_text_mistakes mistakes;

	memset(&nic, 0, sizeof(nic));
	w->config = config_text_load(text, &mistakes);
	config_text_print(&mistakes);
	assert_non_null(w->config);
	for (uint32_t i = 0; v6 && i < 4; i++) {
		struct ip_addr addr = {{0x20, 1, 0xd, 0xb8, [15] = (uint8_t)(i + 1)}};

		w->config->ports[0].addresses[i].addr = addr;
		w->config->vservers[i].listen[0].addr = addr;
	}
	w->snapshot = snapshot_build(w->config, 1);
	w->set.count = 1;
	w->set.ports[0] = (struct port){.rx_queues = 5, .nic = steering_nic_named(kind)};
	for (uint8_t i = 0; i < RSS_KEY_OCTETS; i++)
		w->set.rss.key[i] = i;
	return w;
}

static void drop(struct world *w)
{
	snapshot_free(w->snapshot);
	config_free(w->config);
	free(w);
}

static void asks_what_is_printed(const char *kind, bool v6)
{
	struct world *w = make(kind, v6);
	const struct port_flow *flow = &w->flows.ports[0];
	char want[STEERING_TEXT_MAX];
	unsigned n = 0;

	port_flow_apply(&w->flows, &w->set, w->snapshot);
	for (uint32_t i = 0; i < flow->count; i++) {
		if (flow->rules[i].by != STEERING_BY_RULE)
			continue;
		assert_string_equal(
			nic.asked[n++], steering_print(w->snapshot, 0, &flow->rules[i], want));
	}
	assert_int_equal(n, nic.count);
	assert_int_equal(flow->taken, n);
	drop(w);
}

static void test_port_flow_asks_every_nic_for_what_is_printed(void **state)
{
	const struct steering_nic *kind;

	(void)state;
	for (size_t i = 0; (kind = steering_nic_at(i)) != NULL; i++) {
		asks_what_is_printed(steering_nic_name(kind), false);
		asks_what_is_printed(steering_nic_name(kind), true);
	}
}

// The NIC's choice among the queues is ours: hash modulo the length of the list.
static void test_port_flow_lists_make_the_choice_of_rss_pick(void **state)
{
	struct world *w = make("mlx5", false);
	const uint16_t queues[] = {0, 3, 4};

	(void)state;
	port_flow_apply(&w->flows, &w->set, w->snapshot);
	assert_int_equal(nic.queue_num, RSS_TABLE_ENTRIES); // gaps came last
	assert_int_equal(nic.key_octets, 40);
	assert_ptr_equal(nic.key, w->set.rss.key);
	for (uint32_t hash = 0; hash < 1000; hash++)
		assert_int_equal(nic.queues[hash % nic.queue_num], queues[rss_pick(hash, 3)]);
	drop(w);
}

static void test_port_flow_refused_rule_leaves_its_server_to_software(void **state)
{
	struct world *w = make("ice", false);

	(void)state;
	nic.refuse_at = 2; // ARP, one, row, gaps
	assert_true(port_flow_apply(&w->flows, &w->set, w->snapshot));
	assert_int_equal(w->flows.ports[0].refused, 1);
	assert_string_equal(w->flows.ports[0].why, "not today");
	assert_true(port_flow_holds(&w->flows, &w->set, w->snapshot, 0));
	assert_false(port_flow_holds(&w->flows, &w->set, w->snapshot, 1));
	assert_true(port_flow_holds(&w->flows, &w->set, w->snapshot, 2));
	drop(w);
}

static void test_port_flow_reload_changes_only_what_differs(void **state)
{
	struct world *w = make("ice", false);
	struct snapshot *next;

	(void)state;
	assert_true(port_flow_apply(&w->flows, &w->set, w->snapshot));
	next = snapshot_build(w->config, 2);
	assert_false(port_flow_apply(&w->flows, &w->set, next));
	assert_int_equal(nic.destroyed, 0);
	snapshot_free(next);
	w->config->vservers[1].workers[0] = 4;
	next = snapshot_build(w->config, 3);
	assert_true(port_flow_apply(&w->flows, &w->set, next));
	assert_int_equal(nic.destroyed, 4);
	assert_int_equal(nic.alive, 4);
	snapshot_free(next);
	drop(w);
}

static void test_port_flow_without_rules_only_servers_of_all_workers_hold(void **state)
{
	struct world *w = make("tap", false);

	(void)state;
	port_flow_apply(&w->flows, &w->set, w->snapshot);
	assert_int_equal(nic.count, 0);
	assert_true(port_flow_holds(&w->flows, &w->set, w->snapshot, 0));
	assert_false(port_flow_holds(&w->flows, &w->set, w->snapshot, 1));
	drop(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port_flow_asks_every_nic_for_what_is_printed),
		cmocka_unit_test(test_port_flow_lists_make_the_choice_of_rss_pick),
		cmocka_unit_test(test_port_flow_refused_rule_leaves_its_server_to_software),
		cmocka_unit_test(test_port_flow_reload_changes_only_what_differs),
		cmocka_unit_test(test_port_flow_without_rules_only_servers_of_all_workers_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
