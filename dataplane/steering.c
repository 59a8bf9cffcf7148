#include "dataplane/steering.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// How a NIC distributes one rule's packets.
enum spread {
	SPREAD_NONE,   // a rule names one queue
	SPREAD_REGION, // 2, 4, 8 ... queues in a row
	SPREAD_LIST,   // any
};

struct steering_nic {
	const char *name;
	const char *drivers[3];
	bool v4, v6;      // rules by destination address
	bool tables;      // TCP, fragments and the rest need a rule each
	bool arp, nd;     // rules of their own
	bool icmp_of;     // ICMP of one address
	bool icmp;        // ICMP by protocol only
	bool rss;         // spreads over all queues without a rule
	bool only_rss;    // takes no rule for a single queue
	uint8_t priority; // of address rules
	enum spread spread;
	const char *remark;
};

#define NO_RULES "no rules: steering in software"

static const struct steering_nic nics[] = {
	{"mlx5", {"mlx5_pci", "mlx5_auxiliary"}, .v4 = true, .v6 = true, .arp = true, .rss = true,
		.nd = true, .icmp_of = true, .priority = 1, .spread = SPREAD_LIST,
		.remark = "any set of queues for an address"},
	{"ice", {"net_ice"}, .v4 = true, .v6 = true, .arp = true, .rss = true, .nd = true,
		.spread = SPREAD_REGION,
		.remark = "a rule spreads over 2, 4, 8 ... queues in a row"},
	{"i40e", {"net_i40e"}, .v4 = true, .v6 = true, .arp = true, .rss = true, .nd = true,
		.tables = true,
		.remark = "one queue for an address; TCP, fragments and the rest in tables of "
			  "their own"},
	{"ixgbe", {"net_ixgbe"}, .v4 = true, .arp = true, .rss = true, .priority = 1,
		.remark = "IPv4 only, one queue for an address: its exact matching knows no IPv6"},
	{"igc", {"net_igc"}, .arp = true, .rss = true, .icmp = true, .priority = 1,
		.remark = "its driver matches no addresses (\"IPv4 only support protocol\"): those "
			  "are "
			  "steered in software"},
	{"iavf", {"net_iavf"}, .v4 = true, .v6 = true, .arp = true, .rss = true, .nd = true,
		.spread = SPREAD_REGION,
		.remark = "as ice, where the host allows it; on other hosts rules are refused"},
	{"bnxt", {"net_bnxt"}, .v4 = true, .v6 = true, .only_rss = true, .rss = true,
		.spread = SPREAD_LIST,
		.remark = "only rules that spread, of one queue as well; needs its TruFlow mode"},
	{"ena", {"net_ena"}, .rss = true, .remark = NO_RULES},
	{"gve", {"net_gve"}, .rss = true, .remark = NO_RULES},
	{"igb", {"net_e1000_igb", "net_e1000_igb_vf"}, .rss = true, .remark = NO_RULES},
	{"vmxnet3", {"net_vmxnet3"}, .rss = true, .remark = NO_RULES},
	{"virtio", {"net_virtio", "net_virtio_user"}, .remark = NO_RULES},
	{"af_packet", {"net_af_packet"}, .remark = NO_RULES},
	{"af_xdp", {"net_af_xdp"}, .remark = NO_RULES},
	{"memif", {"net_memif"}, .remark = NO_RULES},
	{"tap", {"net_tap"}, .remark = NO_RULES},
	{"ring", {"net_ring"}, .remark = NO_RULES},
	{"other", {NULL}, .remark = "a driver that is not known here: steering in software"},
};

enum {
	NICS = sizeof(nics) / sizeof(nics[0]),
	DRIVERS = sizeof(nics[0].drivers) / sizeof(nics[0].drivers[0]),
};

const struct steering_nic *steering_nic_named(const char *name)
{
	for (size_t i = 0; i < NICS; i++) {
		if (strcmp(nics[i].name, name) == 0)
			return &nics[i];
	}
	return NULL;
}

// "net_tap0,iface=x" is net_tap: what follows may be a number and arguments, nothing else.
static bool is_driver(const char *device, const char *driver)
{
	size_t len = strlen(driver);

	if (strncmp(device, driver, len) != 0)
		return false;
	len += strspn(device + len, "0123456789");
	return device[len] == '\0' || device[len] == ',';
}

const struct steering_nic *steering_nic_of_driver(const char *driver)
{
	for (size_t i = 0; i < NICS; i++) {
		for (size_t k = 0; k < DRIVERS && nics[i].drivers[k] != NULL; k++) {
			if (is_driver(driver, nics[i].drivers[k]))
				return &nics[i];
		}
	}
	return strchr(driver, ':') == NULL ? &nics[NICS - 1] : NULL;
}

const struct steering_nic *steering_nic_at(size_t n)
{
	return n < NICS ? &nics[n] : NULL;
}

const char *steering_nic_name(const struct steering_nic *nic)
{
	return nic->name;
}

const char *steering_nic_remark(const struct steering_nic *nic)
{
	return nic->remark;
}

bool steering_nic_has_rules(const struct steering_nic *nic)
{
	return nic->v4 || nic->v6 || nic->arp;
}

// ---- The plan

struct plan {
	const struct snapshot *snapshot;
	const struct steering_nic *nic;
	uint64_t queues; // that the port has
	struct steering_rule *out;
	uint32_t count;
};

static void add(struct plan *plan, const struct steering_rule *rule)
{
	if (plan->count < LIMIT_STEERING_RULES)
		plan->out[plan->count++] = *rule;
}

static uint64_t low_bits(unsigned n)
{
	return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

// The longest row of 2, 4, 8 ... queues in mask, the first when several are as long; one queue if there is none.
static uint64_t region_of(uint64_t mask)
{
	for (unsigned n = 32; n > 1; n /= 2) {
		for (unsigned first = 0; first + n <= 64; first++) {
			uint64_t region = low_bits(n) << first;

			if ((mask & region) == region)
				return region;
		}
	}
	return mask & -mask;
}

// What the NIC makes of the wish for these queues.
static void choose_queues(const struct plan *plan, struct steering_rule *rule)
{
	rule->by = STEERING_BY_RULE;
	switch (plan->nic->spread) {
	case SPREAD_NONE:
		rule->queues = rule->wanted & -rule->wanted;
		break;
	case SPREAD_REGION:
		rule->queues = region_of(rule->wanted);
		break;
	case SPREAD_LIST:
		rule->queues = rule->wanted;
		break;
	}
	rule->table = plan->nic->spread == SPREAD_LIST;
	rule->spread = plan->nic->only_rss || (rule->queues & (rule->queues - 1)) != 0;
}

static void add_matches(struct plan *plan, struct steering_rule rule)
{
	static const enum steering_match tables[] = {
		STEERING_ADDRESS_TCP, STEERING_ADDRESS_FRAGMENT, STEERING_ADDRESS_OTHER};

	if (plan->nic->icmp_of) {
		// Before the rule of the address, and to one worker: a flood of echo requests is not spread.
		struct steering_rule icmp = rule;

		icmp.match = STEERING_ADDRESS_ICMP;
		icmp.queues = icmp.wanted & -icmp.wanted;
		icmp.spread = icmp.table = false;
		icmp.priority = 0;
		add(plan, &icmp);
	}
	if (!plan->nic->tables) {
		add(plan, &rule);
		return;
	}
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		rule.match = tables[i];
		add(plan, &rule);
	}
}

static void plan_address(struct plan *plan, const struct ip_addr *addr)
{
	struct steering_rule rule = {.match = STEERING_ADDRESS,
		.addr = *addr,
		.priority = plan->nic->priority,
		.vserver = snapshot_vserver_at(plan->snapshot, addr)};
	bool can = ip_addr_is_v4(addr) ? plan->nic->v4 : plan->nic->v6;

	if (rule.vserver == SNAPSHOT_NO_VSERVER)
		return;
	rule.wanted = plan->snapshot->vservers[rule.vserver].worker_mask & plan->queues;
	rule.by = STEERING_BY_SOFTWARE;
	if (can && rule.wanted != 0)
		choose_queues(plan, &rule);
	if (plan->nic->rss && rule.wanted == plan->queues && rule.queues != rule.wanted) {
		rule.queues = rule.wanted;
		rule.by = STEERING_BY_RSS;
	}
	if (rule.by == STEERING_BY_RULE)
		add_matches(plan, rule);
	else
		add(plan, &rule);
}

// The first port of the same device.
static uint32_t first_of_device(const struct config *config, uint32_t port)
{
	uint32_t first = 0;

	while (strcmp(config->ports[first].device, config->ports[port].device) != 0)
		first++;
	return first;
}

// How many devices come before that of this port, which is what DPDK numbers.
static uint32_t device_number(const struct config *config, uint32_t port)
{
	uint32_t first = first_of_device(config, port), devices = 0;

	for (uint32_t i = 0; i < first; i++)
		devices += first_of_device(config, i) == i;
	return devices;
}

static bool has_nd(const struct plan *plan, const struct ip_addr *addr)
{
	for (uint32_t i = 0; i < plan->count; i++) {
		if (plan->out[i].match == STEERING_ND && ip_addr_eq(&plan->out[i].addr, addr))
			return true;
	}
	return false;
}

// The solicited-node address (RFC 4291 2.7.1) of addr.
static void plan_nd(struct plan *plan, const struct ip_addr *addr)
{
	struct steering_rule rule = {.match = STEERING_ND,
		.priority = plan->nic->priority,
		.vserver = SNAPSHOT_NO_VSERVER,
		.addr = {{0xff, 2, [11] = 1, [12] = 0xff, [13] = addr->octets[13],
			[14] = addr->octets[14], [15] = addr->octets[15]}},
		.queues = 1,
		.wanted = 1};

	if (!ip_addr_is_v4(addr) && !has_nd(plan, &rule.addr))
		add(plan, &rule);
}

// Packets for no virtual server: to the first worker, who tells the others.
static void plan_common(struct plan *plan)
{
	struct steering_rule rule = {
		.vserver = SNAPSHOT_NO_VSERVER, .queues = 1, .wanted = 1, .match = STEERING_ARP};

	if (plan->nic->arp)
		add(plan, &rule);
	if (!plan->nic->icmp)
		return;
	rule.priority = plan->nic->priority;
	rule.match = STEERING_ICMP;
	add(plan, &rule);
	rule.match = STEERING_ICMP6;
	add(plan, &rule);
}

uint32_t steering_plan(const struct snapshot *snapshot, uint32_t port, uint16_t queues,
	const struct steering_nic *nic, struct steering_rule out[LIMIT_STEERING_RULES])
{
	const struct config_port *cp = &snapshot->config->ports[port];
	struct plan plan = {
		.snapshot = snapshot, .nic = nic, .queues = low_bits(queues), .out = out};

	assert(queues > 0);
	if (steering_nic_has_rules(nic) && first_of_device(snapshot->config, port) == port)
		plan_common(&plan);
	for (uint32_t i = 0; nic->nd && i < cp->address_count; i++)
		plan_nd(&plan, &cp->addresses[i].addr);
	for (uint32_t i = 0; i < cp->address_count; i++)
		plan_address(&plan, &cp->addresses[i].addr);
	return plan.count;
}

// ---- Text

static const char *pattern_of(const struct steering_rule *rule, char text[160])
{
	char addr[IP_ADDR_TEXT_MAX];
	const char *ip = ip_addr_is_v4(&rule->addr) ? "ipv4" : "ipv6";
	const char *rest = "";

	switch (rule->match) {
	case STEERING_ARP:
		return "eth type is 0x0806";
	case STEERING_ICMP:
		return "eth / ipv4 proto is 1";
	case STEERING_ICMP6:
		return "eth / ipv6 proto is 58";
	case STEERING_ADDRESS_TCP:
		rest = " / tcp";
		break;
	case STEERING_ADDRESS_ICMP:
		rest = ip_addr_is_v4(&rule->addr) ? " / icmp" : " / icmp6";
		break;
	case STEERING_ADDRESS_FRAGMENT:
		rest = ip_addr_is_v4(&rule->addr)
			       ? " fragment_offset spec 0x0008 fragment_offset last 0x2000 "
				 "fragment_offset mask 0x3fff"
			       : " proto spec 44 proto mask 0";
		break;
	case STEERING_ADDRESS:
	case STEERING_ADDRESS_OTHER:
	case STEERING_ND:
		break;
	}
	snprintf(text, 160, "eth / %s dst is %s%s", ip, ip_addr_print(&rule->addr, addr), rest);
	return text;
}

static void print_queues(uint64_t queues, char *out, size_t cap)
{
	size_t used = 0;

	for (unsigned q = 0; q < 64 && used < cap; q++) {
		if (queues >> q & 1)
			used += (size_t)snprintf(
				out + used, cap - used, "%s%u", used != 0 ? " " : "", q);
	}
}

static const char *vserver_name(const struct snapshot *snapshot, const struct steering_rule *rule)
{
	return rule->vserver == SNAPSHOT_NO_VSERVER
		       ? "-"
		       : snapshot->vservers[rule->vserver].config->name;
}

char *steering_print(const struct snapshot *snapshot, uint32_t port,
	const struct steering_rule *rule, char out[STEERING_TEXT_MAX])
{
	char pattern[160], addr[IP_ADDR_TEXT_MAX], queues[128] = "none";

	print_queues(rule->queues, queues, sizeof(queues));
	if (rule->by != STEERING_BY_RULE) {
		snprintf(out, STEERING_TEXT_MAX, "# %s of %s: %s", ip_addr_print(&rule->addr, addr),
			vserver_name(snapshot, rule),
			rule->by == STEERING_BY_RSS ? "all queues, by the port's own RSS"
						    : "in software");
		return out;
	}
	snprintf(out, STEERING_TEXT_MAX,
		"flow create %u ingress priority %u pattern %s / end actions %s%s%s / end",
		device_number(snapshot->config, port), rule->priority, pattern_of(rule, pattern),
		rule->spread ? "rss types ipv4 ipv4-tcp ipv6 ipv6-tcp end queues " : "queue index ",
		queues, rule->spread ? " end" : "");
	return out;
}
