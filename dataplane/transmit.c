#include "dataplane/transmit.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "net/arp.h"

static void drop(struct worker *w, struct rte_mbuf *m)
{
	rte_pktmbuf_free(m);
	edge_count(&w->shared->tx_dropped, 1);
}

// Which worker owns the transmit queue that this worker's frames leave by.
static unsigned queue_owner(const struct worker *w, const struct port *port)
{
	return w->index % port->tx_queues;
}

static void burst(struct worker *w, unsigned p)
{
	const struct port *port = &w->common->ports->ports[p];
	unsigned n = w->tx_count[p], sent;
	uint64_t octets = 0;

	for (unsigned i = 0; i < n; i++)
		octets += w->tx[p][i]->pkt_len;
	sent = port_tx(port, (uint16_t)w->index, w->tx[p], n);
	edge_count(&w->shared->tx_packets, sent);
	edge_count(&w->shared->tx_octets, octets);
	edge_count(&w->shared->tx_dropped, n - sent);
	w->tx_count[p] = 0;
}

void transmit_frame(struct worker *w, unsigned port, struct rte_mbuf *m)
{
	unsigned owner = queue_owner(w, &w->common->ports->ports[port]);

	m->port = (uint16_t)port;
	if (owner != w->index) {
		if (rte_ring_sp_enqueue(w->tx_out[owner], m) != 0)
			drop(w, m);
		return;
	}
	w->tx[port][w->tx_count[port]++] = m;
	if (w->tx_count[port] == PORT_BURST)
		burst(w, port);
}

// Ask for v4 on this port, or announce it when it is our own.
static void arp_request(struct worker *w, unsigned port, uint32_t v4)
{
	const struct iface *iface = &w->common->ports->ports[port].iface;
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->common->mbufs);
	uint32_t sender = iface->addresses[0].v4;

	if (m == NULL) {
		edge_count(&w->shared->tx_dropped, 1);
		return;
	}
	for (uint8_t i = 0; i < iface->address_count; i++) {
		if (((iface->addresses[i].v4 ^ v4) & iface->addresses[i].mask) == 0)
			sender = iface->addresses[i].v4;
	}
	if (iface_has(iface, v4))
		sender = v4;
	m->data_len =
		(uint16_t)arp_build_request(rte_pktmbuf_mtod(m, uint8_t *), iface->mac, sender, v4);
	m->pkt_len = m->data_len;
	transmit_frame(w, port, m);
}

static bool port_of(const struct worker *w, uint32_t local, unsigned *port)
{
	for (unsigned p = 0; p < w->common->ports->count; p++) {
		if (iface_has(&w->common->ports->ports[p].iface, local)) {
			*port = p;
			return true;
		}
	}
	return false;
}

// Fill in the neighbour's address and send, or let the frame wait for it.
static void resolve(struct worker *w, unsigned p, uint32_t next_hop, struct rte_mbuf *m)
{
	struct mac mac;
	enum neigh_answer known = neigh_find(&w->neigh, (uint8_t)p, next_hop, w->now_us, &mac);

	if (known == NEIGH_KNOWN || known == NEIGH_KNOWN_ASK) {
		memcpy(rte_pktmbuf_mtod(m, uint8_t *), mac.octets, 6);
		transmit_frame(w, p, m);
	} else {
		struct rte_mbuf *displaced = neigh_leave(&w->neigh, (uint8_t)p, next_hop, m);

		if (displaced != NULL)
			drop(w, displaced);
	}
	if (known == NEIGH_KNOWN_ASK || known == NEIGH_WAIT_ASK)
		arp_request(w, p, next_hop);
}

void transmit_segment(void *worker, const struct segment *s)
{
	struct worker *w = worker;
	struct rte_mbuf *m;
	struct frame_route route = {0};
	uint32_t next_hop, octets;
	unsigned p;

	// Only addresses of our ports open connections, so the source is one.
	if (!port_of(w, ip_addr_v4(&s->src), &p))
		return;
	next_hop = iface_next_hop(&w->common->ports->ports[p].iface, ip_addr_v4(&s->dst));
	m = next_hop != 0 ? rte_pktmbuf_alloc(w->common->mbufs) : NULL;
	if (m == NULL) {
		edge_count(&w->shared->tx_dropped, 1);
		return;
	}
	route.src_mac = w->common->ports->ports[p].iface.mac;
	route.sums = w->common->ports->ports[p].iface.sums;
	octets = frame_build(s, &route, rte_pktmbuf_mtod(m, uint8_t *), rte_pktmbuf_tailroom(m));
	if (octets == 0) {
		drop(w, m);
		return;
	}
	m->data_len = (uint16_t)octets;
	m->pkt_len = octets;
	if (route.sums == FRAME_SUMS_PORT)
		port_tx_sums(m);
	resolve(w, p, next_hop, m);
}

void transmit_announce(struct worker *w)
{
	for (unsigned p = 0; p < w->common->ports->count; p++) {
		const struct iface *iface = &w->common->ports->ports[p].iface;

		for (uint8_t i = 0; i < iface->address_count; i++)
			arp_request(w, p, iface->addresses[i].v4);
		if (iface->has_gateway && iface->address_count != 0)
			arp_request(w, p, iface->gateway);
	}
}

// Frames that workers without a queue left for ours.
static unsigned take_from_others(struct worker *w)
{
	unsigned moved = 0;

	for (unsigned i = 0; i < w->edge->worker_count; i++) {
		void *frames[PORT_BURST];
		unsigned n;

		if (w->tx_in[i] == NULL)
			continue;
		n = rte_ring_sc_dequeue_burst(w->tx_in[i], frames, PORT_BURST, NULL);
		for (unsigned k = 0; k < n; k++) {
			struct rte_mbuf *m = frames[k];

			transmit_frame(w, m->port, m);
		}
		moved += n;
	}
	return moved;
}

unsigned transmit_flush(struct worker *w)
{
	unsigned moved = take_from_others(w);

	for (unsigned p = 0; p < w->common->ports->count; p++) {
		moved += w->tx_count[p];
		if (w->tx_count[p] != 0)
			burst(w, p);
	}
	return moved;
}
