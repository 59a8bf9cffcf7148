#include "deliver/hop_dial.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hop_dial {
	uv_getaddrinfo_t resolve;
	uv_timer_t later; // the next try starts from the loop, so that failures do not nest
	struct hop_dial_setup setup;
	char helo[256]; // the pool's can change under us
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
	hop_failed(user, conn->name, why);
}

// Before EHLO is answered there is no mail and no idle time; the other calls belong to the next owner.
static const struct hop_conn_owner conn_owner = {.next = on_next, .closed = on_conn_closed};

// Addresses

static void address_add(struct hop_dial *dial, const struct sockaddr *sa)
{
	struct ip_addr *a = &dial->addresses[dial->address_count];

	if (dial->address_count == HOP_DIAL_ADDRESSES_MAX)
		return;
	if (sa->sa_family == AF_INET)
		*a = ip_addr_from_v4(
			ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr));
	else if (sa->sa_family == AF_INET6)
		memcpy(a->octets, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	else
		return;
	dial->address_count++;
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

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *answer)
{
	struct hop_dial *dial = request->data;
	const char *host = dial->setup.hops[dial->hop].host;

	for (struct addrinfo *a = answer; a != NULL; a = a->ai_next)
		address_add(dial, a->ai_addr);
	uv_freeaddrinfo(answer);
	if (dial->address_count > 0)
		try_address(dial);
	else
		hop_failed(dial, host, status < 0 ? uv_strerror(status) : "no address");
}

static void resolve(struct hop_dial *dial)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	const char *host = dial->setup.hops[dial->hop].host;
	int e;

	dial->resolve.data = dial;
	e = uv_getaddrinfo(dial->setup.conn.loop, &dial->resolve, on_resolved, host, NULL, &hints);
	if (e < 0)
		hop_failed(dial, host, uv_strerror(e));
}

static void try_hop(struct hop_dial *dial)
{
	if (dial->address < dial->address_count) {
		try_address(dial);
		return;
	}
	if (dial->hop >= dial->setup.hop_count) {
		dial->setup.owner->failed(dial->setup.user, dial->why);
		dial_free(dial);
		return;
	}
	if (ip_addr_parse(dial->setup.hops[dial->hop].host, &dial->addresses[0])) {
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
