#include "dataplane/conn_admit.h"

#include "dataplane/conn_name.h"
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

// Connection control's word. DEFER: it hangs on the client's names, which are on their way (c->name_wait) or cannot be found out.
static enum policy_kind connect_kind(struct worker *w, struct conn *c)
{
	const struct snapshot *snapshot = w->policy->snapshot;
	struct policy_client client = {.vserver = c->vserver, .class = c->class};
	const enum policy_kind kind = policy_connect(snapshot, client).kind;

	if (kind != POLICY_DEFER || !conn_name_resolve(w, c, &client.names))
		return kind;
	return policy_connect(snapshot, client).kind;
}

static uint64_t open_sessions(const struct worker *w, uint16_t slot)
{
	uint64_t open = 0;

	for (unsigned i = 0; i < w->edge->worker_count; i++)
		open += atomic_load_explicit(
			&w->edge->workers[i]->vservers[slot].open, memory_order_relaxed);
	return open;
}

static bool is_refused_by_address(const struct worker *w, const struct conn *c)
{
	const struct policy_client client = {.vserver = c->vserver, .class = c->class};

	return policy_connect(w->policy->snapshot, client).kind == POLICY_REFUSE;
}

enum smtp_reply conn_admit_by_name(struct worker *w, struct conn *c)
{
	switch (connect_kind(w, c)) {
	case POLICY_ACCEPT:
		c->welcome = true;
		return SMTP_REPLY_GREETING;
	case POLICY_REFUSE:
		return SMTP_REPLY_CONNECT_REFUSED;
	case POLICY_DEFER:
		break;
	}
	return c->name_wait ? SMTP_REPLY_NONE : SMTP_REPLY_NAME_UNKNOWN;
}

enum smtp_reply conn_admit(struct worker *w, struct conn *c)
{
	const struct config_vserver *limits = w->policy->snapshot->vservers[c->vserver].config;
	uint16_t port;

	if (is_refused_by_address(w, c))
		return SMTP_REPLY_CONNECT_REFUSED;
	c->counted = true;
	edge_count(&conn_admit_counters(w, c)->open, 1);
	edge_count(&w->shared->sessions, 1);
	if (client_count_add(w->clients, tcp_conn_peer(conn_tcp(c), &port), c->slot) >
		limits->max_connections_per_client)
		return SMTP_REPLY_TOO_MANY_CONNECTIONS;
	if (open_sessions(w, c->slot) > limits->max_connections)
		return SMTP_REPLY_TOO_MANY_CONNECTIONS;
	return conn_admit_by_name(w, c);
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

static bool is_going_down(const struct worker *w, const struct conn *c)
{
	return state_of(w, c) >= EDGE_DRAINING ||
	       atomic_load_explicit(&w->edge->draining, memory_order_relaxed);
}

// By a name it is let in for as long as the answer lives, so that has to be looked at again. False: it got 421, or waits.
static bool is_still_welcome(struct worker *w, struct conn *c)
{
	if (c->welcome && !w->policy->snapshot->vservers[c->vserver].connect_names)
		return true;
	switch (connect_kind(w, c)) {
	case POLICY_ACCEPT:
		c->welcome = true;
		return true;
	case POLICY_REFUSE:
		conn_say_end(w, c, SMTP_REPLY_NO_LONGER_ALLOWED);
		return false;
	case POLICY_DEFER:
		break;
	}
	if (!c->name_wait)
		conn_say_end(w, c, SMTP_REPLY_NAME_UNKNOWN);
	return false;
}

bool conn_admit_still(struct worker *w, struct conn *c)
{
	bool is_ours = conn_admit_follow(w, c);

	if (is_in_message(c))
		return true; // the message that is on its way was accepted
	if (is_ours && !is_going_down(w, c))
		return is_still_welcome(w, c);
	conn_say_end(w, c, SMTP_REPLY_SHUTTING_DOWN);
	return false;
}

// A session inside a transaction hears of a drain at its next command, of a stop at once; one inside a message at its end.
static bool hears_now(const struct worker *w, const struct conn *c)
{
	if (c->closing || c->name_wait || is_in_message(c))
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
