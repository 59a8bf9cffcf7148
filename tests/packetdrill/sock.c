#include "sock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"
#include "option.h"
#include "world.h"

enum {
	QUICK_ACKS = 16,
	ANSWERS_WITHIN_US = 40000,
};

static struct sock **place_of(struct tcp_conn *conn)
{
	return tcp_conn_app(conn);
}

struct sock *sock_make(struct world *world, int domain)
{
	struct sock *sock = calloc(1, sizeof(*sock));

	assert(sock != NULL);
	sock->file = (struct file){FILE_SOCK, -1};
	sock->world = world;
	sock->domain = domain;
	option_init(sock);
	sock->next = world->socks;
	world->socks = sock;
	return sock;
}

void sock_release(struct sock *sock)
{
	struct sock **at = &sock->world->socks;

	if (sock->file.fd >= 0 || sock->conn != NULL || sock->listener != NULL || sock->pins > 0)
		return;
	while (*at != sock)
		at = &(*at)->next;
	*at = sock->next;
	octets_free(&sock->received);
	free(sock);
}

void sock_pin(struct sock *sock)
{
	sock->pins++;
}

void sock_unpin(struct sock *sock)
{
	sock->pins--;
	sock_release(sock);
}

void sock_free_all(struct world *world)
{
	while (world->socks != NULL) {
		struct sock *sock = world->socks;

		sock->conn = NULL;
		sock->listener = NULL;
		sock->pins = 0;
		file_close(world, &sock->file);
		sock_release(sock);
	}
}

struct sock *sock_find(const struct world *world, int fd)
{
	return (struct sock *)file_find(world, fd, FILE_SOCK);
}

static bool is_any(const struct ip_addr *a)
{
	static const struct ip_addr none;
	struct ip_addr v4 = ip_addr_from_v4(0);

	return ip_addr_eq(a, &none) || ip_addr_eq(a, &v4);
}

static bool takes_family(const struct sock *sock, const struct ip_addr *a)
{
	bool v4 = ip_addr_is_v4(a);

	if (sock->domain == AF_INET)
		return v4;
	return !v4 || sock->options[OPTION_V6ONLY] == 0;
}

struct sock *sock_listener(const struct world *world, const struct ip_addr *local, uint16_t port)
{
	struct sock *found = NULL;

	for (struct sock *s = world->socks; s != NULL; s = s->next) {
		if (s->state != SOCK_LISTENING || s->local_port != port || !takes_family(s, local))
			continue;
		if (ip_addr_eq(&s->local, local))
			return s;
		if (is_any(&s->local))
			found = s;
	}
	return found;
}

static bool may_be_accepted(const struct sock *sock)
{
	return sock->listener->options[OPTION_DEFER_ACCEPT] == 0 || sock->fin ||
	       sock->conn == NULL || octets_count(&sock->received) > 0;
}

struct sock *sock_first_to_accept(const struct sock *listener)
{
	struct sock *first = NULL;

	for (struct sock *s = listener->world->socks; s != NULL; s = s->next) {
		if (s->listener != listener || !may_be_accepted(s))
			continue;
		if (first == NULL || s->opened_order < first->opened_order)
			first = s;
	}
	return first;
}

static bool backlog_is_full(const struct sock *listener)
{
	int waiting = 0;

	for (const struct sock *s = listener->world->socks; s != NULL; s = s->next)
		waiting += s->listener == listener;
	return waiting > listener->backlog;
}

// --- the wire ---

static struct sock *owner(const struct world *world, const struct segment *out)
{
	for (struct sock *s = world->socks; s != NULL; s = s->next)
		if (s->conn != NULL && s->local_port == out->src_port &&
			s->peer_port == out->dst_port && ip_addr_eq(&s->local, &out->src) &&
			ip_addr_eq(&s->peer, &out->dst))
			return s;
	return sock_listener(world, &out->src, out->src_port);
}

static uint8_t positive(int value)
{
	return value > 0 ? (uint8_t)value : 0;
}

struct sock_wire sock_on_wire(const struct world *world, const struct segment *out)
{
	const struct sock *sock = owner(world, out);
	bool v4 = ip_addr_is_v4(&out->src);

	if (sock == NULL)
		return (struct sock_wire){0};
	return (struct sock_wire){.mss = (uint32_t)sock->options[OPTION_MAXSEG],
		.tos = positive(sock->options[v4 ? OPTION_TOS : OPTION_TCLASS]),
		.ttl = positive(sock->options[v4 ? OPTION_TTL : OPTION_UNICAST_HOPS])};
}

struct sock_wire sock_on_wire_input(const struct world *world, const struct segment *in)
{
	struct segment out = {
		.src = in->dst, .dst = in->src, .src_port = in->dst_port, .dst_port = in->src_port};

	return sock_on_wire(world, &out);
}

static uint32_t syn_chances(const struct sock *sock)
{
	int own = sock->options[OPTION_SYNCNT];

	return 1 + (own > 0 ? (uint32_t)own : sock->world->settings.syn_retries);
}

bool sock_may_send_syn(const struct world *world, const struct segment *syn)
{
	struct sock *sock = owner(world, syn);

	if (sock == NULL || sock->state != SOCK_CONNECTING)
		return true;
	if (sock->syns == syn_chances(sock)) {
		sock->given_up = true;
		return false;
	}
	sock->syns++;
	return true;
}

void sock_give_up(struct world *world)
{
	struct sock *next;

	for (struct sock *s = world->socks; s != NULL; s = next) {
		next = s->next;
		if (!s->given_up)
			continue;
		s->given_up = false;
		s->error = ETIMEDOUT;
		tcp_abort(s->conn, world->now_us);
	}
}

// --- the stack ---

static uint32_t receive_room(const struct sock *sock)
{
	uint32_t most = option_receive_octets(sock);
	size_t unread = octets_count(&sock->received);

	return unread < most ? most - (uint32_t)unread : 0;
}

static void apply_timers(struct sock *sock)
{
	bool keeps = sock->options[OPTION_KEEPALIVE] != 0;
	struct tcp_keepalive keepalive = {keeps ? (uint16_t)sock->options[OPTION_KEEPIDLE] : 0,
		(uint16_t)sock->options[OPTION_KEEPINTVL], (uint8_t)sock->options[OPTION_KEEPCNT]};

	tcp_set_keepalive(sock->conn, &keepalive, sock->world->now_us);
	tcp_set_user_timeout(
		sock->conn, (uint32_t)sock->options[OPTION_USER_TIMEOUT], sock->world->now_us);
}

void sock_apply_options(struct sock *sock)
{
	enum tcp_small small = TCP_SMALL_ALONE;

	if (sock->conn == NULL)
		return;
	if (sock->options[OPTION_NODELAY] != 0)
		small = TCP_SMALL_AT_ONCE;
	if (sock->options[OPTION_CORK] != 0 || sock->more)
		small = TCP_SMALL_NEVER;
	tcp_set_small(sock->conn, small);
	apply_timers(sock);
	tcp_set_receive_window(sock->conn, receive_room(sock));
}

void sock_bound_handshake(const struct sock *listener, struct tcp_conn *conn)
{
	if (conn != NULL && *place_of(conn) == NULL)
		tcp_set_receive_window(conn, option_receive_octets(listener));
}

void sock_push(struct sock *sock)
{
	sock->more = false;
	if (sock->conn == NULL)
		return;
	tcp_set_small(sock->conn, TCP_SMALL_AT_ONCE);
	world_flush(sock->world);
}

// As Linux does: reading alone announces a window only when that doubles it, or when a sender may be waiting for it. Every
// other segment offers what there is (on_data()).
void sock_consumed(struct sock *sock)
{
	uint32_t offered, room = receive_room(sock);

	if (sock->conn == NULL)
		return;
	offered = inside_offered(sock->conn);
	if (room / 2 >= offered || offered < 2 * inside_rcv_mss(sock->conn))
		tcp_set_receive_window(sock->conn, room);
}

// As Linux does: a full queue makes the peer try again later.
static enum tcp_welcome on_accept(void *user, const struct segment *s, uint64_t now_us)
{
	const struct sock *listener = sock_listener(user, &s->dst, s->dst_port);

	(void)now_us;
	if (listener == NULL)
		return TCP_REFUSE;
	return backlog_is_full(listener) ? TCP_IGNORE : TCP_WELCOME;
}

static void on_opened_passive(struct world *world, struct tcp_conn *conn)
{
	uint16_t port, peer_port;
	const struct ip_addr *local = tcp_conn_local(conn, &port);
	const struct ip_addr *peer = tcp_conn_peer(conn, &peer_port);
	struct sock *listener = sock_listener(world, local, port);
	static uint64_t order;

	if (listener == NULL) {
		tcp_abort(conn, world->now_us);
		return;
	}

	struct sock *sock = sock_make(world, listener->domain);

	sock->state = SOCK_CONNECTED;
	sock->local = *local;
	sock->peer = *peer;
	sock->local_port = port;
	sock->peer_port = peer_port;
	sock->conn = conn;
	sock->listener = listener;
	sock->opened_order = ++order;
	sock->asked_us = sock->answered_us = world->now_us;
	option_inherit(sock, listener);
	*place_of(conn) = sock;
	sock_apply_options(sock);
	listener->edges_in++;
}

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	struct sock *sock = *place_of(conn);

	if (sock == NULL) {
		on_opened_passive(user, conn);
		return;
	}
	sock->asked_us = sock->answered_us = now_us;
	sock->state = SOCK_CONNECTED;
	sock->edges_any++;
	sock_apply_options(sock);
}

// As Linux does: a stream's first segments are acknowledged one by one, until the application turns out to answer; the
// sender's slow start lives on ACKs.
static void choose_ack_policy(struct sock *sock, uint64_t now_us)
{
	bool each = !sock->talks && sock->quick_acks < QUICK_ACKS &&
		    sock->options[OPTION_QUICKACK] != 0;

	sock->asked = true;
	sock->asked_us = now_us;
	sock->quick_acks += each;
	tcp_set_ack_policy(sock->conn, each ? TCP_ACK_EACH : TCP_ACK_DATA);
}

void sock_answers(struct sock *sock)
{
	sock->answered_us = sock->world->now_us;
	if (sock->asked && sock->answered_us - sock->asked_us < ANSWERS_WITHIN_US)
		sock->talks = true;
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	struct sock *sock = *place_of(conn);

	(void)user;
	choose_ack_policy(sock, now_us);
	octets_append(&sock->received, in.at, in.len);
	tcp_set_receive_window(conn, receive_room(sock));
	sock->edges_in++;
	if (sock->listener != NULL)
		sock->listener->edges_in++;
	return in.len;
}

static void on_acked(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	struct sock *sock = *place_of(conn);

	(void)user;
	(void)now_us;
	if (!sock->no_space || !sock_is_writable(sock))
		return;
	sock->no_space = false;
	sock->edges_out++;
}

static void on_peer_closed(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	struct sock *sock = *place_of(conn);

	(void)user;
	(void)now_us;
	sock->fin = true;
	sock->edges_any++;
}

// What an application is told of the end, if it is told anything.
static int error_of(const struct sock *sock, enum tcp_close_reason why)
{
	if (why == TCP_CLOSED_TIMEOUT)
		return ETIMEDOUT;
	if (why != TCP_CLOSED_RESET)
		return 0;
	if (sock->state == SOCK_CONNECTING)
		return ECONNREFUSED;
	return sock->fin ? EPIPE : ECONNRESET;
}

static void on_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	struct world *world = user;
	struct sock *sock = *place_of(conn);
	int error;

	if (sock == NULL)
		return;
	error = error_of(sock, why);
	if (world->settings.trace != 0)
		fprintf(stderr, "%.6f closed: reason %d\n", (double)now_us / 1e6, (int)why);
	if (error != 0)
		sock->error = error;
	if (why == TCP_CLOSED_ORDERLY)
		sock->fin = true;
	sock->conn = NULL;
	sock->state = sock->state == SOCK_CONNECTING ? SOCK_IDLE : SOCK_OVER;
	sock->shut_send = sock->shut_receive = true;
	sock->edges_any++;
	sock_release(sock);
}

const struct tcp_app sock_app = {.accept = on_accept,
	.opened = on_opened,
	.data = on_data,
	.acked = on_acked,
	.peer_closed = on_peer_closed,
	.closed = on_closed};

// --- sending ---

size_t sock_send_space(const struct sock *sock)
{
	uint32_t most = option_send_octets(sock), queued = inside_queued(sock->conn);
	uint32_t notsent = option_notsent(sock), unsent = inside_unsent(sock->conn);
	size_t space = tcp_send_space(sock->conn);

	if (queued >= most || unsent >= notsent)
		return 0;
	space = most - queued < space ? most - queued : space;
	return notsent - unsent < space ? notsent - unsent : space;
}

// As Linux does: a third has to be free, so that a writer is not woken for crumbs.
bool sock_is_writable(const struct sock *sock)
{
	uint32_t most = option_send_octets(sock), queued = inside_queued(sock->conn);

	return queued + queued / 2 <= most && inside_unsent(sock->conn) < option_notsent(sock);
}

int sock_take_error(struct sock *sock)
{
	int error = sock->error;

	sock->error = 0;
	return error;
}
