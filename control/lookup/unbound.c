#include "lookup/unbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>

enum {
	CLASS_IN = 1,
};

struct unbound {
	struct resolver resolver;
	struct ub_ctx *context;
	uv_poll_t readable;
	struct question *questions; // under way
};

struct question {
	struct question *next, **at; // of the questions under way
	int id;                      // libunbound's
	resolver_fn *fn;
	void *user;
	struct unbound *unbound;
	uv_timer_t later; // for a question that did not get off
};

static void answer_failed(struct question *q)
{
	const struct resolver_answer failed = {.status = RESOLVER_FAILED};

	q->fn(q->user, &failed);
}

static void forget(struct question *q)
{
	*q->at = q->next;
	if (q->next != NULL)
		q->next->at = q->at;
}

static void fill(struct resolver_answer *out, const struct ub_result *in)
{
	out->status = in->havedata ? RESOLVER_FOUND : RESOLVER_NONE;
	// Neither data nor a denial: the servers failed.
	if (!in->havedata && in->rcode != 0 && !in->nxdomain)
		out->status = RESOLVER_FAILED;
	if (in->bogus)
		out->status = RESOLVER_FAILED;
	out->no_name = in->nxdomain != 0;
	out->secure = in->secure != 0;
	out->ttl_s = in->ttl < 0 ? 0 : (uint32_t)in->ttl;
	for (int i = 0; out->status == RESOLVER_FOUND && in->data[i] != NULL &&
			out->count < RESOLVER_RECORDS;
		i++)
		out->records[out->count++] =
			(struct slice){(const uint8_t *)in->data[i], (size_t)in->len[i]};
}

static void on_result(void *user, int error, struct ub_result *result)
{
	struct question *q = user;
	struct resolver_answer answer = {0};

	forget(q);
	if (error != 0 || result == NULL) {
		answer_failed(q);
	} else {
		fill(&answer, result);
		q->fn(q->user, &answer);
	}
	ub_resolve_free(result);
	free(q);
}

static void on_question_freed(uv_handle_t *handle)
{
	free(handle->data);
}

static void on_later(uv_timer_t *timer)
{
	struct question *q = timer->data;

	answer_failed(q);
	uv_close((uv_handle_t *)timer, on_question_freed);
}

static void ask(
	struct resolver *r, const char *name, enum resolver_type type, resolver_fn *fn, void *user)
{
	struct unbound *u = (struct unbound *)r;
	struct question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		abort(); // no memory for a few octets: the supervisor starts us again
	*q = (struct question){.fn = fn, .user = user, .unbound = u};
	if (ub_resolve_async(u->context, name, (int)type, CLASS_IN, q, on_result, &q->id) == 0) {
		q->at = &u->questions;
		q->next = u->questions;
		if (q->next != NULL)
			q->next->at = &q->next;
		u->questions = q;
		return;
	}
	q->later.data = q;
	(void)uv_timer_init(u->readable.loop, &q->later);
	(void)uv_timer_start(&q->later, on_later, 0, 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct unbound *u = poll->data;

	(void)status;
	(void)events;
	(void)ub_process(u->context);
}

static bool option(struct ub_ctx *context, const char *name, const char *value)
{
	const int e = ub_ctx_set_option(context, name, value);

	if (e != 0)
		fprintf(stderr, "postern-lookup: %s %s: %s\n", name, value, ub_strerror(e));
	return e == 0;
}

static bool add_servers(struct ub_ctx *context, const struct config_dns *dns)
{
	for (uint32_t i = 0; i < dns->server_count; i++) {
		char address[IP_ADDR_TEXT_MAX], text[IP_ADDR_TEXT_MAX + 8];
		int e;

		snprintf(text, sizeof(text), "%s@%u", ip_addr_print(&dns->servers[i].addr, address),
			dns->servers[i].port);
		e = ub_ctx_set_fwd(context, text);
		if (e != 0) {
			fprintf(stderr, "postern-lookup: dns.servers: %s: %s\n", text,
				ub_strerror(e));
			return false;
		}
	}
	// Without servers of their own those of the machine, and without these the root servers.
	if (dns->server_count == 0)
		(void)ub_ctx_resolvconf(context, NULL);
	(void)ub_ctx_hosts(context, NULL);
	return true;
}

static bool add_trust(struct ub_ctx *context, const struct config_dns *dns)
{
	int e;

	if (dns->trust_anchor == NULL)
		return true;
	e = ub_ctx_add_ta_file(context, dns->trust_anchor);
	if (e != 0)
		fprintf(stderr, "postern-lookup: dns.trust_anchor: %s: %s\n", dns->trust_anchor,
			ub_strerror(e));
	return e == 0;
}

static struct ub_ctx *make_context(const struct config_dns *dns)
{
	struct ub_ctx *context = ub_ctx_create();

	if (context == NULL)
		return NULL;
	// Private networks are our own: their reverse zones are asked for like any other.
	if (option(context, "unblock-lan-zones:", "yes") &&
		option(context, "insecure-lan-zones:", "yes") &&
		option(context, "msg-cache-size:", "16m") &&
		option(context, "rrset-cache-size:", "32m") &&
		option(context, "cache-max-negative-ttl:", "300") &&
		option(context, "do-not-query-localhost:", "no") && add_servers(context, dns) &&
		add_trust(context, dns) && ub_ctx_async(context, 1) == 0)
		return context;
	ub_ctx_delete(context);
	return NULL;
}

struct unbound *unbound_start(uv_loop_t *loop, const struct config *config)
{
	struct unbound *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->resolver.ask = ask;
	u->context = make_context(&config->dns);
	if (u->context == NULL || uv_poll_init(loop, &u->readable, ub_fd(u->context)) != 0) {
		free(u);
		return NULL;
	}
	u->readable.data = u;
	(void)uv_poll_start(&u->readable, UV_READABLE, on_readable);
	return u;
}

struct resolver *unbound_resolver(struct unbound *u)
{
	return &u->resolver;
}

static void on_closed(uv_handle_t *handle)
{
	struct unbound *u = handle->data;

	ub_ctx_delete(u->context);
	free(u);
}

void unbound_stop(struct unbound *u)
{
	struct question *next;

	for (struct question *q = u->questions; q != NULL; q = next) {
		next = q->next;
		(void)ub_cancel(u->context, q->id);
		answer_failed(q);
		free(q);
	}
	u->questions = NULL;
	(void)uv_poll_stop(&u->readable);
	uv_close((uv_handle_t *)&u->readable, on_closed);
}
