#include "dataplane/receive.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_ring.h>

#include "dataplane/address.h"
#include "dataplane/admit.h"
#include "dataplane/fragment.h"
#include "dataplane/neighbour.h"
#include "dataplane/steer.h"
#include "dataplane/transmit.h"
#include "policy/class_table.h"

enum { CHUNK = CLASS_TABLE_BURST };

static const struct iface *iface_of(const struct worker *w, unsigned port)
{
	return &w->common->ports->ports[port].iface;
}

// Takes m.
static void refuse(struct worker *w, struct rte_mbuf *m, enum drop why)
{
	edge_account(w->shared, why);
	rte_pktmbuf_free(m);
}

// ---- ping

static void echo_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	enum drop why = address_check(w, m->port, &f->ip.dst);

	if (why != DROP_NONE) {
		refuse(w, m, why);
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

// To its owner, who may be we. landed: it came from a port, not out of fragments.
static void tcp_frame(struct worker *w, struct rte_mbuf *m, struct frame *f, bool landed)
{
	const struct rss_tuple flow = {&f->tcp.src, &f->tcp.dst, f->tcp.src_port, f->tcp.dst_port};
	enum drop why = address_check(w, m->port, &f->ip.dst);
	uint16_t vserver;
	unsigned owner;

	if (why != DROP_NONE) {
		refuse(w, m, why);
		return;
	}
	vserver = snapshot_vserver_at(w->policy->snapshot, &f->ip.dst);
	if (landed)
		steer_count_landing(w, vserver);
	owner = steer_owner(w, &flow, vserver);
	if (owner != w->index) {
		steer_to(w, m, owner);
		return;
	}
	tcp_frame_input(w, m, f, vserver);
}

// ---- ICMP errors

static void error_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	edge_account(w->shared, tcp_icmp(w->tcp, &f->error, w->now_us));
	rte_pktmbuf_free(m);
}

// To the owner of the flow that it quotes.
static void error_frame(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	const struct icmp_error *e = &f->error;
	const struct rss_tuple flow = {&e->peer, &e->local, e->peer_port, e->local_port};
	enum drop why = address_check(w, m->port, &f->ip.dst);
	unsigned owner;

	if (why != DROP_NONE) {
		refuse(w, m, why);
		return;
	}
	owner = steer_owner(w, &flow, snapshot_vserver_at(w->policy->snapshot, &e->local));
	if (owner != w->index)
		steer_to(w, m, owner);
	else
		error_input(w, m, f);
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
		return f->kind == FRAME_ARP || f->kind == FRAME_MLD || f->kind == FRAME_ND;
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

// ---- Fragments

// Put together from fragments: as if it had come so, but what must not come so (RFC 6980) and what is a fragment again.
static void whole_input(struct worker *w, struct rte_mbuf *m)
{
	struct frame f;
	enum drop why = parse(m, &f);

	if (why != DROP_NONE)
		refuse(w, m, why);
	else if (f.kind == FRAME_ECHO)
		echo_input(w, m, &f);
	else if (f.kind == FRAME_ICMP_ERROR)
		error_frame(w, m, &f);
	else if (f.kind == FRAME_TCP)
		tcp_frame(w, m, &f, false);
	else
		refuse(w, m, DROP_IP_BAD);
}

static void fragment_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	struct rte_mbuf *whole = fragment_join(w, m, f);

	if (whole != NULL)
		whole_input(w, whole);
}

// All fragments of a packet go to one worker, which is not that of its flow: the ports are in the first one only.
static void fragment_frame(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	const struct rss_tuple flow = {&f->ip.src, &f->ip.dst, (uint16_t)(f->ip.fragment.id >> 16),
		(uint16_t)f->ip.fragment.id};
	enum drop why = address_check(w, m->port, &f->ip.dst);
	unsigned owner;

	if (why != DROP_NONE) {
		refuse(w, m, why);
		return;
	}
	owner = steer_owner(w, &flow, snapshot_vserver_at(w->policy->snapshot, &f->ip.dst));
	if (owner != w->index)
		steer_to(w, m, owner);
	else
		fragment_input(w, m, f);
}

// ---- From ports and rings

static enum drop read_frame(struct worker *w, struct rte_mbuf *m, struct frame *f)
{
	enum drop why = untag(w, m);

	if (why == DROP_NONE)
		why = parse(m, f);
	if (why == DROP_NONE && !is_for_us(w, m->port, f))
		why = DROP_ETH_ADDRESS;
	return why;
}

static bool is_syn(const struct frame *f)
{
	return f->kind == FRAME_TCP &&
	       (f->tcp.flags & (SEGMENT_SYN | SEGMENT_ACK | SEGMENT_RST)) == SEGMENT_SYN;
}

static void frame_input(struct worker *w, struct rte_mbuf *m, struct frame *f, enum drop why)
{
	if (why != DROP_NONE) {
		refuse(w, m, why);
		return;
	}
	switch (f->kind) {
	case FRAME_ECHO:
		echo_input(w, m, f);
		break;
	case FRAME_ARP:
	case FRAME_MLD:
	case FRAME_ND:
		neighbour_input(w, m, f);
		break;
	case FRAME_TCP:
		tcp_frame(w, m, f, true);
		break;
	case FRAME_FRAGMENT:
		fragment_frame(w, m, f);
		break;
	case FRAME_ICMP_ERROR:
		error_frame(w, m, f);
		break;
	}
}

// As many as can be read before the first is acted on: their fields stay in the first cache.
static void chunk_input(struct worker *w, struct rte_mbuf **mbufs, unsigned n)
{
	struct frame frames[CHUNK];
	enum drop why[CHUNK];
	const struct ip_addr *askers[CHUNK];
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		why[i] = read_frame(w, mbufs[i], &frames[i]);
		if (why[i] == DROP_NONE && is_syn(&frames[i]))
			askers[count++] = &frames[i].tcp.src;
	}
	class_table_prefetch(w->policy->snapshot->class_table, askers, count);
	for (unsigned i = 0; i < n; i++)
		frame_input(w, mbufs[i], &frames[i], why[i]);
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
	}
	for (unsigned i = 0; i < n; i += CHUNK)
		chunk_input(w, mbufs + i, n - i < CHUNK ? n - i : CHUNK);
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

	if (parse(m, &f) != DROP_NONE) {
		rte_pktmbuf_free(m);
		return;
	}
	switch (f.kind) {
	case FRAME_TCP:
		edge_count(&w->shared->steered_in, 1);
		tcp_frame_input(w, m, &f, snapshot_vserver_at(w->policy->snapshot, &f.ip.dst));
		break;
	case FRAME_FRAGMENT:
		edge_count(&w->shared->steered_in, 1);
		fragment_input(w, m, &f);
		break;
	case FRAME_ICMP_ERROR:
		edge_count(&w->shared->steered_in, 1);
		error_input(w, m, &f);
		break;
	case FRAME_ARP:
	case FRAME_ECHO:
	case FRAME_MLD:
	case FRAME_ND:
		neighbour_hear(w, m->port, &f);
		rte_pktmbuf_free(m);
		break;
	}
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
