#include "dataplane/port_flow.h"

#include <rte_ethdev.h>
#include <rte_flow.h>
#include <stdio.h>
#include <string.h>

// One rule as DPDK wants it; items and actions point into the struct itself.
struct request {
	struct rte_flow_attr attr;
	struct rte_flow_item items[4];
	unsigned item_count;
	struct rte_flow_action actions[2];
	struct rte_flow_item_eth eth, eth_mask;
	struct rte_flow_item_ipv4 v4, v4_mask, v4_last;
	struct rte_flow_item_ipv6 v6, v6_mask;
	struct rte_flow_action_queue queue;
	struct rte_flow_action_rss rss;
	uint16_t queues[RSS_TABLE_ENTRIES];
};

static void add_item(struct request *r, const struct rte_flow_item *item)
{
	r->items[r->item_count++] = *item;
}

static void match_v4(struct request *r, const struct steering_rule *rule)
{
	struct rte_flow_item item = {
		.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &r->v4, .mask = &r->v4_mask};

	memcpy(&r->v4.hdr.dst_addr, rule->addr.octets + 12, 4);
	r->v4_mask.hdr.dst_addr = UINT32_MAX;
	if (rule->match == STEERING_ADDRESS_FRAGMENT) {
		r->v4.hdr.fragment_offset = RTE_BE16(0x0008);
		r->v4_last.hdr = r->v4.hdr;
		r->v4_last.hdr.fragment_offset = RTE_BE16(0x2000);
		r->v4_mask.hdr.fragment_offset = RTE_BE16(0x3fff);
		item.last = &r->v4_last;
	}
	add_item(r, &item);
}

static void match_v6(struct request *r, const struct steering_rule *rule)
{
	memcpy(r->v6.hdr.dst_addr, rule->addr.octets, 16);
	memset(r->v6_mask.hdr.dst_addr, 0xff, 16);
	if (rule->match == STEERING_ADDRESS_FRAGMENT)
		r->v6.hdr.proto = IPPROTO_FRAGMENT;
	add_item(r, &(struct rte_flow_item){
			    .type = RTE_FLOW_ITEM_TYPE_IPV6, .spec = &r->v6, .mask = &r->v6_mask});
}

static void match_protocol(struct request *r, bool v4)
{
	r->v4.hdr.next_proto_id = IPPROTO_ICMP;
	r->v4_mask.hdr.next_proto_id = UINT8_MAX;
	r->v6.hdr.proto = IPPROTO_ICMPV6;
	r->v6_mask.hdr.proto = UINT8_MAX;
	if (v4)
		add_item(r, &(struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_IPV4,
				    .spec = &r->v4,
				    .mask = &r->v4_mask});
	else
		add_item(r, &(struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_IPV6,
				    .spec = &r->v6,
				    .mask = &r->v6_mask});
}

static void match_address(struct request *r, const struct steering_rule *rule)
{
	bool v4 = ip_addr_is_v4(&rule->addr);

	add_item(r, &(struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_ETH});
	if (v4)
		match_v4(r, rule);
	else
		match_v6(r, rule);
	if (rule->match == STEERING_ADDRESS_TCP)
		add_item(r, &(struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_TCP});
	if (rule->match == STEERING_ADDRESS_ICMP)
		add_item(r, &(struct rte_flow_item){.type = v4 ? RTE_FLOW_ITEM_TYPE_ICMP
							       : RTE_FLOW_ITEM_TYPE_ICMP6});
}

static void match(struct request *r, const struct steering_rule *rule)
{
	switch (rule->match) {
	case STEERING_ARP:
		r->eth.hdr.ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
		r->eth_mask.hdr.ether_type = UINT16_MAX;
		add_item(r, &(struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_ETH,
				    .spec = &r->eth,
				    .mask = &r->eth_mask});
		break;
	case STEERING_ICMP:
	case STEERING_ICMP6:
		add_item(r, &(struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_ETH});
		match_protocol(r, rule->match == STEERING_ICMP);
		break;
	case STEERING_ADDRESS:
	case STEERING_ADDRESS_TCP:
	case STEERING_ADDRESS_FRAGMENT:
	case STEERING_ADDRESS_OTHER:
	case STEERING_ADDRESS_ICMP:
	case STEERING_ND:
		match_address(r, rule);
		break;
	}
	add_item(r, &(struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_END});
}

static uint32_t list_queues(const struct steering_rule *rule, uint16_t queues[RSS_TABLE_ENTRIES])
{
	uint32_t n = 0;

	for (uint16_t q = 0; q < 64; q++) {
		if (rule->queues >> q & 1)
			queues[n++] = q;
	}
	return n;
}

static void act(struct request *r, const struct steering_rule *rule, const struct port_set *set)
{
	uint32_t n = list_queues(rule, r->queues);

	r->actions[1] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_END};
	if (!rule->spread) {
		r->queue.index = r->queues[0];
		r->actions[0] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_QUEUE, &r->queue};
		return;
	}
	r->rss = (struct rte_flow_action_rss){
		.types = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_IPV6 |
			 RTE_ETH_RSS_NONFRAG_IPV6_TCP,
		.queue_num = n,
		.queue = r->queues};
	if (rule->table) {
		// The NIC takes the hash modulo a power of two; written out, its choice is rss_pick()'s.
		for (uint32_t i = n; (n & (n - 1)) != 0 && i < RSS_TABLE_ENTRIES; i++) {
			r->queues[i] = r->queues[i % n];
			r->rss.queue_num = RSS_TABLE_ENTRIES;
		}
		r->rss.key = set->rss.key;
		r->rss.key_len = RSS_KEY_SHORT_OCTETS;
	}
	r->actions[0] = (struct rte_flow_action){RTE_FLOW_ACTION_TYPE_RSS, &r->rss};
}

static void give(const struct port_set *set, uint16_t index, struct port_flow *flow, uint32_t rule)
{
	const struct port *port = &set->ports[index];
	struct rte_flow_error error = {0};
	struct request r = {.attr = {.ingress = 1, .priority = flow->rules[rule].priority}};

	match(&r, &flow->rules[rule]);
	act(&r, &flow->rules[rule], set);
	if (rte_flow_validate(port->id, &r.attr, r.items, r.actions, &error) == 0)
		flow->handles[rule] =
			rte_flow_create(port->id, &r.attr, r.items, r.actions, &error);
	if (flow->handles[rule] != NULL) {
		flow->taken++;
		return;
	}
	if (flow->refused++ == 0)
		snprintf(flow->why, sizeof(flow->why), "%s",
			error.message != NULL ? error.message : "no reason given");
}

static void take_back(const struct port *port, struct port_flow *flow)
{
	struct rte_flow_error error;

	for (uint32_t i = 0; i < flow->count; i++) {
		if (flow->handles[i] != NULL)
			(void)rte_flow_destroy(port->id, flow->handles[i], &error);
		flow->handles[i] = NULL;
	}
	flow->count = flow->taken = flow->refused = 0;
	flow->why[0] = '\0';
}

static bool is_same(const struct steering_rule *a, const struct steering_rule *b)
{
	return a->match == b->match && a->by == b->by && a->spread == b->spread &&
	       a->table == b->table && a->priority == b->priority && a->vserver == b->vserver &&
	       a->queues == b->queues && a->wanted == b->wanted && ip_addr_eq(&a->addr, &b->addr);
}

static bool are_same(
	const struct port_flow *flow, const struct steering_rule *rules, uint32_t count)
{
	for (uint32_t i = 0; i < count && i < flow->count; i++) {
		if (!is_same(&flow->rules[i], &rules[i]))
			return false;
	}
	return count == flow->count;
}

static bool apply_one(const struct port_set *set, uint16_t index, struct port_flow *flow,
	const struct snapshot *snapshot)
{
	static struct steering_rule rules[LIMIT_STEERING_RULES];
	const struct port *port = &set->ports[index];
	uint32_t count = steering_plan(snapshot, index, port->rx_queues, port->nic, rules);

	if (are_same(flow, rules, count))
		return false;
	// The old ones first: NICs refuse two rules with one pattern. Until the new ones are in, software steers.
	take_back(port, flow);
	memcpy(flow->rules, rules, count * sizeof(rules[0]));
	flow->count = count;
	for (uint32_t i = 0; i < count; i++) {
		if (rules[i].by == STEERING_BY_RULE)
			give(set, index, flow, i);
	}
	return true;
}

bool port_flow_apply(
	struct port_flows *flows, const struct port_set *set, const struct snapshot *snapshot)
{
	bool changed = false;

	for (uint16_t i = 0; i < set->count; i++)
		changed |= apply_one(set, i, &flows->ports[i], snapshot);
	return changed;
}

static bool holds_on(const struct port_flow *flow, uint16_t vserver)
{
	for (uint32_t i = 0; i < flow->count; i++) {
		const struct steering_rule *rule = &flow->rules[i];

		if (rule->vserver != vserver)
			continue;
		if (rule->by == STEERING_BY_SOFTWARE ||
			(rule->by == STEERING_BY_RULE && flow->handles[i] == NULL))
			return false;
	}
	return true;
}

bool port_flow_holds(const struct port_flows *flows, const struct port_set *set,
	const struct snapshot *snapshot, uint16_t vserver)
{
	unsigned workers = snapshot->config->dataplane.worker_count;
	uint64_t mask = snapshot->vservers[vserver].worker_mask;

	if ((unsigned)__builtin_popcountll(mask) == workers)
		return true;
	for (uint16_t i = 0; i < set->count; i++) {
		if (!holds_on(&flows->ports[i], vserver))
			return false;
	}
	return true;
}
