#include "dataplane/address.h"

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_random.h>

#include "dataplane/transmit.h"

enum {
	DELAY_MAX_US =
		100000, // before the first probe, so that machines that start together do not speak together
	MLD_UNASKED = 2,          // reports at the start (RFC 3810 9.14)
	MLD_UNASKED_US = 1500000, // by then the link-local address is verified (RFC 3590 4)
};

struct own {
	struct dad dad;
	uint8_t nonce[ND_NONCE_OCTETS]; // of the last probe (RFC 7527)
};

struct membership {
	uint64_t due_us; // UINT64_MAX: nothing
	uint8_t unasked; // reports still to be sent without a query
	bool v1;
};

struct address_set {
	uint64_t next_due_us;
	uint32_t ups[LIMIT_PORTS]; // of struct edge_link, as seen last
	struct own own[LIMIT_PORTS][IFACE_ADDRESSES];
	struct membership memberships[LIMIT_PORTS];
};

static const struct iface *iface_of(const struct worker *w, unsigned port)
{
	return &w->common->ports->ports[port].iface;
}

struct address_set *address_make(void)
{
	return rte_zmalloc("addresses", sizeof(struct address_set), 64);
}

// ---- Speaking

static void send(struct worker *w, unsigned port, struct rte_mbuf *m, uint32_t octets)
{
	m->data_len = (uint16_t)octets;
	m->pkt_len = octets;
	transmit_frame(w, port, m);
}

static uint32_t build_probe(
	const struct iface *iface, const struct ip_addr *addr, struct own *own, uint8_t *out)
{
	uint64_t random = rte_rand();
	struct nd_solicit what = {.src_mac = iface->mac, .target = *addr};

	if (ip_addr_is_v4(addr))
		return arp_build_request(out,
			&(struct arp_ask){.sender_mac = iface->mac, .target = ip_addr_v4(addr)});
	memcpy(own->nonce, &random, sizeof(own->nonce));
	memcpy(what.nonce, own->nonce, sizeof(own->nonce));
	return nd_build_solicit(out, &what);
}

static uint32_t build_announcement(
	const struct iface *iface, const struct ip_addr *addr, uint8_t *out)
{
	if (ip_addr_is_v4(addr))
		return arp_build_request(out, &(struct arp_ask){.sender_mac = iface->mac,
						      .sender = ip_addr_v4(addr),
						      .target = ip_addr_v4(addr)});
	return nd_build_advert(
		out, &(struct nd_advert){.mac = iface->mac, .target = *addr, .overrides = true});
}

static void publish(struct worker *w, unsigned port, int i)
{
	atomic_store_explicit(&w->edge->links[port].addresses[i].state,
		w->addresses->own[port][i].dad.state, memory_order_relaxed);
}

static void act(struct worker *w, unsigned port, int i, enum dad_effect effect)
{
	const struct iface *iface = iface_of(w, port);
	struct own *own = &w->addresses->own[port][i];
	struct rte_mbuf *m;
	uint8_t *out;

	publish(w, port, i);
	if (own->dad.due_us < w->addresses->next_due_us)
		w->addresses->next_due_us = own->dad.due_us;
	if (effect == DAD_NOTHING)
		return;
	m = rte_pktmbuf_alloc(w->common->mbufs);
	if (m == NULL)
		return; // as if the link had lost it
	out = rte_pktmbuf_mtod(m, uint8_t *);
	send(w, port, m,
		effect == DAD_PROBE ? build_probe(iface, &iface->addresses[i].addr, own, out)
				    : build_announcement(iface, &iface->addresses[i].addr, out));
}

// ---- Multicast groups

// The groups of the addresses from *at on, each once as far as this report goes. Returns how many.
static uint16_t gather_groups(
	const struct iface *iface, uint16_t *at, struct ip_addr groups[MLD_GROUPS], uint16_t most)
{
	uint16_t count = 0;

	for (; *at < iface->address_count && count < most; (*at)++) {
		struct ip_addr group = nd_solicited_node(&iface->addresses[*at].addr);
		uint16_t i = 0;

		if (ip_addr_is_v4(&iface->addresses[*at].addr))
			continue;
		while (i < count && !ip_addr_eq(&groups[i], &group))
			i++;
		if (i == count)
			groups[count++] = group;
	}
	return count;
}

// RFC 3590: unspecified while the link-local address is not verified.
static struct ip_addr report_source(const struct worker *w, unsigned port)
{
	const struct iface *iface = iface_of(w, port);
	int last = iface->address_count - 1;

	if (address_state(w, port, last) == DAD_OWNED &&
		iface_is_link_local(&iface->addresses[last].addr))
		return iface->addresses[last].addr;
	return (struct ip_addr){{0}};
}

static void report_groups(struct worker *w, unsigned port)
{
	const struct membership *membership = &w->addresses->memberships[port];
	struct ip_addr groups[MLD_GROUPS];
	struct mld_report report = {.src_mac = iface_of(w, port)->mac,
		.src = report_source(w, port),
		.groups = groups,
		.joins = membership->unasked > 0};
	uint16_t at = 0;

	for (;;) {
		struct rte_mbuf *m;
		uint8_t *out;

		report.count = gather_groups(
			iface_of(w, port), &at, groups, membership->v1 ? 1 : MLD_GROUPS);
		m = report.count > 0 ? rte_pktmbuf_alloc(w->common->mbufs) : NULL;
		if (m == NULL)
			return;
		out = rte_pktmbuf_mtod(m, uint8_t *);
		send(w, port, m,
			membership->v1 ? mld_build_report_v1(out, &report)
				       : mld_build_report(out, &report));
	}
}

static void poll_membership(struct worker *w, unsigned port)
{
	struct membership *membership = &w->addresses->memberships[port];

	if (w->now_us >= membership->due_us) {
		report_groups(w, port);
		membership->v1 = false;
		membership->due_us = UINT64_MAX;
		if (membership->unasked > 0 && --membership->unasked > 0)
			membership->due_us = w->now_us + MLD_UNASKED_US;
	}
	if (membership->due_us < w->addresses->next_due_us)
		w->addresses->next_due_us = membership->due_us;
}

void address_hear_mld(struct worker *w, unsigned port, const struct mld_query *query)
{
	struct membership *membership = &w->addresses->memberships[port];
	uint64_t due_us = w->now_us + rte_rand_max(query->within_ms * UINT64_C(1000) + 1);

	membership->v1 = membership->v1 || query->v1;
	if (due_us < membership->due_us)
		membership->due_us = due_us;
	if (due_us < w->addresses->next_due_us)
		w->addresses->next_due_us = due_us;
}

// ---- Life

static void start_port(struct worker *w, unsigned port)
{
	const struct iface *iface = iface_of(w, port);

	w->addresses->memberships[port] =
		(struct membership){.due_us = w->now_us, .unasked = MLD_UNASKED};
	for (int i = 0; i < iface->address_count; i++)
		dad_start(&w->addresses->own[port][i].dad,
			!ip_addr_is_v4(&iface->addresses[i].addr),
			w->now_us + rte_rand_max(DELAY_MAX_US));
	w->addresses->next_due_us = w->now_us;
}

void address_start(struct worker *w)
{
	for (unsigned p = 0; w->addresses != NULL && p < w->common->ports->count; p++)
		start_port(w, p);
}

// Behind a link that came up there may be another network.
static void watch_links(struct worker *w)
{
	for (unsigned p = 0; p < w->common->ports->count; p++) {
		uint32_t ups = atomic_load_explicit(&w->edge->links[p].ups, memory_order_relaxed);

		if (ups == w->addresses->ups[p])
			continue;
		w->addresses->ups[p] = ups;
		start_port(w, p);
	}
}

void address_poll(struct worker *w)
{
	struct address_set *set = w->addresses;

	if (set == NULL)
		return;
	watch_links(w);
	if (w->now_us < set->next_due_us)
		return;
	set->next_due_us = UINT64_MAX;
	for (unsigned p = 0; p < w->common->ports->count; p++) {
		poll_membership(w, p);
		for (int i = 0; i < iface_of(w, p)->address_count; i++)
			act(w, p, i, dad_tick(&set->own[p][i].dad, w->now_us));
	}
}

enum drop address_check(const struct worker *w, unsigned port, const struct ip_addr *dst)
{
	for (unsigned p = 0; p < w->common->ports->count; p++) {
		int i = iface_find(iface_of(w, p), dst);

		if (i >= 0 && (p == port || !iface_is_link_local(dst)))
			return address_is_usable(w, p, i) ? DROP_NONE : DROP_IP_TAKEN;
	}
	return DROP_IP_NOT_OURS;
}

// ---- Others

static void conflict(struct worker *w, unsigned port, int i, struct mac mac)
{
	struct edge_address *seen = &w->edge->links[port].addresses[i];

	atomic_store_explicit(&seen->other_mac, edge_mac(mac.octets), memory_order_relaxed);
	edge_count(&seen->conflicts, 1);
	act(w, port, i, dad_conflict(&w->addresses->own[port][i].dad, w->now_us));
}

// RFC 5227 2.1.1 and 2.4: somebody uses the address, or probes for it while we do.
void address_hear_arp(struct worker *w, unsigned port, const struct arp *arp)
{
	const struct iface *iface = iface_of(w, port);
	struct ip_addr claimed = ip_addr_from_v4(arp->sender != 0 ? arp->sender : arp->target);
	int i = iface_find(iface, &claimed);

	if (i < 0 || memcmp(arp->sender_mac.octets, iface->mac.octets, 6) == 0)
		return;
	if (arp->sender != 0 || (arp->request && address_state(w, port, i) == DAD_PROBING))
		conflict(w, port, i, arp->sender_mac);
}

// RFC 4862 5.4.3 and 5.4.4. Our own probe, which some switches send back, carries our nonce.
void address_hear_nd(struct worker *w, unsigned port, const struct frame *f, const struct nd *nd)
{
	const struct iface *iface = iface_of(w, port);
	int i = iface_find(iface, &nd->target);
	bool echo;

	if (i < 0 || (nd->solicitation && !nd_is_probe(f, nd)))
		return;
	echo = nd->has_nonce
		       ? memcmp(nd->nonce, w->addresses->own[port][i].nonce, ND_NONCE_OCTETS) == 0
		       : memcmp(f->src_mac.octets, iface->mac.octets, 6) == 0;
	if (echo || (nd->solicitation && address_state(w, port, i) == DAD_OWNED))
		return;
	conflict(w, port, i, nd->has_mac ? nd->mac : f->src_mac);
}
