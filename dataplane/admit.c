#include "dataplane/admit.h"

#include "policy/class_table.h"
#include "policy/policy.h"

enum {
	REFUSALS_LOGGED_PER_S = 100, // refusals that become log lines; all are counted
};

static void log_refusal(struct worker *w, const struct segment *s, struct policy_client client,
	enum policy_rule rule)
{
	struct log_record r = {.wall_us = w->wall_us,
		.event = LOG_CONNECT_REFUSED,
		.client = s->src,
		.local = s->dst,
		.client_port = s->src_port,
		.local_port = s->dst_port,
		.verdict = POLICY_REFUSE,
		.rule = (uint8_t)rule,
		.epoch = w->policy->snapshot->epoch,
		.class = client.class,
		.vserver = client.vserver};

	worker_log(w, &r);
}

static bool is_to_be_logged(struct worker *w)
{
	uint64_t second = w->now_us / 1000000;

	if (second != w->refusals_logged_s) {
		w->refusals_logged_s = second;
		w->refusals_logged = 0;
	}
	if (w->refusals_logged == REFUSALS_LOGGED_PER_S)
		return false;
	w->refusals_logged++;
	return true;
}

// refuse: reply takes the handshake and is refused by conn.c.
static enum tcp_welcome by_policy(struct worker *w, const struct segment *s, uint16_t vserver)
{
	const struct snapshot *snapshot = w->policy->snapshot;
	enum config_refuse refuse = snapshot->vservers[vserver].refuse;
	struct policy_client client = {
		.vserver = vserver, .class = class_table_lookup(snapshot->class_table, &s->src)};
	struct policy_verdict verdict = policy_connect(snapshot, client);

	// What hangs on the client's name is judged before the greeting.
	if (verdict.kind != POLICY_REFUSE || refuse == CONFIG_REFUSE_REPLY)
		return TCP_WELCOME;
	edge_count(&w->shared->vservers[w->policy->slot[vserver]].refused_connect, 1);
	if (is_to_be_logged(w))
		log_refusal(w, s, client, verdict.rule);
	return refuse == CONFIG_REFUSE_DROP ? TCP_IGNORE : TCP_REFUSE;
}

static bool is_draining(const struct worker *w)
{
	return atomic_load_explicit(&w->edge->draining, memory_order_relaxed);
}

static uint8_t state_of(const struct worker *w, uint16_t vserver)
{
	return atomic_load_explicit(
		&w->edge->vservers[w->policy->slot[vserver]].state, memory_order_relaxed);
}

enum tcp_welcome admit_syn(
	struct worker *w, const struct segment *syn, uint16_t vserver, enum drop *why)
{
	uint8_t state = state_of(w, vserver);
	enum tcp_welcome welcome;

	*why = DROP_VSERVER_CLOSED;
	if (state == EDGE_PAUSED)
		return TCP_IGNORE;
	if (state != EDGE_RUNNING || is_draining(w))
		return TCP_REFUSE;
	*why = DROP_CONN_REFUSED;
	welcome = by_policy(w, syn, vserver);
	if (welcome != TCP_WELCOME || w->pressure.level < PRESSURE_REFUSE)
		return welcome;
	// Without a word, so that it is asked again a second later.
	*why = DROP_CONN_PRESSURE;
	return TCP_IGNORE;
}

enum tcp_welcome admit_cookie(void *worker, const struct segment *s, uint64_t now_us)
{
	struct worker *w = worker;
	uint16_t vserver;

	(void)now_us;
	if (s->flags & SEGMENT_SYN)
		return TCP_WELCOME;
	// Somebody listens there, or nobody would have asked. A pause lets handshakes that have begun come to their end.
	vserver = snapshot_vserver_at(w->policy->snapshot, &s->dst);
	if (state_of(w, vserver) > EDGE_PAUSED || is_draining(w) ||
		w->pressure.level >= PRESSURE_REFUSE)
		return TCP_REFUSE;
	return by_policy(w, s, vserver);
}
