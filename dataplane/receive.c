#include "dataplane/receive.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_ring.h>

#include "dataplane/address.h"
#include "dataplane/admit.h"
#include "dataplane/neighbour.h"
#include "dataplane/transmit.h"

static const struct iface *iface_of(const struct worker *w, unsigned port)
{
	return &w->common->ports->ports[port].iface;
}

// ---- ping

static void echo_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	enum drop why = address_check(w, m->port, &f->ip.dst);

	if (why != DROP_NONE) {
		edge_account(w->shared, why);
		rte_pktmbuf_free(m);
		return;
	}
	edge_account(w->shared, DROP_NONE);
	m->data_len = (uint16_t)frame_echo_reply(f, rte_pktmbuf_mtod(m, uint8_t *));
	m->pkt_len = m->data_len;
	m->ol_flags = 0;
	transmit_frame(w, m->port, m);
}

// ---- TCP

static void syn_input(struct worker *w, const struct segment *syn, uint16_t vserver)
{
	enum drop why;
	enum tcp_welcome welcome = admit_syn(w, syn, vserver, &why);

	if (welcome == TCP_WELCOME)
		why = tcp_input(w->tcp, syn, true, w->now_us);
	else if (welcome == TCP_REFUSE)
		(void)tcp_input(w->tcp, syn, false, w->now_us);
	edge_account(w->shared, why);
}

static void tcp_segment(struct worker *w, const struct segment *s, uint16_t vserver)
{
	bool listens = vserver != SNAPSHOT_NO_VSERVER &&
		       snapshot_listens(w->policy->snapshot, vserver, &s->dst, s->dst_port);
	enum drop why;

	if (listens && (s->flags & (SEGMENT_SYN | SEGMENT_ACK | SEGMENT_RST)) == SEGMENT_SYN) {
		syn_input(w, s, vserver);
		return;
	}
	why = tcp_input(w->tcp, s, listens, w->now_us);
	edge_account(w->shared, why == DROP_TCP_NO_CONN && !listens ? DROP_TCP_PORT : why);
}

// What brought no octets for anybody may be answered in its own buffer, to the station that sent it: a flood of SYNs takes no
// buffer of ours and asks for no neighbour. Takes m.
static void tcp_frame_input(struct worker *w, struct rte_mbuf *m, struct frame *f, uint16_t vserver)
{
	f->tcp.nic_port = (uint8_t)m->port;
	if (f->tcp.payload_octets == 0)
		w->answered = (struct worker_answered){m, &f->tcp, f->src_mac};
	tcp_segment(w, &f->tcp, vserver);
	if (f->tcp.payload_octets != 0 || w->answered.frame != NULL)
		rte_pktmbuf_free(m);
	w->answered.frame = NULL;
}

// ---- Steering

// The n-th set bit of mask.
static unsigned nth_worker(uint64_t mask, unsigned n)
{
	while (n-- > 0)
		mask &= mask - 1;
	return (unsigned)__builtin_ctzll(mask);
}

// Workers that serve this virtual server.
static uint64_t workers_of(const struct worker *w, uint16_t vserver)
{
	return vserver == SNAPSHOT_NO_VSERVER ? UINT64_MAX >> (64 - w->edge->worker_count)
					      : w->policy->snapshot->vservers[vserver].worker_mask;
}

static unsigned owner_of(const struct worker *w, const struct segment *s, uint16_t vserver)
{
	struct rss_tuple tuple = {&s->src, &s->dst, s->src_port, s->dst_port};
	uint64_t mask;
	unsigned workers;

	if (w->edge->worker_count == 1)
		return 0;
	mask = workers_of(w, vserver);
	workers = (unsigned)__builtin_popcountll(mask);
	return nth_worker(mask, rss_pick(rss_hash(&w->common->ports->rss, &tuple), workers));
}

// Whether ports deliver to the workers of the virtual server: what proves their rules, or not.
static void count_landing(struct worker *w, uint16_t vserver)
{
	struct edge_vserver_counters *c;

	if (w->edge->worker_count == 1 || vserver == SNAPSHOT_NO_VSERVER)
		return;
	c = &w->shared->vservers[w->policy->slot[vserver]];
	edge_count(workers_of(w, vserver) >> w->index & 1 ? &c->landed : &c->strayed, 1);
}

static void steer(struct worker *w, struct rte_mbuf *m, unsigned owner)
{
	port_vouch(m); // checksums are verified; the owner need not do it again
	if (rte_ring_sp_enqueue(w->steer_out[owner], m) != 0) {
		edge_account(w->shared, DROP_RING_FULL);
		rte_pktmbuf_free(m);
		return;
	}
	edge_count(&w->shared->steered_out, 1);
}

static void tcp_frame(struct worker *w, struct rte_mbuf *m, struct frame *f)
{
	enum drop why = address_check(w, m->port, &f->ip.dst);
	uint16_t vserver;
	unsigned owner;

	if (why != DROP_NONE) {
		edge_account(w->shared, why);
		rte_pktmbuf_free(m);
		return;
	}
	vserver = snapshot_vserver_at(w->policy->snapshot, &f->ip.dst);
	count_landing(w, vserver);
	owner = owner_of(w, &f->tcp, vserver);
	if (owner != w->index) {
		steer(w, m, owner);
		return;
	}
	tcp_frame_input(w, m, f, vserver);
}

// ---- Bursts

static enum drop parse(struct rte_mbuf *m, struct frame *f)
{
	if (m->nb_segs != 1)
		return DROP_ETH_SHORT; // larger than one buffer: nothing we asked for
	return frame_parse((struct slice){rte_pktmbuf_mtod(m, const uint8_t *), m->data_len},
		port_rx_sums(m), f);
}

// A port may show us what is for other stations. Nothing but neighbours' words may be for a group, a TCP segment least of all
// (RFC 9293 MUST-57), and nobody is a group.
static bool is_for_us(const struct worker *w, unsigned port, const struct frame *f)
{
	bool group = (f->dst_mac.octets[0] & 1) != 0;

	if ((f->src_mac.octets[0] & 1) != 0)
		return false;
	if (group)
		return f->kind != FRAME_TCP && f->kind != FRAME_ECHO;
	return memcmp(f->dst_mac.octets, iface_of(w, port)->mac.octets, 6) == 0;
}

// Take the tags off; from here on m->port says which VLAN of the device it came from.
static enum drop untag(const struct worker *w, struct rte_mbuf *m)
{
	struct vlan vlan;
	uint32_t octets;
	enum drop why = vlan_read(
		(struct slice){rte_pktmbuf_mtod(m, const uint8_t *), m->data_len}, &vlan, &octets);
	int port;

	if (why != DROP_NONE)
		return why;
	port = port_of_vlan(w->common->ports, m->port, &vlan);
	if (port < 0)
		return DROP_ETH_VLAN;
	m->port = (uint16_t)port;
	if (octets != 0) {
		vlan_strip(rte_pktmbuf_mtod(m, uint8_t *), octets);
		(void)rte_pktmbuf_adj(m, (uint16_t)octets);
	}
	return DROP_NONE;
}

static void frame_input(struct worker *w, struct rte_mbuf *m)
{
	struct frame f;
	enum drop why = untag(w, m);

	if (why == DROP_NONE)
		why = parse(m, &f);

	if (why == DROP_NONE && !is_for_us(w, m->port, &f))
		why = DROP_ETH_ADDRESS;
	if (why != DROP_NONE) {
		edge_account(w->shared, why);
		rte_pktmbuf_free(m);
		return;
	}
	switch (f.kind) {
	case FRAME_ECHO:
		echo_input(w, m, &f);
		break;
	case FRAME_ARP:
	case FRAME_MLD:
	case FRAME_ND:
		neighbour_input(w, m, &f);
		break;
	case FRAME_TCP:
		tcp_frame(w, m, &f);
		break;
	}
}

static unsigned poll_port(struct worker *w, unsigned p)
{
	const struct port *port = &w->common->ports->ports[p];
	struct rte_mbuf *mbufs[PORT_BURST];
	uint64_t octets = 0;
	unsigned n;

	if (w->index >= port->rx_queues || port->device_port != p)
		return 0;
	n = port_rx(port, (uint16_t)w->index, mbufs, PORT_BURST);
	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	for (unsigned i = 0; i < n; i++) {
		mbufs[i]->port = (uint16_t)p; // our number from here on, not DPDK's
		octets += mbufs[i]->pkt_len;
		frame_input(w, mbufs[i]);
	}
	if (n != 0) {
		edge_count(&w->shared->rx_packets, n);
		edge_count(&w->shared->rx_octets, octets);
	}
	return n;
}

// A frame that another worker received: ours by steering, or what neighbours said.
static void steered_input(struct worker *w, struct rte_mbuf *m)
{
	struct frame f;
	enum drop why = parse(m, &f);

	if (why == DROP_NONE && f.kind == FRAME_TCP) {
		edge_count(&w->shared->steered_in, 1);
		tcp_frame_input(w, m, &f, snapshot_vserver_at(w->policy->snapshot, &f.ip.dst));
		return;
	}
	if (why == DROP_NONE) {
		neighbour_hear(w, m->port, &f);
	}
	rte_pktmbuf_free(m);
}

static unsigned poll_ring(struct worker *w, struct rte_ring *ring)
{
	void *frames[PORT_BURST];
	unsigned n = rte_ring_sc_dequeue_burst(ring, frames, PORT_BURST, NULL);

	for (unsigned i = 0; i < n; i++)
		steered_input(w, frames[i]);
	return n;
}

unsigned receive_poll(struct worker *w)
{
	unsigned seen = 0;

	for (unsigned p = 0; p < w->common->ports->count; p++)
		seen += poll_port(w, p);
	for (unsigned i = 0; i < w->edge->worker_count; i++) {
		if (w->steer_in[i] != NULL)
			seen += poll_ring(w, w->steer_in[i]);
	}
	return seen;
}
