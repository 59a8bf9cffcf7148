#include "dataplane/transmit.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/neighbour.h"

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
	const struct vlan *vlan = &w->common->ports->ports[port].vlan;
	unsigned owner = queue_owner(w, &w->common->ports->ports[port]);

	m->port = (uint16_t)port;
	if (owner != w->index) {
		if (rte_ring_sp_enqueue(w->tx_out[owner], m) != 0)
			drop(w, m);
		return;
	}
	if (vlan->count != 0 && !port_tx_tags(m, vlan)) {
		drop(w, m);
		return;
	}
	w->tx[port][w->tx_count[port]++] = m;
	if (w->tx_count[port] == PORT_BURST)
		burst(w, port);
}

// The port that has this address; a link-local one is told by where its peer is.
static bool port_of(const struct worker *w, const struct segment *s, unsigned *port)
{
	if (iface_is_link_local(&s->src)) {
		*port = s->nic_port;
		return true;
	}
	for (unsigned p = 0; p < w->common->ports->count; p++) {
		if (iface_has(&w->common->ports->ports[p].iface, &s->src)) {
			*port = p;
			return true;
		}
	}
	return false;
}

// The frame of s in m, but for the station it goes to. False: it does not fit, and m is gone.
static bool write(struct worker *w, unsigned p, const struct segment *s, struct rte_mbuf *m)
{
	const struct iface *iface = &w->common->ports->ports[p].iface;
	struct frame_route route = {.src_mac = iface->mac, .sums = iface->sums};
	uint32_t room = m->data_len + (uint32_t)rte_pktmbuf_tailroom(m);
	uint32_t octets = frame_build(s, &route, rte_pktmbuf_mtod(m, uint8_t *), room);

	if (octets == 0) {
		drop(w, m);
		return false;
	}
	m->data_len = (uint16_t)octets;
	m->pkt_len = octets;
	m->ol_flags = 0;
	if (route.sums == FRAME_SUMS_PORT)
		port_tx_sums(m, ip_octets(&s->src));
	return true;
}

// Into the frame that s answers, and back to the station it came from. False: there is none.
static bool answer_in_place(struct worker *w, const struct segment *s)
{
	struct rte_mbuf *m = w->answered.frame;

	if (m == NULL || s->payload_octets != 0 || !ip_addr_eq(&s->dst, &w->answered.segment->src))
		return false;
	w->answered.frame = NULL;
	if (!write(w, m->port, s, m))
		return true;
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), w->answered.from.octets, 6);
	transmit_frame(w, m->port, m);
	return true;
}

void transmit_segment(void *worker, const struct segment *s)
{
	struct worker *w = worker;
	struct rte_mbuf *m;
	const struct ip_addr *next_hop;
	unsigned p;

	if (answer_in_place(w, s))
		return;
	// Only addresses of our ports open connections, so the source is one.
	if (!port_of(w, s, &p))
		return;
	next_hop = iface_next_hop(&w->common->ports->ports[p].iface, &s->dst);
	m = next_hop != NULL ? rte_pktmbuf_alloc(w->common->mbufs) : NULL;
	if (m == NULL) {
		edge_count(&w->shared->tx_dropped, 1);
		return;
	}
	if (write(w, p, s, m))
		neighbour_send(w, p, next_hop, m);
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
