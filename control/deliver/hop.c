#include "deliver/hop.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/hop_conn.h"
#include "deliver/hop_dial.h"
#include "deliver/log_line.h"

struct hop_dest {
	struct hop_dest *next;
	struct hop_pool *pool;
	struct hop_dial_hop hops[HOP_DIAL_HOPS_MAX];
	uint32_t hop_count;
	char *domain; // instead of hops; NULL: none
	bool is_private_allowed, final;
	struct transaction *first, *last; // waiting
	size_t waiting;
	struct hop_conn *idle;
	uint32_t conns, dials;
	uint64_t down_until_ms;
	char why[HOP_CONN_NAME_MAX + REPLY_TEXT_MAX];
};

static void dest_go(struct hop_dest *dest);

// What waits

static void push_front(struct hop_dest *dest, struct transaction *t)
{
	t->next = dest->first;
	dest->first = t;
	if (dest->last == NULL)
		dest->last = t;
	dest->waiting++;
}

static void push_back(struct hop_dest *dest, struct transaction *t)
{
	t->next = NULL;
	*(dest->last != NULL ? &dest->last->next : &dest->first) = t;
	dest->last = t;
	dest->waiting++;
}

static struct transaction *pop(struct hop_dest *dest)
{
	struct transaction *t = dest->first;

	if (t == NULL)
		return NULL;
	dest->first = t->next;
	if (dest->first == NULL)
		dest->last = NULL;
	dest->waiting--;
	return t;
}

// The next mail that can be read.
static struct transaction *take(struct hop_dest *dest)
{
	struct hop_pool *pool = dest->pool;
	struct transaction *t;

	while ((t = pop(dest)) != NULL)
		if (pool->calls->load(pool->user, t))
			break;
	pool->in_flight += t != NULL;
	return t;
}

// Connections

static void idle_remove(struct hop_dest *dest, struct hop_conn *conn)
{
	for (struct hop_conn **at = &dest->idle; *at != NULL; at = &(*at)->next) {
		if (*at != conn)
			continue;
		*at = conn->next;
		return;
	}
}

static struct transaction *on_next(void *user, struct hop_conn *conn)
{
	struct hop_dest *dest = user;
	struct hop_pool *pool = dest->pool;
	struct transaction *t = NULL;

	if (!pool->is_stopping && dest->conns <= pool->concurrency)
		t = take(dest);
	if (t != NULL)
		return t;
	conn->next = dest->idle;
	dest->idle = conn;
	return NULL;
}

static enum err on_body(
	void *user, const struct transaction *t, uint64_t from, void *to, uint32_t octets)
{
	const struct hop_pool *pool = ((struct hop_dest *)user)->pool;

	return pool->calls->body(pool->user, t, from, to, octets);
}

static void on_done(void *user, struct hop_conn *conn, struct transaction *t)
{
	struct hop_dest *dest = user;
	struct hop_pool *pool = dest->pool;

	pool->in_flight--;
	if (t->mail.is_untouched && !pool->is_stopping)
		push_front(dest, t);
	else
		pool->calls->done(pool->user, t, conn->name);
}

static void on_leaving(void *user, struct hop_conn *conn)
{
	idle_remove(user, conn);
}

static void on_closed(void *user, struct hop_conn *conn, const char *why)
{
	struct hop_dest *dest = user;

	(void)why;
	idle_remove(dest, conn);
	dest->conns--;
	dest->pool->connections--;
	dest_go(dest);
}

static const struct hop_conn_owner conn_owner = {.next = on_next,
	.body = on_body,
	.done = on_done,
	.leaving = on_leaving,
	.closed = on_closed};

// Dialling

static struct transaction *on_dialled(void *user, struct hop_conn *conn)
{
	struct hop_dest *dest = user;

	dest->dials--;
	dest->conns++;
	dest->down_until_ms = 0;
	hop_conn_give(conn, &conn_owner, dest);
	return on_next(dest, conn);
}

static void on_dial_failed(void *user, const char *why, bool final)
{
	struct hop_dest *dest = user;

	dest->dials--;
	dest->pool->connections--;
	dest->down_until_ms = uv_now(dest->pool->loop) + HOP_DOWN_MS;
	dest->final = final;
	snprintf(dest->why, sizeof(dest->why), "%s", why);
	dest_go(dest);
}

static void on_hop_failed(void *user, const char *hop, const char *why)
{
	char text[LOG_LINE_QUOTED_MAX];

	(void)user;
	log_line("hop=%s status=unreachable text=%s", hop, log_line_quote(why, text));
}

static bool allows(void *user, const struct ip_addr *addr)
{
	const struct hop_dest *dest = user;

	return dest->is_private_allowed || dest->pool->calls->allows(dest->pool->user, addr);
}

static const struct hop_dial_owner dial_owner = {.dialled = on_dialled,
	.failed = on_dial_failed,
	.allows = allows,
	.hop_failed = on_hop_failed};

static void dial(struct hop_dest *dest)
{
	struct hop_pool *pool = dest->pool;

	dest->dials++;
	pool->connections++;
	hop_dial_start(
		&(struct hop_dial_setup){.conn = {.loop = pool->loop,
						 .source = pool->source,
						 .connect_timeout_s = pool->connect_timeout_s,
						 .helo = pool->helo},
			.hops = dest->hops,
			.hop_count = dest->hop_count,
			.domain = dest->domain,
			.lookup = pool->lookup,
			.owner = &dial_owner,
			.user = dest});
}

// Destinations

static bool is_down(const struct hop_dest *dest)
{
	return uv_now(dest->pool->loop) < dest->down_until_ms;
}

static void give_up_waiting(struct hop_dest *dest)
{
	const struct hop_pool *pool = dest->pool;
	struct transaction *t;

	while ((t = pop(dest)) != NULL)
		pool->calls->unreachable(pool->user, t, dest->why, dest->final);
}

static void feed_idle(struct hop_dest *dest)
{
	while (dest->idle != NULL && dest->waiting > 0 && dest->conns <= dest->pool->concurrency) {
		struct hop_conn *conn = dest->idle;
		struct transaction *t = take(dest);

		if (t == NULL)
			return;
		dest->idle = conn->next;
		hop_conn_send(conn, t);
	}
}

static void dest_go(struct hop_dest *dest)
{
	struct hop_pool *pool = dest->pool;

	if (pool->is_stopping || pool->concurrency == 0)
		return;
	feed_idle(dest);
	if (is_down(dest)) {
		// Connections that work go on; without one there is nothing to wait for.
		if (dest->conns == 0 && dest->dials == 0)
			give_up_waiting(dest);
		return;
	}
	while (dest->dials < dest->waiting && dest->conns + dest->dials < pool->concurrency)
		dial(dest);
}

static bool is_same(const struct hop_dest *dest, const struct hop_way *way)
{
	const struct config_route *route = way->route;
	uint32_t count =
		route->hop_count < HOP_DIAL_HOPS_MAX ? route->hop_count : HOP_DIAL_HOPS_MAX;

	if (dest->domain != NULL || way->domain != NULL)
		return dest->domain != NULL && way->domain != NULL &&
		       dest->is_private_allowed == (route->mx_private == CONFIG_PRIVATE_ALLOW) &&
		       strcasecmp(dest->domain, way->domain) == 0;
	if (dest->hop_count != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (dest->hops[i].port != route->hops[i].port ||
			strcmp(dest->hops[i].host, route->hops[i].host) != 0)
			return false;
	return true;
}

static struct hop_dest *dest_new(struct hop_pool *pool, const struct hop_way *way)
{
	const struct config_route *route = way->route;
	struct hop_dest *dest = calloc(1, sizeof(*dest));

	assert(dest != NULL);
	dest->pool = pool;
	dest->is_private_allowed = route->mx_private == CONFIG_PRIVATE_ALLOW;
	if (way->domain != NULL)
		dest->domain = strdup(way->domain);
	for (uint32_t i = 0; i < route->hop_count && i < HOP_DIAL_HOPS_MAX; i++) {
		dest->hops[i] =
			(struct hop_dial_hop){strdup(route->hops[i].host), route->hops[i].port};
		dest->hop_count++;
	}
	dest->next = pool->dests;
	pool->dests = dest;
	return dest;
}

static struct hop_dest *dest_find(struct hop_pool *pool, const struct hop_way *way)
{
	for (struct hop_dest *dest = pool->dests; dest != NULL; dest = dest->next)
		if (is_same(dest, way))
			return dest;
	return dest_new(pool, way);
}

static void dest_free(struct hop_dest *dest)
{
	for (uint32_t i = 0; i < dest->hop_count; i++)
		free(dest->hops[i].host);
	free(dest->domain);
	free(dest);
}

// The pool

void hop_pool_init(struct hop_pool *pool, uv_loop_t *loop, const struct hop_user *calls, void *user)
{
	*pool = (struct hop_pool){.loop = loop, .calls = calls, .user = user};
}

void hop_pool_recall(struct hop_pool *pool)
{
	struct hop_dest **at = &pool->dests;

	while (*at != NULL) {
		struct hop_dest *dest = *at;
		struct transaction *t;

		while ((t = pop(dest)) != NULL)
			pool->calls->recalled(pool->user, t);
		if (dest->conns + dest->dials > 0) {
			at = &dest->next;
			continue;
		}
		*at = dest->next;
		dest_free(dest);
	}
}

void hop_pool_configure(
	struct hop_pool *pool, const struct config *before, const struct config *config)
{
	const struct config_delivery *delivery = &config->delivery;
	const char *helo = delivery->helo;

	if (helo == NULL || helo[0] == '\0')
		helo = config->vserver_count > 0 ? config->vservers[0].fqdn : "localhost";
	snprintf(pool->helo, sizeof(pool->helo), "%s", helo);
	pool->source = delivery->source;
	pool->connect_timeout_s = delivery->connect_timeout_s;
	if (before == NULL || before->delivery.concurrency != delivery->concurrency)
		pool->concurrency = delivery->concurrency;
	hop_pool_recall(pool);
}

void hop_pool_set_concurrency(struct hop_pool *pool, uint32_t concurrency)
{
	pool->concurrency = concurrency;
	if (concurrency == 0)
		hop_pool_recall(pool);
	for (struct hop_dest *dest = pool->dests; dest != NULL; dest = dest->next)
		dest_go(dest);
}

void hop_pool_put(struct hop_pool *pool, const struct hop_way *way, struct transaction *t)
{
	struct hop_dest *dest = dest_find(pool, way);

	push_back(dest, t);
	if (dest->waiting > HOP_LOADED_MAX)
		transaction_unload(t);
	dest_go(dest);
}

void hop_pool_stop(struct hop_pool *pool)
{
	pool->is_stopping = true;
	for (struct hop_dest *dest = pool->dests; dest != NULL; dest = dest->next)
		while (dest->idle != NULL)
			hop_conn_leave(dest->idle);
}

void hop_pool_retry(struct hop_pool *pool)
{
	for (struct hop_dest *dest = pool->dests; dest != NULL; dest = dest->next) {
		dest->down_until_ms = 0;
		dest_go(dest);
	}
}
