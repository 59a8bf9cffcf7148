#include "dataplane/neighbour.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/transmit.h"
#include "net/arp.h"
#include "net/nd.h"

enum {
	ASKS_PER_LOOP = 32,
};

static const struct iface *iface_of(const struct worker *w, unsigned port)
{
	return &w->common->ports->ports[port].iface;
}

static void drop_sent(struct worker *w, struct rte_mbuf *m)
{
	rte_pktmbuf_free(m);
	edge_count(&w->shared->tx_dropped, 1);
}

// ---- Asking

// The address of ours to ask target from: one of its subnet, else the link-local one or any of v4. NULL: none.
static const struct ip_addr *source_for(const struct iface *iface, const struct ip_addr *target)
{
	const struct ip_addr *any = NULL;

	for (uint16_t i = 0; i < iface->address_count; i++) {
		const struct iface_addr *own = &iface->addresses[i];

		if (ip_addr_is_v4(&own->addr) != ip_addr_is_v4(target))
			continue;
		if (iface_covers(own, target))
			return &own->addr;
		if (any == NULL || iface_is_link_local(&own->addr))
			any = &own->addr;
	}
	return any;
}

// dst_mac: NULL for all.
static uint32_t build_ask(const struct iface *iface, uint8_t *out, const struct ip_addr *target,
	const struct mac *dst_mac)
{
	const struct ip_addr *src = source_for(iface, target);

	if (src == NULL)
		return 0;
	if (ip_addr_is_v4(target))
		return arp_build_request(out, &(struct arp_ask){.sender_mac = iface->mac,
						      .sender = ip_addr_v4(src),
						      .target = ip_addr_v4(target),
						      .dst_mac = dst_mac});
	return nd_build_solicit(out,
		&(struct nd_solicit){
			.src_mac = iface->mac, .src = *src, .target = *target, .dst_mac = dst_mac});
}

// False: not now.
static bool ask(struct worker *w, const struct neigh_key *key, const struct mac *dst_mac)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->common->mbufs);

	if (m == NULL)
		return false;
	m->data_len = (uint16_t)build_ask(
		iface_of(w, key->nic_port), rte_pktmbuf_mtod(m, uint8_t *), &key->addr, dst_mac);
	m->pkt_len = m->data_len;
	if (m->data_len == 0) {
		rte_pktmbuf_free(m);
		return false;
	}
	transmit_frame(w, key->nic_port, m);
	return true;
}

void neighbour_send(struct worker *w, unsigned port, const struct ip_addr *to, struct rte_mbuf *m)
{
	struct neigh_key key = {*to, (uint8_t)port};
	struct neigh_answer answer = neigh_use(&w->neigh, &key, w->now_us);
	struct rte_mbuf *displaced;

	if (answer.known) {
		memcpy(rte_pktmbuf_mtod(m, uint8_t *), answer.mac.octets, 6);
		transmit_frame(w, port, m);
		return;
	}
	displaced = neigh_leave(&w->neigh, &key, m);
	if (displaced != NULL)
		drop_sent(w, displaced);
	if (answer.ask && !ask(w, &key, NULL))
		neigh_postpone(&w->neigh, &key, w->now_us);
}

void neighbour_poll(struct worker *w)
{
	struct neigh_ask due[ASKS_PER_LOOP];
	unsigned n = neigh_poll(&w->neigh, w->now_us, due, ASKS_PER_LOOP);

	for (unsigned i = 0; i < n; i++) {
		if (due[i].frame != NULL)
			drop_sent(w, due[i].frame);
		if (due[i].kind != NEIGH_GIVE_UP &&
			!ask(w, &due[i].key, due[i].kind == NEIGH_ASK_ONE ? &due[i].mac : NULL))
			neigh_postpone(&w->neigh, &due[i].key, w->now_us);
	}
}

void neighbour_start(struct worker *w)
{
	for (unsigned p = 0; p < w->common->ports->count; p++) {
		const struct iface *iface = iface_of(w, p);

		for (uint8_t i = 0; i < iface->gateway_count; i++)
			neigh_pin(&w->neigh, &(struct neigh_key){iface->gateways[i], (uint8_t)p},
				w->now_us);
	}
}

// ---- Learning

static void learn(struct worker *w, const struct neigh_word *word)
{
	const struct iface *iface = iface_of(w, word->key.nic_port);
	struct rte_mbuf *waiting;

	if (iface_has(iface, &word->key.addr) || !iface_is_on_link(iface, &word->key.addr))
		return;
	waiting = neigh_learn(&w->neigh, word, w->now_us);
	if (waiting == NULL)
		return;
	memcpy(rte_pktmbuf_mtod(waiting, uint8_t *), word->mac.octets, 6);
	transmit_frame(w, word->key.nic_port, waiting);
}

// What an ARP packet tells about its sender. One to us asks or answers, any other may announce.
static void arp_learn(struct worker *w, unsigned port, const struct arp *arp)
{
	struct ip_addr target = ip_addr_from_v4(arp->target);
	bool to_us = iface_has(iface_of(w, port), &target);
	struct neigh_word word = {.key = {ip_addr_from_v4(arp->sender), (uint8_t)port},
		.mac = arp->sender_mac,
		.has_mac = true,
		.overrides = true,
		.solicited = to_us && !arp->request,
		.asks_us = to_us && arp->request};

	if (arp->sender != 0)
		learn(w, &word);
}

// An advertisement tells about its target, a solicitation to us about its source.
static void nd_learn(struct worker *w, unsigned port, const struct frame *f, const struct nd *nd)
{
	struct neigh_word word = {.key = {nd->target, (uint8_t)port},
		.mac = nd->mac,
		.has_mac = nd->has_mac,
		.overrides = nd->overrides,
		.solicited = nd->solicited};

	if (nd->solicitation) {
		if (!nd->has_mac || !iface_has(iface_of(w, port), &nd->target))
			return;
		word.key.addr = f->ip.src;
		word.overrides = word.asks_us = true;
	}
	learn(w, &word);
}

// All workers hear what one received.
static void tell_others(struct worker *w, struct rte_mbuf *m)
{
	for (unsigned i = 0; i < w->edge->worker_count; i++) {
		struct rte_mbuf *copy;

		if (w->steer_out[i] == NULL)
			continue;
		copy = rte_pktmbuf_copy(m, w->common->mbufs, 0, UINT32_MAX);
		if (copy != NULL && rte_ring_sp_enqueue(w->steer_out[i], copy) != 0)
			rte_pktmbuf_free(copy);
	}
}

// ---- Answering

// Room in m for an answer in the place of the question.
static bool has_room(const struct rte_mbuf *m, uint32_t octets)
{
	return m->data_len + rte_pktmbuf_tailroom(m) >= octets;
}

static void answer(struct worker *w, struct rte_mbuf *m, uint32_t octets)
{
	m->data_len = (uint16_t)octets;
	m->pkt_len = octets;
	m->ol_flags = 0;
	transmit_frame(w, m->port, m);
}

static void arp_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	const struct iface *iface = iface_of(w, m->port);
	struct ip_addr target;
	struct arp arp;
	enum drop why = arp_parse(f, &arp);

	edge_account(w->shared, why);
	if (why != DROP_NONE) {
		rte_pktmbuf_free(m);
		return;
	}
	arp_learn(w, m->port, &arp);
	tell_others(w, m);
	target = ip_addr_from_v4(arp.target);
	if (!arp.request || !iface_has(iface, &target) || !has_room(m, ARP_FRAME_OCTETS)) {
		rte_pktmbuf_free(m);
		return;
	}
	answer(w, m, arp_build_reply(rte_pktmbuf_mtod(m, uint8_t *), iface->mac, arp.target, &arp));
}

static void nd_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	const struct iface *iface = iface_of(w, m->port);
	struct nd_advert advert = {.mac = iface->mac, .dst_mac = f->src_mac, .overrides = true};
	struct nd nd;
	enum drop why = nd_parse(f, &nd);

	edge_account(w->shared, why);
	if (why != DROP_NONE) {
		rte_pktmbuf_free(m);
		return;
	}
	if (nd.solicitation && !iface_has(iface, &nd.target)) {
		rte_pktmbuf_free(m); // for somebody else
		return;
	}
	nd_learn(w, m->port, f, &nd);
	tell_others(w, m);
	if (!nd.solicitation || !has_room(m, ND_FRAME_OCTETS_MAX)) {
		rte_pktmbuf_free(m);
		return;
	}
	advert.target = nd.target;
	advert.dst = nd_is_probe(f, &nd) ? NULL : &f->ip.src;
	if (nd.has_mac)
		advert.dst_mac = nd.mac;
	answer(w, m, nd_build_advert(rte_pktmbuf_mtod(m, uint8_t *), &advert));
}

void neighbour_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	if (f->kind == FRAME_ARP)
		arp_input(w, m, f);
	else
		nd_input(w, m, f);
}

void neighbour_hear(struct worker *w, unsigned port, const struct frame *f)
{
	struct arp arp;
	struct nd nd;

	if (f->kind == FRAME_ARP && arp_parse(f, &arp) == DROP_NONE)
		arp_learn(w, port, &arp);
	else if (f->kind == FRAME_ND && nd_parse(f, &nd) == DROP_NONE)
		nd_learn(w, port, f, &nd);
}
