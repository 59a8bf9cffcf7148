#include "dataplane/conn_admit.h"

#include "dataplane/conn_say.h"
#include "policy/class_table.h"
#include "policy/policy.h"

enum { WALK_STEP = 256 };

// ---- Birth

static void resolve(struct worker *w, struct conn *c)
{
	const struct snapshot *snapshot = w->policy->snapshot;
	uint16_t port;
	const struct ip_addr *local = tcp_conn_local(conn_tcp(c), &port);

	c->epoch = snapshot->epoch;
	c->welcome = false;
	c->vserver = snapshot_vserver_at(snapshot, local);
	if (c->vserver == SNAPSHOT_NO_VSERVER ||
		!snapshot_listens(snapshot, c->vserver, local, port)) {
		c->vserver = SNAPSHOT_NO_VSERVER;
		return;
	}
	c->slot = w->policy->slot[c->vserver];
	c->class = class_table_lookup(snapshot->class_table, tcp_conn_peer(conn_tcp(c), &port));
}

bool conn_admit_resolve(struct worker *w, struct conn *c)
{
	resolve(w, c);
	return c->vserver != SNAPSHOT_NO_VSERVER;
}

static bool may_connect(const struct worker *w, const struct conn *c)
{
	struct policy_client client = {c->vserver, c->class};

	return c->vserver != SNAPSHOT_NO_VSERVER &&
	       policy_connect(w->policy->snapshot, client).kind == POLICY_ACCEPT;
}

static uint64_t open_sessions(const struct worker *w, uint16_t slot)
{
	uint64_t open = 0;

	for (unsigned i = 0; i < w->edge->worker_count; i++)
		open += atomic_load_explicit(
			&w->edge->workers[i]->vservers[slot].open, memory_order_relaxed);
	return open;
}

enum smtp_reply conn_admit(struct worker *w, struct conn *c)
{
	const struct config_vserver *limits = w->policy->snapshot->vservers[c->vserver].config;
	uint16_t port;

	if (!may_connect(w, c))
		return SMTP_REPLY_CONNECT_REFUSED;
	c->welcome = true;
	c->counted = true;
	edge_count(&conn_admit_counters(w, c)->open, 1);
	edge_count(&w->shared->sessions, 1);
	if (client_count_add(w->clients, tcp_conn_peer(conn_tcp(c), &port), c->slot) >
		limits->max_connections_per_client)
		return SMTP_REPLY_TOO_MANY_CONNECTIONS;
	if (open_sessions(w, c->slot) > limits->max_connections)
		return SMTP_REPLY_TOO_MANY_CONNECTIONS;
	return SMTP_REPLY_GREETING;
}

void conn_admit_uncount(struct worker *w, struct conn *c)
{
	uint16_t port;

	if (!c->counted)
		return;
	c->counted = false;
	edge_count(&conn_admit_counters(w, c)->open, UINT64_MAX);
	edge_count(&w->shared->sessions, UINT64_MAX);
	(void)client_count_remove(w->clients, tcp_conn_peer(conn_tcp(c), &port), c->slot);
}

// ---- Changes that act at once

bool conn_admit_follow(struct worker *w, struct conn *c)
{
	uint16_t slot = c->slot;

	if (c->epoch == w->policy->snapshot->epoch)
		return !c->vserver_gone;
	resolve(w, c);
	c->vserver_gone = c->vserver == SNAPSHOT_NO_VSERVER || c->slot != slot;
	c->slot = slot; // counters stay with the virtual server that counted the session
	if (c->vserver_gone)
		c->vserver = 0; // for the name in its last replies; there is always one
	return !c->vserver_gone;
}

static uint8_t state_of(const struct worker *w, const struct conn *c)
{
	return atomic_load_explicit(&w->edge->vservers[c->slot].state, memory_order_relaxed);
}

static bool is_in_message(const struct conn *c)
{
	return c->smtp.state == SMTP_ST_BODY || c->smtp.state == SMTP_ST_COMMIT;
}

bool conn_admit_still(struct worker *w, struct conn *c)
{
	bool is_ours = conn_admit_follow(w, c);

	if (is_in_message(c))
		return true; // the message that is on its way was accepted
	if (!is_ours) {
		conn_say_end(w, c, SMTP_REPLY_SHUTTING_DOWN);
		return false;
	}
	if (!c->welcome && !may_connect(w, c)) {
		conn_say_end(w, c, SMTP_REPLY_NO_LONGER_ALLOWED);
		return false;
	}
	c->welcome = true;
	if (state_of(w, c) < EDGE_DRAINING &&
		!atomic_load_explicit(&w->edge->draining, memory_order_relaxed))
		return true;
	conn_say_end(w, c, SMTP_REPLY_SHUTTING_DOWN);
	return false;
}

// A session inside a transaction hears of a drain at its next command, of a stop at once; one inside a message at its end.
static bool hears_now(const struct worker *w, const struct conn *c)
{
	if (c->closing || is_in_message(c))
		return false;
	return c->smtp.state <= SMTP_ST_READY || state_of(w, c) == EDGE_STOPPED;
}

bool conn_admit_walk(struct worker *w)
{
	for (int i = 0; i < WALK_STEP; i++) {
		struct tcp_conn *tcp;

		if (w->walk_cursor >= tcp_conn_slots(w->tcp))
			return false;
		tcp = tcp_conn_at(w->tcp, w->walk_cursor++);
		if (tcp != NULL && hears_now(w, tcp_conn_app(tcp)))
			(void)conn_admit_still(w, tcp_conn_app(tcp));
	}
	return true;
}
