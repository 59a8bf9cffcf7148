#include "deliver/hop_dial.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SMTP_PORT = 25,
};

struct hop_dial {
	uv_timer_t later; // the next try starts from the loop, so that failures do not nest
	struct hop_dial_setup setup;
	char helo[256]; // the pool's can change under us
	char mx_names[LOOKUP_ITEMS][LOOKUP_NAME_OCTETS];
	struct hop_dial_hop mx_hops[LOOKUP_ITEMS];
	bool mx_known;
	bool softly; // a hop failed in a way that may pass
	uint32_t hop;
	struct ip_addr addresses[HOP_DIAL_ADDRESSES_MAX];
	uint32_t address_count, address;
	char why[HOP_CONN_NAME_MAX + REPLY_TEXT_MAX];
};

static void try_hop(struct hop_dial *dial);

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void dial_free(struct hop_dial *dial)
{
	uv_close((uv_handle_t *)&dial->later, on_closed);
}

static void on_later(uv_timer_t *timer)
{
	try_hop(timer->data);
}

static void hop_failed(struct hop_dial *dial, const char *hop, const char *why)
{
	snprintf(dial->why, sizeof(dial->why), "%s: %s", hop, why);
	dial->setup.owner->hop_failed(dial->setup.user, hop, why);
	if (dial->address >= dial->address_count) {
		dial->hop++;
		dial->address = dial->address_count = 0;
	}
	uv_timer_start(&dial->later, on_later, 0, 0);
}

// As the owner of a connection that has not answered EHLO yet

static struct transaction *on_next(void *user, struct hop_conn *conn)
{
	struct hop_dial *dial = user;
	const struct hop_dial_owner *owner = dial->setup.owner;
	void *owner_user = dial->setup.user;

	dial_free(dial);
	return owner->dialled(owner_user, conn);
}

static void on_conn_closed(void *user, struct hop_conn *conn, const char *why)
{
	struct hop_dial *dial = user;

	dial->softly = true;
	hop_failed(dial, conn->name, why);
}

// Before EHLO is answered there is no mail and no idle time; the other calls belong to the next owner.
static const struct hop_conn_owner conn_owner = {.next = on_next, .closed = on_conn_closed};

// Addresses

static void hop_failed_softly(struct hop_dial *dial, const char *hop, const char *why)
{
	dial->softly = true;
	hop_failed(dial, hop, why);
}

static void address_add(struct hop_dial *dial, const struct ip_addr *addr)
{
	const struct hop_dial_setup *setup = &dial->setup;

	if (dial->address_count == HOP_DIAL_ADDRESSES_MAX)
		return;
	if (setup->domain != NULL && setup->owner->allows != NULL &&
		!setup->owner->allows(setup->user, addr))
		return;
	dial->addresses[dial->address_count++] = *addr;
}

static void try_address(struct hop_dial *dial)
{
	struct hop_conn_setup *setup = &dial->setup.conn;

	setup->to = dial->addresses[dial->address++];
	setup->port = dial->setup.hops[dial->hop].port;
	setup->host = dial->setup.hops[dial->hop].host;
	// A failure at once is told through on_conn_closed().
	(void)hop_conn_open(setup, &conn_owner, dial);
}

static void on_host(void *user, const struct lookup_answer *answer)
{
	struct hop_dial *dial = user;
	const char *host = dial->setup.hops[dial->hop].host;

	for (uint32_t i = 0; answer->status == LOOKUP_FOUND && i < answer->count; i++)
		address_add(dial, &answer->items[i].address);
	if (dial->address_count > 0)
		try_address(dial);
	else if (answer->status == LOOKUP_FOUND)
		hop_failed(
			dial, host, "it has only addresses that a domain's mail is not taken to");
	else if (answer->status == LOOKUP_NONE)
		hop_failed(dial, host, "no such host, or it has no address");
	else
		hop_failed_softly(dial, host, "its address is not known: no answer from the DNS");
}

static void resolve(struct hop_dial *dial)
{
	const char *host = dial->setup.hops[dial->hop].host;

	if (!lookup_link_ask(dial->setup.lookup, LOOKUP_HOST, host, on_host, dial))
		hop_failed_softly(dial, host, "too many names are being looked up");
}

// Hosts of a domain

static void end(struct hop_dial *dial, bool final)
{
	dial->setup.owner->failed(dial->setup.user, dial->why, final);
	dial_free(dial);
}

static void on_mx(void *user, const struct lookup_answer *answer)
{
	struct hop_dial *dial = user;
	const char *domain = dial->setup.domain;
	uint32_t count = answer->status == LOOKUP_FOUND ? answer->count : 0;

	dial->mx_known = true;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(dial->mx_names[i], answer->items[i].name, LOOKUP_NAME_OCTETS);
		dial->mx_names[i][LOOKUP_NAME_OCTETS - 1] = '\0';
		dial->mx_hops[i] = (struct hop_dial_hop){dial->mx_names[i], SMTP_PORT};
	}
	dial->setup.hops = dial->mx_hops;
	dial->setup.hop_count = count;
	if (count > 0) {
		try_hop(dial);
		return;
	}
	if (answer->status == LOOKUP_NULL_MX)
		snprintf(dial->why, sizeof(dial->why), "556 5.1.10 %s takes no mail (null MX)",
			domain);
	else if (answer->status == LOOKUP_NONE)
		snprintf(dial->why, sizeof(dial->why), "550 5.1.2 %s: no such domain", domain);
	else
		snprintf(dial->why, sizeof(dial->why),
			"%s: its mail hosts are not known: no answer from the DNS", domain);
	end(dial, answer->status != LOOKUP_DEFER);
}

static void find_mx(struct hop_dial *dial)
{
	if (lookup_link_ask(dial->setup.lookup, LOOKUP_MX, dial->setup.domain, on_mx, dial))
		return;
	snprintf(dial->why, sizeof(dial->why), "too many names are being looked up");
	end(dial, false);
}

// No host was left that could take it later either.
static bool none_will(struct hop_dial *dial)
{
	char why[sizeof(dial->why)];

	if (dial->setup.domain == NULL || dial->softly)
		return false;
	memcpy(why, dial->why, sizeof(why));
	snprintf(dial->why, sizeof(dial->why), "550 5.4.4 %.500s", why);
	return true;
}

static void try_hop(struct hop_dial *dial)
{
	if (dial->address < dial->address_count) {
		try_address(dial);
		return;
	}
	if (dial->setup.domain != NULL && !dial->mx_known) {
		find_mx(dial);
		return;
	}
	if (dial->hop >= dial->setup.hop_count) {
		end(dial, none_will(dial));
		return;
	}
	// What the DNS names is a name.
	if (dial->setup.domain == NULL &&
		ip_addr_parse(dial->setup.hops[dial->hop].host, &dial->addresses[0])) {
		dial->address_count = 1;
		try_address(dial);
		return;
	}
	resolve(dial);
}

void hop_dial_start(const struct hop_dial_setup *setup)
{
	struct hop_dial *dial = calloc(1, sizeof(*dial));

	assert(dial != NULL);
	dial->setup = *setup;
	snprintf(dial->helo, sizeof(dial->helo), "%s", setup->conn.helo);
	dial->setup.conn.helo = dial->helo;
	uv_timer_init(setup->conn.loop, &dial->later);
	dial->later.data = dial;
	uv_timer_start(&dial->later, on_later, 0, 0);
}
