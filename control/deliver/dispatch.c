#include "deliver/dispatch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "deliver/backoff.h"
#include "deliver/log_line.h"
#include "deliver/mx_address.h"
#include "deliver/route.h"
#include "spool/message_id.h"

enum {
	DUE_BURST = 64,              // messages routed before connections have their turn
	UNREADABLE_RETRY_MS = 60000, // a message that cannot be read is looked at again
};

struct verdict {
	uint32_t rcpt;
	const char *address, *hop, *text;
};

static void log_outcome(const struct queue_message *m, const struct verdict *v, const char *status)
{
	char id[MESSAGE_ID_TEXT_MAX], to[LOG_LINE_QUOTED_MAX], text[LOG_LINE_QUOTED_MAX];

	log_line("id=%s to=%s hop=%s status=%s attempts=%u text=%s", message_id_print(m->id, id),
		log_line_quote(v->address, to), v->hop[0] != '\0' ? v->hop : "-", status,
		m->rcpts[v->rcpt].attempts, log_line_quote(v->text, text));
}

// Results

static bool is_expired(const struct deliver *d, const struct queue_message *m)
{
	return time(NULL) >= m->arrived_s + d->config->delivery.expire_s;
}

static int64_t next_attempt_ms(
	const struct deliver *d, const struct queue_message *m, uint32_t attempts)
{
	const struct config_delivery *c = &d->config->delivery;
	int64_t left_ms = (m->arrived_s + c->expire_s - time(NULL)) * 1000;
	int64_t wait_ms;
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = 0;
	wait_ms = backoff_ms(attempts, c->retry_first_s, c->retry_max_s, random);
	// The last attempt is made when the time is over, not when the back-off happens to end.
	if (left_ms > 0 && left_ms < wait_ms)
		wait_ms = left_ms;
	return (int64_t)uv_now(d->loop) + wait_ms;
}

static void deferred(struct deliver *d, struct queue_message *m, const struct verdict *v)
{
	char text[BOUNCE_TEXT_MAX];

	if (is_expired(d, m)) {
		snprintf(text, sizeof(text), "554 4.4.7 delivery time expired; last: %s", v->text);
		log_outcome(m, &(struct verdict){v->rcpt, v->address, v->hop, text}, "bounced");
		bounce_add(&d->bounces, m, &(struct bounce_rcpt){v->rcpt, v->hop, text});
		return;
	}
	queue_rcpt_said(m, v->rcpt, v->text);
	queue_rcpt_wait(&d->queue, m, v->rcpt, next_attempt_ms(d, m, m->rcpts[v->rcpt].attempts));
	log_outcome(m, v, "deferred");
}

static void refused(struct deliver *d, struct queue_message *m, const struct verdict *v)
{
	log_outcome(m, v, "bounced");
	bounce_add(&d->bounces, m, &(struct bounce_rcpt){v->rcpt, v->hop, v->text});
}

static void delivered(struct deliver *d, struct queue_message *m, const struct verdict *v)
{
	log_outcome(m, v, "delivered");
	outcomes_put(&d->outcomes,
		&(struct outcomes_entry){
			.message = m, .rcpt = v->rcpt, .kind = SPOOL_DELIVERED, .text = v->text});
}

static void attempted(struct queue_message *m, uint32_t rcpt)
{
	if (m->rcpts[rcpt].attempts < UINT16_MAX)
		m->rcpts[rcpt].attempts++;
}

static void result(struct deliver *d, struct queue_message *m, const struct verdict *v,
	enum smtp_client_result r)
{
	attempted(m, v->rcpt);
	switch (r) {
	case SMTP_CLIENT_DELIVERED:
		delivered(d, m, v);
		return;
	case SMTP_CLIENT_REFUSED:
		refused(d, m, v);
		return;
	case SMTP_CLIENT_DEFERRED:
		deferred(d, m, v);
		return;
	case SMTP_CLIENT_OPEN:
	case SMTP_CLIENT_TAKEN:
		break;
	}
	abort(); // a transaction never ends without a result
}

// Every recipient of a transaction is in another state now.
static void transaction_over(struct deliver *d, struct transaction *t)
{
	queue_message_place(&d->queue, t->message);
	transaction_free(t);
	bounce_go(&d->bounces);
	deliver_plan(d);
}

static void on_done(void *user, struct transaction *t, const char *hop)
{
	struct deliver *d = user;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct smtp_client_rcpt *r = &t->mail.rcpts[i];

		result(d, t->message, &(struct verdict){t->rcpts[i], r->address, hop, r->text},
			r->result);
	}
	transaction_over(d, t);
}

static void on_unreachable(void *user, struct transaction *t, const char *why, bool final)
{
	struct deliver *d = user;
	enum err e = transaction_load(t, d->reader);

	for (uint32_t i = 0; i < t->count; i++) {
		const char *address = e == ERR_OK ? t->spool->rcpts[t->rcpts[i]] : "?";

		attempted(t->message, t->rcpts[i]);
		(final ? refused : deferred)(
			d, t->message, &(struct verdict){t->rcpts[i], address, "", why});
	}
	transaction_over(d, t);
}

static void put_back(struct deliver *d, struct transaction *t, int64_t next_ms)
{
	for (uint32_t i = 0; i < t->count; i++)
		queue_rcpt_wait(&d->queue, t->message, t->rcpts[i], next_ms);
	transaction_over(d, t);
}

static void on_recalled(void *user, struct transaction *t)
{
	struct deliver *d = user;

	put_back(d, t, (int64_t)uv_now(d->loop));
}

static void unreadable(struct deliver *d, const struct queue_message *m, enum err e)
{
	struct segment *s = segment_set_find(&d->queue.segments, m->segment);
	char id[MESSAGE_ID_TEXT_MAX];

	log_line("id=%s status=unreadable text=\"%s\"", message_id_print(m->id, id), err_text(e));
	if (s != NULL)
		s->is_pinned = true;
}

static bool on_load(void *user, struct transaction *t)
{
	struct deliver *d = user;
	enum err e = transaction_load(t, d->reader);

	if (e == ERR_OK)
		return true;
	unreadable(d, t->message, e);
	put_back(d, t, (int64_t)uv_now(d->loop) + UNREADABLE_RETRY_MS);
	return false;
}

static enum err on_body(
	void *user, const struct transaction *t, uint64_t from, void *to, uint32_t octets)
{
	struct deliver *d = user;

	return spool_reader_body(d->reader, t->spool, from, to, octets);
}

static bool allows(void *user, const struct ip_addr *addr)
{
	const struct deliver *d = user;

	return mx_address_is_allowed(d->config, addr);
}

const struct hop_user dispatch_hop_user = {.load = on_load,
	.allows = allows,
	.body = on_body,
	.done = on_done,
	.unreachable = on_unreachable,
	.recalled = on_recalled};

// Routing

// route NULL: it does not go now.
struct way {
	const struct config_route *route;
	char *domain; // allocated; with a route by MX only
};

static bool is_same_way(const struct way *a, const struct way *b)
{
	return a->route == b->route && (a->domain == NULL || strcasecmp(a->domain, b->domain) == 0);
}

// The due recipients from `from` on that go the same way as that one, up to the bound.
static struct transaction *gather(
	struct deliver *d, struct queue_message *m, uint32_t from, const struct way *ways)
{
	struct transaction *t;
	uint32_t count = 0;

	for (uint32_t i = from; i < m->rcpt_count; i++)
		count += is_same_way(&ways[i], &ways[from]) && m->rcpts[i].state == QUEUE_WAITING;
	t = transaction_new(m, count < SMTP_CLIENT_RCPTS_MAX ? count : SMTP_CLIENT_RCPTS_MAX);
	count = 0;
	for (uint32_t i = from; i < m->rcpt_count && count < t->count; i++) {
		if (!is_same_way(&ways[i], &ways[from]) || m->rcpts[i].state != QUEUE_WAITING)
			continue;
		queue_rcpt_sending(&d->queue, m, i);
		t->rcpts[count++] = i;
	}
	return t;
}

// Whether it can go at all; if not, it has been dealt with.
static bool is_routable(struct deliver *d, struct queue_message *m,
	const struct spool_message *spool, uint32_t i, const struct config_route *route)
{
	struct verdict v = {i, spool->rcpts[i], "", ""};

	if (!smtp_client_is_sendable(spool->rcpts[i]) || !smtp_client_is_sendable(spool->sender)) {
		v.text = "501 5.1.3 an address of the mail cannot be sent";
		refused(d, m, &v);
		return false;
	}
	if (route == NULL) {
		v.text = "no route for this domain";
		attempted(m, i);
		deferred(d, m, &v);
		return false;
	}
	return true;
}

// Fills in where each due recipient goes.
static void route_due(struct deliver *d, struct queue_message *m, const struct spool_message *spool,
	struct way *ways)
{
	int64_t now_ms = (int64_t)uv_now(d->loop);

	for (uint32_t i = 0; i < m->rcpt_count; i++) {
		if (m->rcpts[i].state != QUEUE_WAITING || m->rcpts[i].next_ms > now_ms)
			continue;
		ways[i].route = route_of_recipient(d->config, spool->vserver, spool->rcpts[i]);
		if (!is_routable(d, m, spool, i, ways[i].route))
			ways[i].route = NULL;
		else if (ways[i].route->mx)
			ways[i].domain =
				strdup(route_domain(d->config, spool->vserver, spool->rcpts[i]));
	}
}

// Takes spool.
static void send_all(struct deliver *d, struct queue_message *m, struct spool_message *spool,
	const struct way *ways)
{
	for (uint32_t i = 0; i < m->rcpt_count; i++) {
		const struct hop_way way = {ways[i].route, ways[i].domain};
		struct transaction *t;

		// A hop that is down answers at once: those it answered for wait again, until later.
		if (way.route == NULL || m->rcpts[i].state != QUEUE_WAITING ||
			m->rcpts[i].next_ms > (int64_t)uv_now(d->loop))
			continue;
		t = gather(d, m, i, ways);
		t->spool = spool;
		spool = NULL;
		hop_pool_put(&d->hops, &way, t);
	}
	if (spool != NULL)
		spool_message_free(spool);
}

static enum err message_read(
	struct deliver *d, const struct queue_message *m, struct spool_message **spool)
{
	TRY(spool_reader_message(d->reader, m->segment, m->offset, spool));
	if ((*spool)->id == m->id && (*spool)->commit.rcpt_count == m->rcpt_count)
		return ERR_OK;
	spool_message_free(*spool);
	return ERR_SPOOL_CORRUPT;
}

static void set_aside(struct deliver *d, struct queue_message *m, enum err e)
{
	int64_t next_ms = (int64_t)uv_now(d->loop) + UNREADABLE_RETRY_MS;

	unreadable(d, m, e);
	for (uint32_t i = 0; i < m->rcpt_count; i++)
		if (m->rcpts[i].state == QUEUE_WAITING && m->rcpts[i].next_ms < next_ms)
			queue_rcpt_wait(&d->queue, m, i, next_ms);
	queue_message_place(&d->queue, m);
}

static void dispatch(struct deliver *d, struct queue_message *m)
{
	struct way *ways;
	struct spool_message *spool = NULL;
	enum err e = message_read(d, m, &spool);

	if (e != ERR_OK) {
		set_aside(d, m, e);
		return;
	}
	const uint32_t count = m->rcpt_count;

	ways = calloc(count, sizeof(ways[0]));
	assert(ways != NULL);
	route_due(d, m, spool, ways);
	send_all(d, m, spool, ways);
	for (uint32_t i = 0; i < count; i++)
		free(ways[i].domain);
	free(ways);
	queue_message_place(&d->queue, m);
	bounce_go(&d->bounces);
}

void dispatch_due(struct deliver *d)
{
	if (deliver_is_paused(d))
		return;
	for (int i = 0; i < DUE_BURST; i++) {
		struct queue_message *m = queue_due(&d->queue, (int64_t)uv_now(d->loop));

		if (m == NULL)
			break;
		dispatch(d, m);
	}
}
