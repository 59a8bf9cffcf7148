#include "lookup/ask.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lookup/dns_name.h"

enum {
	MX_NAME_AT = 2,  // after the preference
	TTL_LEAST_S = 5, // an answer serves at least the session it was asked for
	TTL_MOST_S = 86400,
	A_OCTETS = 4,
	AAAA_OCTETS = 16,
};

struct ask {
	struct ask_owner owner;
	struct lookup_answer answer;
	struct ip_addr client;
	char name[DNS_NAME_OCTETS]; // asked for
	uint32_t random;
	uint32_t open; // DNS questions under way
	bool failed;   // one of them found nothing out
	bool answered;
	bool confirm; // CLIENT
	// CLIENT: names not confirmed yet, and which of them the DNS question is about.
	struct candidate {
		struct ask *ask;
		char name[DNS_NAME_OCTETS];
	} candidates[ASK_NAMES];
};

// ---- The end

static void finish(struct ask *ask, enum lookup_status status)
{
	struct lookup_answer *a = &ask->answer;

	if (ask->answered)
		return;
	ask->answered = true;
	a->status = status;
	if (status != LOOKUP_FOUND)
		a->count = a->partial = a->cut = 0;
	if (status == LOOKUP_DEFER)
		a->ttl_s = a->secure = 0;
	else if (a->ttl_s < TTL_LEAST_S)
		a->ttl_s = TTL_LEAST_S;
	ask->owner.answered(ask->owner.user, a);
}

static void one_less(struct ask *ask)
{
	ask->open--;
	if (ask->answered && ask->open == 0)
		free(ask);
}

void ask_give_up(struct ask *ask)
{
	assert(!ask->answered);
	finish(ask, LOOKUP_DEFER);
	// Its DNS questions still come back, and the last one frees it.
}

static void begin(
	struct ask *ask, const char *name, enum resolver_type type, resolver_fn *fn, void *user)
{
	ask->open++;
	ask->owner.resolver->ask(ask->owner.resolver, name, type, fn, user);
}

// What every answer adds to what is known. False: it found nothing.
static bool note(struct ask *ask, const struct resolver_answer *in)
{
	struct lookup_answer *a = &ask->answer;

	ask->failed = ask->failed || in->status == RESOLVER_FAILED;
	a->secure = a->secure && in->secure;
	if (in->ttl_s < a->ttl_s)
		a->ttl_s = in->ttl_s;
	return in->status == RESOLVER_FOUND;
}

static bool read_address(struct slice record, struct ip_addr *out)
{
	if (record.len == A_OCTETS) {
		*out = ip_addr_from_v4((uint32_t)record.at[0] << 24 | (uint32_t)record.at[1] << 16 |
				       (uint32_t)record.at[2] << 8 | record.at[3]);
		return true;
	}
	if (record.len != AAAA_OCTETS)
		return false;
	memcpy(out->octets, record.at, AAAA_OCTETS);
	// A v4 address in a v6 record is neither.
	return !ip_addr_is_v4(out);
}

// ---- Names of a client

static void client_done(struct ask *ask)
{
	if (ask->open > 1) // this one still counts
		return;
	if (ask->answer.count > 0)
		finish(ask, LOOKUP_FOUND);
	else
		finish(ask, ask->failed ? LOOKUP_DEFER : LOOKUP_NONE);
}

static void add_name(struct ask *ask, const char *name)
{
	struct lookup_answer *a = &ask->answer;

	memcpy(a->items[a->count++].name, name, strlen(name) + 1);
}

static void on_forward(void *user, const struct resolver_answer *in)
{
	struct candidate *c = user;
	struct ask *ask = c->ask;
	bool is_here = false;
	struct ip_addr addr;

	if (note(ask, in)) {
		for (uint32_t i = 0; i < in->count; i++)
			is_here = is_here || (read_address(in->records[i], &addr) &&
						     ip_addr_eq(&addr, &ask->client));
	}
	if (is_here)
		add_name(ask, c->name);
	ask->answer.partial = ask->failed;
	client_done(ask);
	one_less(ask);
}

static void on_names(void *user, const struct resolver_answer *in)
{
	struct ask *ask = user;
	const enum resolver_type type = ip_addr_is_v4(&ask->client) ? RESOLVER_A : RESOLVER_AAAA;
	uint32_t used = 0;

	if (note(ask, in)) {
		for (uint32_t i = 0; i < in->count && used < ASK_NAMES; i++) {
			struct candidate *c = &ask->candidates[used];

			c->ask = ask;
			if (!dns_name_read(in->records[i], c->name) || c->name[0] == '\0')
				continue;
			used++;
			if (ask->confirm)
				begin(ask, c->name, type, on_forward, c);
			else
				add_name(ask, c->name);
		}
		ask->answer.cut = in->count > ASK_NAMES;
	}
	client_done(ask);
	one_less(ask);
}

// ---- Hosts for a domain's mail

// Smaller preferences first; each host has a random rank among its equals.
static void insert_host(struct ask *ask, uint16_t preference, const char *name)
{
	struct lookup_answer *a = &ask->answer;
	uint32_t at = a->count;

	ask->random = ask->random * 1664525 + 1013904223;
	for (uint32_t i = 0; i < a->count; i++) {
		const uint16_t p = a->items[i].preference;

		if (preference < p || (preference == p && (ask->random >> (16 + i % 16) & 1))) {
			at = i;
			break;
		}
	}
	if (at == LOOKUP_ITEMS)
		return;
	if (a->count == LOOKUP_ITEMS)
		a->count--; // the worst goes
	memmove(&a->items[at + 1], &a->items[at], (a->count - at) * sizeof(a->items[0]));
	a->items[at] = (struct lookup_item){.preference = preference};
	memcpy(a->items[at].name, name, strlen(name) + 1);
	a->count++;
}

static void on_mx(void *user, const struct resolver_answer *in)
{
	struct ask *ask = user;
	struct lookup_answer *a = &ask->answer;
	bool refuses = false;
	char name[DNS_NAME_OCTETS];

	if (!note(ask, in)) {
		a->implicit = in->status == RESOLVER_NONE && !in->no_name;
		if (a->implicit)
			insert_host(ask, 0, ask->name);
	}
	for (uint32_t i = 0; in->status == RESOLVER_FOUND && i < in->count; i++) {
		const struct slice r = in->records[i];

		if (r.len <= MX_NAME_AT ||
			!dns_name_read((struct slice){r.at + MX_NAME_AT, r.len - MX_NAME_AT}, name))
			continue;
		if (name[0] == '\0')
			refuses = true;
		else
			insert_host(ask, (uint16_t)(r.at[0] << 8 | r.at[1]), name);
	}
	if (a->count > 0)
		finish(ask, LOOKUP_FOUND);
	else if (refuses)
		finish(ask, LOOKUP_NULL_MX);
	else // records without a single usable name are an error of their owner, not an absence
		finish(ask, in->status == RESOLVER_NONE ? LOOKUP_NONE : LOOKUP_DEFER);
	one_less(ask);
}

// ---- Addresses of a host

static void on_addresses(void *user, const struct resolver_answer *in)
{
	struct ask *ask = user;
	struct lookup_answer *a = &ask->answer;

	if (note(ask, in)) {
		for (uint32_t i = 0; i < in->count && a->count < LOOKUP_ITEMS; i++)
			a->count = (uint16_t)(a->count + read_address(in->records[i],
								 &a->items[a->count].address));
	}
	if (ask->open == 1 && a->count > 0)
		finish(ask, LOOKUP_FOUND);
	else if (ask->open == 1)
		finish(ask, ask->failed ? LOOKUP_DEFER : LOOKUP_NONE);
	one_less(ask);
}

static void on_v6(void *user, const struct resolver_answer *in)
{
	struct ask *ask = user;

	// v6 stands in front, so v4 is asked for when it is there.
	begin(ask, ask->name, RESOLVER_A, on_addresses, ask);
	on_addresses(ask, in);
}

// ---- The beginning

bool ask_is_valid(const struct lookup_question *q)
{
	if (q->reserved != 0 || memchr(q->name, '\0', sizeof(q->name)) == NULL)
		return false;
	return q->kind == LOOKUP_CLIENT || q->kind == LOOKUP_POINTER ||
	       ((q->kind == LOOKUP_MX || q->kind == LOOKUP_HOST) && q->name[0] != '\0');
}

struct ask *ask_start(
	const struct ask_owner *owner, const struct lookup_question *q, uint32_t random)
{
	struct ask *ask = calloc(1, sizeof(*ask));

	if (ask == NULL)
		return NULL;
	ask->owner = *owner;
	ask->client = q->address;
	ask->random = random;
	ask->answer = (struct lookup_answer){
		.kind = q->kind, .token = q->token, .ttl_s = TTL_MOST_S, .secure = 1};
	memcpy(ask->name, q->name, sizeof(ask->name));
	if (q->kind == LOOKUP_CLIENT || q->kind == LOOKUP_POINTER) {
		ask->confirm = q->kind == LOOKUP_CLIENT;
		dns_name_of_address(&ask->client, ask->name);
		begin(ask, ask->name, RESOLVER_PTR, on_names, ask);
	} else if (q->kind == LOOKUP_MX) {
		begin(ask, ask->name, RESOLVER_MX, on_mx, ask);
	} else {
		begin(ask, ask->name, RESOLVER_AAAA, on_v6, ask);
	}
	return ask;
}
