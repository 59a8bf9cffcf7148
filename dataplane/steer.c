#include "dataplane/steer.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

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

unsigned steer_owner(const struct worker *w, const struct rss_tuple *flow, uint16_t vserver)
{
	uint64_t mask;
	unsigned workers;

	if (w->edge->worker_count == 1)
		return 0;
	mask = workers_of(w, vserver);
	workers = (unsigned)__builtin_popcountll(mask);
	return nth_worker(mask, rss_pick(rss_hash(&w->common->ports->rss, flow), workers));
}

void steer_to(struct worker *w, struct rte_mbuf *m, unsigned owner)
{
	port_vouch(m); // checksums are verified; the owner need not do it again
	if (rte_ring_sp_enqueue(w->steer_out[owner], m) != 0) {
		edge_account(w->shared, DROP_RING_FULL);
		rte_pktmbuf_free(m);
		return;
	}
	edge_count(&w->shared->steered_out, 1);
}

void steer_count_landing(struct worker *w, uint16_t vserver)
{
	struct edge_vserver_counters *c;

	if (w->edge->worker_count == 1 || vserver == SNAPSHOT_NO_VSERVER)
		return;
	c = &w->shared->vservers[w->policy->slot[vserver]];
	edge_count(workers_of(w, vserver) >> w->index & 1 ? &c->landed : &c->strayed, 1);
}
