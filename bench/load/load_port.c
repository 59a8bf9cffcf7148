#include "load_port.h"

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/arp.h"

enum {
	BURST = 64,
	DESCRIPTORS = 1024,
	MBUFS = 8191,
	MBUF_CACHE = 256,
	MTU = 1500,
	HEADERS = 40,
	ASK_US = 200000,
	SEND_TRIES = 100,
};

struct load_port {
	const struct load_plan *plan;
	struct rte_mempool *mbufs;
	struct rte_mbuf *out[BURST];
	unsigned out_count;
	uint16_t id;
	struct frame_route route;
	uint32_t next_hop; // v4
	bool ready;
	uint64_t asked_us;
};

uint64_t load_port_now_us(void)
{
	const uint64_t hz = rte_get_tsc_hz(), cycles = rte_rdtsc();

	return cycles / hz * 1000000 + cycles % hz * 1000000 / hz;
}

static bool is_pci(const char *device)
{
	return strchr(device, ':') != NULL && strncmp(device, "net_", 4) != 0;
}

static bool start_eal(const struct load_plan *plan)
{
	char lcore[32], device[512];
	char *argv[] = {"postern-load", lcore, "--no-huge", "-m", "256", "--no-shconf",
		"--no-telemetry", "--log-level=error", device,
		is_pci(plan->device) ? NULL : "--no-pci", NULL};
	int argc = is_pci(plan->device) ? 9 : 10;

	snprintf(lcore, sizeof(lcore), "--lcores=0@%u", plan->lcore);
	snprintf(device, sizeof(device), "%s%s",
		is_pci(plan->device) ? "--allow=" : "--vdev=", plan->device);
	if (rte_eal_init(argc, argv) >= 0)
		return true;
	fprintf(stderr, "postern-load: DPDK does not start with %s (see above)\n", plan->device);
	return false;
}

static bool start_device(struct load_port *p)
{
	const struct rte_eth_conf conf = {0};
	struct rte_ether_addr mac;
	int e;

	if (rte_eth_dev_count_avail() == 0) {
		fprintf(stderr, "postern-load: no driver took %s\n", p->plan->device);
		return false;
	}
	p->id = (uint16_t)rte_eth_find_next(0);
	e = rte_eth_dev_configure(p->id, 1, 1, &conf);
	if (e == 0)
		e = rte_eth_rx_queue_setup(p->id, 0, DESCRIPTORS, 0, NULL, p->mbufs);
	if (e == 0)
		e = rte_eth_tx_queue_setup(p->id, 0, DESCRIPTORS, 0, NULL);
	if (e == 0)
		e = rte_eth_dev_start(p->id);
	if (e == 0)
		e = rte_eth_macaddr_get(p->id, &mac);
	if (e != 0) {
		fprintf(stderr, "postern-load: %s: %s\n", p->plan->device, strerror(-e));
		return false;
	}
	(void)rte_eth_promiscuous_enable(p->id);
	memcpy(p->route.src_mac.octets, mac.addr_bytes, sizeof(mac.addr_bytes));
	return true;
}

struct load_port *load_port_start(const struct load_plan *plan)
{
	const bool gateway = ip_addr_is_v4(&plan->gateway);
	struct load_port *p;

	if (!ip_addr_is_v4(&plan->target)) {
		fputs("postern-load: --device knows v4 only; use kernel sockets for v6\n", stderr);
		return NULL;
	}
	if (!start_eal(plan))
		return NULL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->plan = plan;
	p->next_hop = ip_addr_v4(gateway ? &plan->gateway : &plan->target);
	p->mbufs = rte_pktmbuf_pool_create(
		"load", MBUFS, MBUF_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (p->mbufs != NULL && start_device(p))
		return p;
	free(p);
	return NULL;
}

void load_port_stop(struct load_port *p)
{
	(void)rte_eth_dev_stop(p->id);
	(void)rte_eth_dev_close(p->id);
	rte_mempool_free(p->mbufs);
	free(p);
	(void)rte_eal_cleanup();
}

bool load_port_is_ready(const struct load_port *p)
{
	return p->ready;
}

uint16_t load_port_mss(const struct load_port *p)
{
	(void)p;
	return MTU - HEADERS;
}

void load_port_flush(struct load_port *p)
{
	unsigned sent = 0;

	for (int i = 0; i < SEND_TRIES && sent < p->out_count; i++)
		sent += rte_eth_tx_burst(p->id, 0, p->out + sent, (uint16_t)(p->out_count - sent));
	if (sent < p->out_count)
		rte_pktmbuf_free_bulk(p->out + sent, p->out_count - sent);
	p->out_count = 0;
}

static void put_out(struct load_port *p, struct rte_mbuf *m)
{
	p->out[p->out_count++] = m;
	if (p->out_count == BURST)
		load_port_flush(p);
}

void load_port_send(struct load_port *p, const struct segment *s)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->mbufs);
	uint32_t len;

	if (m == NULL)
		return; // as if the link had lost it
	len = frame_build(s, &p->route, rte_pktmbuf_mtod(m, uint8_t *), rte_pktmbuf_tailroom(m));
	if (len == 0 || rte_pktmbuf_append(m, (uint16_t)len) == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	put_out(p, m);
}

static void ask(struct load_port *p, uint64_t now_us)
{
	const struct ip_addr first = load_plan_source(p->plan, 0);
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->mbufs);

	p->asked_us = now_us;
	if (m == NULL)
		return;
	arp_build_request(
		rte_pktmbuf_mtod(m, uint8_t *), &(struct arp_ask){.sender_mac = p->route.src_mac,
							.sender = ip_addr_v4(&first),
							.target = p->next_hop});
	(void)rte_pktmbuf_append(m, ARP_FRAME_OCTETS);
	put_out(p, m);
}

static bool is_ours(const struct load_port *p, uint32_t v4)
{
	const struct ip_addr first = load_plan_source(p->plan, 0);

	return v4 - ip_addr_v4(&first) < p->plan->sources ||
	       (ip_addr_is_v4(&p->plan->router) && v4 == ip_addr_v4(&p->plan->router));
}

static void on_arp(struct load_port *p, const struct frame *f)
{
	struct arp arp;
	struct rte_mbuf *m;

	if (arp_parse(f, &arp) != DROP_NONE)
		return;
	if (arp.sender == p->next_hop) {
		p->route.dst_mac = arp.sender_mac;
		p->ready = true;
	}
	if (!arp.request || !is_ours(p, arp.target) || is_ours(p, arp.sender))
		return;
	m = rte_pktmbuf_alloc(p->mbufs);
	if (m == NULL)
		return;
	arp_build_reply(rte_pktmbuf_mtod(m, uint8_t *), p->route.src_mac, arp.target, &arp);
	(void)rte_pktmbuf_append(m, ARP_FRAME_OCTETS);
	put_out(p, m);
}

unsigned load_port_poll(struct load_port *p, uint64_t now_us, load_port_fn *fn, void *user)
{
	struct rte_mbuf *in[BURST];
	const unsigned n = rte_eth_rx_burst(p->id, 0, in, BURST);

	for (unsigned i = 0; i < n; i++) {
		struct frame f;

		if (frame_parse((struct slice){rte_pktmbuf_mtod(in[i], const uint8_t *),
					in[i]->data_len},
			    0, &f) == DROP_NONE) {
			if (f.kind == FRAME_ARP)
				on_arp(p, &f);
			else if (f.kind == FRAME_TCP)
				fn(user, &f);
		}
		rte_pktmbuf_free(in[i]);
	}
	if (!p->ready && now_us - p->asked_us >= ASK_US)
		ask(p, now_us);
	return n;
}
