#include "dataplane/neighbour.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/address.h"
#include "dataplane/transmit.h"

enum {
	ASKS_PER_LOOP = 32,
	PUBLISH_US = 100000,
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

// The address of ours to ask target from: one of its subnet, else the link-local one or any of v4. NULL: none. An IPv6 address
// asks nothing before it is known to be ours (RFC 4429 3.2).
static const struct ip_addr *source_for(
	const struct worker *w, unsigned port, const struct ip_addr *target)
{
	const struct iface *iface = iface_of(w, port);
	const struct ip_addr *any = NULL;

	for (uint16_t i = 0; i < iface->address_count; i++) {
		const struct iface_addr *own = &iface->addresses[i];

		if (ip_addr_is_v4(&own->addr) != ip_addr_is_v4(target))
			continue;
		if (!ip_addr_is_v4(target) && address_state(w, port, i) != DAD_OWNED)
			continue;
		if (iface_covers(own, target))
			return &own->addr;
		if (any == NULL || iface_is_link_local(&own->addr))
			any = &own->addr;
	}
	return any;
}

// dst_mac: NULL for all. False: not now.
static bool ask(struct worker *w, const struct neigh_key *key, const struct mac *dst_mac)
{
	const struct ip_addr *src = source_for(w, key->nic_port, &key->addr);
	struct rte_mbuf *m = src != NULL ? rte_pktmbuf_alloc(w->common->mbufs) : NULL;
	struct mac mac = iface_of(w, key->nic_port)->mac;
	uint8_t *out;

	if (m == NULL)
		return false;
	out = rte_pktmbuf_mtod(m, uint8_t *);
	if (ip_addr_is_v4(src))
		m->data_len =
			(uint16_t)arp_build_request(out, &(struct arp_ask){.sender_mac = mac,
								 .sender = ip_addr_v4(src),
								 .target = ip_addr_v4(&key->addr),
								 .dst_mac = dst_mac});
	else
		m->data_len = (uint16_t)nd_build_solicit(out, &(struct nd_solicit){.src_mac = mac,
								      .src = *src,
								      .target = key->addr,
								      .dst_mac = dst_mac});
	m->pkt_len = m->data_len;
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

// ---- Gateways, for status

static enum edge_gateway_state gateway_state(const struct neigh *n)
{
	if (n->state == NEIGH_INCOMPLETE)
		return n->silent ? EDGE_GATEWAY_UNREACHABLE : EDGE_GATEWAY_ASKED;
	return n->state == NEIGH_REACHABLE ? EDGE_GATEWAY_REACHABLE : EDGE_GATEWAY_CHECKED;
}

static void publish_gateway(struct worker *w, unsigned port, unsigned i)
{
	struct edge_gateway *to = &w->edge->links[port].gateways[i];
	struct neigh_key key = {iface_of(w, port)->gateways[i], (uint8_t)port};
	const struct neigh *n = neigh_look(&w->neigh, &key);

	atomic_store_explicit(&to->state, gateway_state(n), memory_order_relaxed);
	atomic_store_explicit(&to->mac, n->state != NEIGH_INCOMPLETE ? edge_mac(n->mac.octets) : 0,
		memory_order_relaxed);
}

static void publish_gateways(struct worker *w)
{
	if (w->addresses == NULL || w->now_us < w->gateways_due_us)
		return; // one worker's word is enough
	w->gateways_due_us = w->now_us + PUBLISH_US;
	for (unsigned p = 0; p < w->common->ports->count; p++) {
		for (uint8_t i = 0; i < iface_of(w, p)->gateway_count; i++)
			publish_gateway(w, p, i);
	}
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
	publish_gateways(w);
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

static void hear_arp(struct worker *w, unsigned port, const struct arp *arp)
{
	arp_learn(w, port, arp);
	if (w->addresses != NULL)
		address_hear_arp(w, port, arp);
}

static void hear_nd(struct worker *w, unsigned port, const struct frame *f, const struct nd *nd)
{
	nd_learn(w, port, f, nd);
	if (w->addresses != NULL)
		address_hear_nd(w, port, f, nd);
}

static void hear_mld(struct worker *w, unsigned port, const struct mld_query *query)
{
	if (w->addresses != NULL)
		address_hear_mld(w, port, query);
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
	struct ip_addr sender, target;
	struct arp arp;
	enum drop why = arp_parse(f, &arp);

	edge_account(w->shared, why);
	if (why != DROP_NONE) {
		rte_pktmbuf_free(m);
		return;
	}
	tell_others(w, m);
	hear_arp(w, m->port, &arp);
	sender = ip_addr_from_v4(arp.sender);
	target = ip_addr_from_v4(arp.target);
	// Who claims our address asks nothing; address.c deals with it.
	if (!arp.request || !iface_has(iface, &target) || iface_has(iface, &sender) ||
		!has_room(m, ARP_FRAME_OCTETS)) {
		rte_pktmbuf_free(m);
		return;
	}
	answer(w, m, arp_build_reply(rte_pktmbuf_mtod(m, uint8_t *), iface->mac, arp.target, &arp));
}

// Over IPv6 an address that is still being probed does not answer the probe of another station, and overrides nothing (RFC 4429
// 3.3); one that is taken does not answer.
static void nd_answer(
	struct worker *w, struct rte_mbuf *m, const struct frame *f, const struct nd *nd)
{
	const struct iface *iface = iface_of(w, m->port);
	int i = iface_find(iface, &nd->target);
	uint8_t state = address_state(w, m->port, i);
	bool probe = nd_is_probe(f, nd);
	struct nd_advert advert = {.mac = iface->mac,
		.target = nd->target,
		.dst = probe ? NULL : &f->ip.src,
		.dst_mac = nd->has_mac ? nd->mac : f->src_mac,
		.overrides = state == DAD_OWNED};

	if (state == DAD_TAKEN || (probe && state == DAD_PROBING) ||
		!has_room(m, ND_FRAME_OCTETS_MAX)) {
		rte_pktmbuf_free(m);
		return;
	}
	answer(w, m, nd_build_advert(rte_pktmbuf_mtod(m, uint8_t *), &advert));
}

static void nd_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	struct nd nd;
	enum drop why = nd_parse(f, &nd);
	bool ours = why == DROP_NONE && iface_has(iface_of(w, m->port), &nd.target);

	edge_account(w->shared, why);
	if (why != DROP_NONE || (nd.solicitation && !ours)) {
		rte_pktmbuf_free(m);
		return;
	}
	tell_others(w, m);
	hear_nd(w, m->port, f, &nd);
	if (nd.solicitation)
		nd_answer(w, m, f, &nd);
	else
		rte_pktmbuf_free(m);
}

static void mld_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	struct mld_query query;
	enum drop why = mld_parse(f, &query);

	edge_account(w->shared, why);
	if (why == DROP_NONE) {
		tell_others(w, m);
		hear_mld(w, m->port, &query);
	}
	rte_pktmbuf_free(m);
}

void neighbour_input(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	if (f->kind == FRAME_ARP)
		arp_input(w, m, f);
	else if (f->kind == FRAME_ND)
		nd_input(w, m, f);
	else
		mld_input(w, m, f);
}

void neighbour_hear(struct worker *w, unsigned port, const struct frame *f)
{
	struct arp arp;
	struct nd nd;
	struct mld_query query;

	if (f->kind == FRAME_ARP && arp_parse(f, &arp) == DROP_NONE)
		hear_arp(w, port, &arp);
	else if (f->kind == FRAME_ND && nd_parse(f, &nd) == DROP_NONE)
		hear_nd(w, port, f, &nd);
	else if (f->kind == FRAME_MLD && mld_parse(f, &query) == DROP_NONE)
		hear_mld(w, port, &query);
}
