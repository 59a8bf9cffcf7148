#include "dataplane/port.h"

#include "dataplane/port_multicast.h"

#include <errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "net/nd.h"

enum {
	RETA_MOST = 2048, // entries of the largest redirection table known (ice)
};

static bool fail(char why[PORT_WHY_OCTETS], const char *device, const char *what, int code)
{
	snprintf(why, PORT_WHY_OCTETS, "port %s: %s%s%s", device, what, code != 0 ? ": " : "",
		code != 0 ? rte_strerror(code < 0 ? -code : code) : "");
	return false;
}

// "net_af_packet0,iface=edge0" is known to DPDK by what stands before the comma.
static bool find_device(const char *device, uint16_t *id)
{
	char name[RTE_ETH_NAME_MAX_LEN];

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(device, ","), device);
	return rte_eth_dev_get_port_by_name(name, id) == 0;
}

// Devices have room for one tag of type 0x8100 beside the MTU; an outer one of 802.1ad, and what it holds, is data to some of them (to
// af_packet's kernel, too).
static uint32_t second_tag_octets(const struct config_port *cp)
{
	return cp->vlan.count > 1 ? VLAN_TAGS * VLAN_TAG_OCTETS : 0;
}

static void fill_iface(struct port *port, const struct config_port *cp)
{
	struct rte_ether_addr mac;

	rte_eth_macaddr_get(port->id, &mac);
	memcpy(port->iface.mac.octets, mac.addr_bytes, 6);
	// A tap's kernel end has the device's address; two stations must not share one.
	if (strcmp(port->driver, "net_tap") == 0)
		port->iface.mac.octets[5] ^= 1;
	port->iface.mtu = cp->mtu;
	if (cp->mtu + second_tag_octets(cp) > port->device_mtu)
		port->iface.mtu = (uint16_t)(port->device_mtu - second_tag_octets(cp));
	port->vlan.count = (uint8_t)cp->vlan.count;
	memcpy(port->vlan.ids, cp->vlan.ids, sizeof(port->vlan.ids));
	port->iface.sums = port->sums_by_port ? FRAME_SUMS_PORT : FRAME_SUMS_SOFTWARE;
	for (uint32_t i = 0; i < cp->address_count && i < LIMIT_PORT_ADDRESSES; i++)
		port->iface.addresses[port->iface.address_count++] =
			(struct iface_addr){cp->addresses[i].addr, cp->addresses[i].len};
	iface_add_link_local(&port->iface);
	for (uint32_t i = 0; i < cp->gateway_count; i++)
		port->iface.gateways[port->iface.gateway_count++] = cp->gateways[i].addr;
}

static uint16_t queues_of(uint16_t most, unsigned workers)
{
	return most < workers ? most : (uint16_t)workers;
}

// What every port is started with.
struct start {
	const struct config *config;
	unsigned workers;
	struct rte_mempool *mbufs;
	struct rss *rss;
	char *why;
};

// RSS by 4-tuple with our key, so that a packet arrives at its owner (rss.h).
static void ask_rss(const struct rte_eth_dev_info *info, struct rss *rss, struct rte_eth_conf *conf)
{
	const uint64_t types = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 |
			       RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_OTHER |
			       RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV6 |
			       RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;
	struct rte_eth_rss_conf *rc = &conf->rx_adv_conf.rss_conf;

	rc->rss_hf = info->flow_type_rss_offloads & types;
	if (rc->rss_hf == 0)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	// A key of unknown length is the driver's own: then software finds the owner.
	if (info->hash_key_size >= RSS_KEY_SHORT_OCTETS && info->hash_key_size <= RSS_KEY_OCTETS) {
		rc->rss_key = rss->key;
		rc->rss_key_len = info->hash_key_size;
	}
}

static struct rte_eth_conf device_conf(
	struct port *port, const struct rte_eth_dev_info *info, struct rss *rss)
{
	const uint64_t tx_sums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	const uint64_t rx_sums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	struct rte_eth_conf conf = {0};

	port->sums_by_port = (info->tx_offload_capa & tx_sums) == tx_sums;
	if (port->sums_by_port)
		conf.txmode.offloads = tx_sums;
	// One pool, and nobody keeps a frame that was given away.
	conf.txmode.offloads |= info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	conf.rxmode.offloads = info->rx_offload_capa & rx_sums;
	if (port->rx_queues > 1)
		ask_rss(info, rss, &conf);
	return conf;
}

// Entry i of the redirection table is queue i % RSS_TABLE_ENTRIES % queues. A port that does not take that spreads in its own
// way, and software finds the owner.
static void set_redirection(const struct port *port, const struct rte_eth_dev_info *info)
{
	struct rte_eth_rss_reta_entry64 table[RETA_MOST / RTE_ETH_RETA_GROUP_SIZE] = {0};

	if (port->rx_queues < 2 || info->reta_size == 0 || info->reta_size > RETA_MOST ||
		info->reta_size % RSS_TABLE_ENTRIES != 0)
		return;
	for (uint16_t i = 0; i < info->reta_size; i++) {
		struct rte_eth_rss_reta_entry64 *group = &table[i / RTE_ETH_RETA_GROUP_SIZE];

		group->mask = UINT64_MAX;
		group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)rss_pick(i, port->rx_queues);
	}
	(void)rte_eth_dev_rss_reta_update(port->id, table, info->reta_size);
}

static bool fail_mtu(const struct start *start, const struct config_port *cp, uint32_t most)
{
	snprintf(start->why, PORT_WHY_OCTETS,
		"port %s: takes packets of at most %u octets, and ports[].mtu is %u: lower it",
		cp->device, most, cp->mtu);
	return false;
}

// The largest MTU that the device says it can take.
static uint32_t most_mtu(const struct rte_eth_dev_info *info)
{
	uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;

	// With a limit of its own on the MTU a device counts tags as it likes; else frames count.
	if (info->max_mtu == UINT16_MAX && info->max_rx_pktlen - overhead < UINT16_MAX)
		return info->max_rx_pktlen - overhead;
	return info->max_mtu;
}

// What the device is asked for: the largest MTU of its ports, with two tags if one has them and the device has room.
static bool choose_mtu(
	const struct start *start, struct port *port, const struct rte_eth_dev_info *info)
{
	uint32_t most = most_mtu(info);

	for (uint32_t i = 0; i < start->config->port_count; i++) {
		const struct config_port *cp = &start->config->ports[i];
		uint32_t mtu = cp->mtu + second_tag_octets(cp);

		if (strcmp(cp->device, port->device) != 0)
			continue;
		if (cp->mtu > most)
			return fail_mtu(start, cp, most);
		mtu = mtu < most ? mtu : most;
		if (mtu > port->device_mtu)
			port->device_mtu = (uint16_t)mtu;
	}
	return true;
}

// A device without the call takes any.
static bool set_mtu(const struct start *start, const struct port *port)
{
	int e = rte_eth_dev_set_mtu(port->id, port->device_mtu);

	if (e == 0 || e == -ENOTSUP)
		return true;
	snprintf(start->why, PORT_WHY_OCTETS,
		"port %s: does not take an MTU of %u: %s: lower ports[].mtu", port->device,
		port->device_mtu, rte_strerror(-e));
	return false;
}

static int setup_queues(struct port *port, struct rte_mempool *mbufs)
{
	uint16_t rx = PORT_RX_DESCRIPTORS, tx = PORT_TX_DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(port->id);
	int e = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);

	for (uint16_t q = 0; e == 0 && q < port->rx_queues; q++)
		e = rte_eth_rx_queue_setup(port->id, q, rx, (unsigned)socket, NULL, mbufs);
	for (uint16_t q = 0; e == 0 && q < port->tx_queues; q++)
		e = rte_eth_tx_queue_setup(port->id, q, tx, (unsigned)socket, NULL);
	return e;
}

static bool start_device(struct port *port, const struct start *start)
{
	char *why = start->why;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	int e;

	if (!find_device(port->device, &port->id))
		return fail(why, port->device,
			"no such device: its driver did not take it (see the lines above)", 0);
	e = rte_eth_dev_info_get(port->id, &info);
	if (e != 0)
		return fail(why, port->device, "cannot be asked what it is", e);
	snprintf(port->driver, sizeof(port->driver), "%s", info.driver_name);
	port->nic = steering_nic_of_driver(port->driver);
	port->rx_queues = queues_of(info.max_rx_queues, start->workers);
	port->tx_queues = queues_of(info.max_tx_queues, start->workers);
	if (!choose_mtu(start, port, &info))
		return false;
	conf = device_conf(port, &info, start->rss);
	conf.rxmode.mtu = port->device_mtu;
	e = rte_eth_dev_configure(port->id, port->rx_queues, port->tx_queues, &conf);
	if (e != 0)
		return fail(why, port->device, "configuration refused", e);
	if (!set_mtu(start, port))
		return false;
	e = setup_queues(port, start->mbufs);
	if (e != 0)
		return fail(why, port->device, "queues refused", e);
	e = rte_eth_dev_start(port->id);
	if (e != 0)
		return fail(why, port->device, "does not start", e);
	set_redirection(port, &info);
	return true;
}

// The first port of this device so far; index: it is itself that.
static uint16_t first_of_device(const struct port_set *set, uint16_t index, const char *device)
{
	for (uint16_t i = 0; i < index; i++) {
		if (strcmp(set->ports[i].device, device) == 0)
			return i;
	}
	return index;
}

static bool start_one(struct port_set *set, uint16_t index, const struct start *start)
{
	const struct config_port *cp = &start->config->ports[index];
	struct port *port = &set->ports[index];
	uint16_t first = first_of_device(set, index, cp->device);

	(void)snprintf(port->device, sizeof(port->device), "%s", cp->device);
	if (first == index && !start_device(port, start))
		return false;
	if (first != index) {
		*port = set->ports[first];
		port->iface = (struct iface){0};
	}
	port->device_port = first;
	fill_iface(port, cp);
	port->link_up = true; // until seen otherwise: a link that is down at start is a change
	return true;
}

static void hear_groups(struct port_set *set)
{
	for (uint16_t i = 0; i < set->count; i++) {
		const struct port *port = &set->ports[i];

		set->ports[i].groups = port->device_port == i
					       ? port_multicast(set, i)
					       : set->ports[port->device_port].groups;
	}
}

bool port_set_start(struct port_set *set, const struct config *config, unsigned workers,
	struct rte_mempool *mbufs, char why[PORT_WHY_OCTETS])
{
	const struct start start = {config, workers, mbufs, &set->rss, why};
	uint8_t key[RSS_KEY_OCTETS];

	*set = (struct port_set){0};
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return fail(why, "", "no randomness", errno);
	rss_init(&set->rss, key);
	for (uint16_t i = 0; i < config->port_count; i++) {
		if (!start_one(set, i, &start)) {
			port_set_stop(set);
			return false;
		}
		set->count++;
	}
	hear_groups(set);
	return true;
}

void port_set_stop(struct port_set *set)
{
	for (uint16_t i = 0; i < set->count; i++) {
		if (set->ports[i].device_port != i)
			continue;
		(void)rte_eth_dev_stop(set->ports[i].id);
		(void)rte_eth_dev_close(set->ports[i].id);
	}
	set->count = 0;
}

uint16_t port_buffer_octets(const struct config *config)
{
	uint32_t most = RTE_MBUF_DEFAULT_DATAROOM;

	for (uint32_t i = 0; i < config->port_count; i++) {
		uint32_t frame = config->ports[i].mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN +
				 PORT_TAGS_OCTETS;

		most = frame > most ? frame : most;
	}
	return (uint16_t)(RTE_PKTMBUF_HEADROOM + RTE_ALIGN_CEIL(most, 64));
}

int port_of_vlan(const struct port_set *set, uint16_t device_port, const struct vlan *vlan)
{
	for (uint16_t i = device_port; i < set->count; i++) {
		if (set->ports[i].device_port == device_port && vlan_eq(&set->ports[i].vlan, vlan))
			return i;
	}
	return -1;
}

static uint32_t watch_one(struct port *port, bool first)
{
	struct rte_eth_link link;
	struct rte_eth_stats stats;
	bool changed;

	// The losses of a device count once.
	if (first && rte_eth_stats_get(port->id, &stats) == 0)
		port->missed = stats.imissed + stats.rx_nombuf;
	if (rte_eth_link_get_nowait(port->id, &link) != 0)
		return 0;
	changed = port->link_up != (link.link_status == RTE_ETH_LINK_UP);
	port->link_up ^= changed;
	port->link_changes += changed;
	port->link_mbit_s = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	return changed;
}

uint32_t port_set_watch(struct port_set *set)
{
	uint32_t changed = 0;

	for (uint16_t i = 0; i < set->count; i++)
		changed |= watch_one(&set->ports[i], set->ports[i].device_port == i) << i;
	return changed;
}

unsigned port_rx(const struct port *port, uint16_t queue, struct rte_mbuf **mbufs, unsigned count)
{
	return rte_eth_rx_burst(port->id, queue, mbufs, (uint16_t)count);
}

unsigned port_rx_sums(const struct rte_mbuf *m)
{
	unsigned sums = 0;

	if ((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		sums |= FRAME_IP_SUM_GOOD;
	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		sums |= FRAME_TCP_SUM_GOOD;
	return sums;
}

void port_vouch(struct rte_mbuf *m)
{
	m->ol_flags &= ~(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK);
	m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

void port_tx_sums(struct rte_mbuf *m, uint32_t ip_octets)
{
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
	m->ol_flags |= ip_octets == IP_V4_OCTETS ? RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM
						 : RTE_MBUF_F_TX_IPV6;
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = (uint16_t)(ip_octets & 0x1ff);
	m->l4_len = 20;
}

bool port_tx_tags(struct rte_mbuf *m, const struct vlan *vlan)
{
	uint16_t octets = (uint16_t)(vlan->count * VLAN_TAG_OCTETS);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_prepend(m, octets);

	if (frame == NULL)
		return false;
	vlan_push(frame, vlan);
	if (m->l2_len != 0)
		m->l2_len = (uint64_t)(RTE_ETHER_HDR_LEN + octets) & 0x7f;
	return true;
}

unsigned port_tx(const struct port *port, uint16_t queue, struct rte_mbuf **mbufs, unsigned count)
{
	enum { TRIES = 4 };
	unsigned sent = 0;

	for (int i = 0; i < TRIES && sent < count; i++)
		sent += rte_eth_tx_burst(port->id, queue, mbufs + sent, (uint16_t)(count - sent));
	if (sent < count)
		rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
	return sent;
}
