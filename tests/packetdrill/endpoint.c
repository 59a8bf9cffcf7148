#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "call.h"
#include "inside.h"
#include "sock.h"
#include "user.h"
#include "world.h"

enum {
	BACKLOG_MOST = 4096,
	PORTS_FROM = 32768,
	PORTS_TO = 61000,
};

struct place {
	struct ip_addr addr;
	uint16_t port;
};

// --- addresses ---

static int read_v4(const struct sockaddr *from, socklen_t octets, struct place *out)
{
	struct sockaddr_in in;

	if (octets < sizeof(in))
		return -EINVAL;
	memcpy(&in, from, sizeof(in));
	out->addr = ip_addr_from_v4(ntohl(in.sin_addr.s_addr));
	out->port = ntohs(in.sin_port);
	return 0;
}

static int read_v6(const struct sockaddr *from, socklen_t octets, struct place *out)
{
	struct sockaddr_in6 in;

	if (octets < sizeof(in))
		return -EINVAL;
	memcpy(&in, from, sizeof(in));
	memcpy(out->addr.octets, in.sin6_addr.s6_addr, 16);
	out->port = ntohs(in.sin6_port);
	return 0;
}

// 0, -EFAULT, -EINVAL, -EAFNOSUPPORT; 1: AF_UNSPEC.
static int read_place(
	const struct sock *sock, const struct sockaddr *from, socklen_t octets, struct place *out)
{
	struct sockaddr_storage copy = {0};

	if (octets < sizeof(sa_family_t) || octets > sizeof(copy))
		return -EINVAL;
	if (user_get(&copy, from, octets) < 0)
		return -EFAULT;
	if (copy.ss_family == AF_UNSPEC)
		return 1;
	if (copy.ss_family != sock->domain)
		return -EAFNOSUPPORT;
	if (sock->domain == AF_INET)
		return read_v4((const struct sockaddr *)&copy, octets, out);
	return read_v6((const struct sockaddr *)&copy, octets, out);
}

static int write_place(
	const struct sock *sock, const struct place *place, struct sockaddr *to, socklen_t *octets)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(place->port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(place->port)};
	const void *from = &v6;
	socklen_t count = sizeof(v6), room;

	if (to == NULL || octets == NULL)
		return 0;
	memcpy(v6.sin6_addr.s6_addr, place->addr.octets, 16);
	if (sock->domain == AF_INET) {
		v4.sin_addr.s_addr = htonl(ip_addr_v4(&place->addr));
		from = &v4;
		count = sizeof(v4);
	}
	room = *octets;
	*octets = count;
	return user_put(to, from, room < count ? room : count);
}

int endpoint_name(const struct sock *sock, bool peer, struct sockaddr *to, socklen_t *octets)
{
	struct place place = {sock->local, sock->local_port};

	if (peer && (sock->conn == NULL || sock->state != SOCK_CONNECTED))
		return -ENOTCONN;
	if (peer)
		place = (struct place){sock->peer, sock->peer_port};
	return write_place(sock, &place, to, octets);
}

// --- bind ---

static bool is_none(const struct ip_addr *a)
{
	struct ip_addr none = {{0}}, v4 = ip_addr_from_v4(0);

	return ip_addr_eq(a, &none) || ip_addr_eq(a, &v4);
}

static bool clashes(const struct sock *a, const struct sock *b)
{
	bool both_reuse = a->options[OPTION_REUSEADDR] != 0 && b->options[OPTION_REUSEADDR] != 0;
	bool both_share = a->options[OPTION_REUSEPORT] != 0 && b->options[OPTION_REUSEPORT] != 0;

	if (!is_none(&a->local) && !is_none(&b->local) && !ip_addr_eq(&a->local, &b->local))
		return false;
	if (both_share)
		return false;
	return !both_reuse || a->state == SOCK_LISTENING || b->state == SOCK_LISTENING;
}

static bool is_taken(const struct sock *sock, uint16_t port)
{
	for (const struct sock *s = sock->world->socks; s != NULL; s = s->next)
		if (s != sock && s->bound && s->local_port == port && clashes(s, sock))
			return true;
	return false;
}

static bool is_used(const struct world *world, uint16_t port)
{
	for (const struct sock *s = world->socks; s != NULL; s = s->next)
		if (s->local_port == port)
			return true;
	return false;
}

static uint16_t free_port(struct world *world)
{
	for (int tries = 0; tries < PORTS_TO - PORTS_FROM; tries++) {
		uint16_t port = world->next_port++;

		if (world->next_port == PORTS_TO)
			world->next_port = PORTS_FROM;
		if (!is_used(world, port))
			return port;
	}
	return 0;
}

int endpoint_bind(struct sock *sock, const struct sockaddr *to, socklen_t octets)
{
	struct place place = {0};
	int error = read_place(sock, to, octets, &place);

	if (error != 0)
		return error < 0 ? error : -EAFNOSUPPORT;
	if (sock->bound || sock->state != SOCK_IDLE)
		return -EINVAL;
	sock->local = place.addr;
	if (place.port != 0 && is_taken(sock, place.port))
		return -EADDRINUSE;
	sock->local_port = place.port != 0 ? place.port : free_port(sock->world);
	sock->bound = true;
	return 0;
}

int endpoint_listen(struct sock *sock, int backlog)
{
	if (sock->state != SOCK_IDLE && sock->state != SOCK_LISTENING)
		return -EINVAL;
	if (backlog < 0 || backlog > BACKLOG_MOST)
		backlog = BACKLOG_MOST;
	if (sock->local_port == 0)
		sock->local_port = free_port(sock->world);
	for (const struct sock *s = sock->world->socks; s != NULL; s = s->next)
		if (s != sock && s->state == SOCK_LISTENING && s->local_port == sock->local_port &&
			clashes(s, sock))
			return -EADDRINUSE;
	sock->bound = true;
	sock->backlog = backlog;
	sock->state = SOCK_LISTENING;
	return 0;
}

// --- accept ---

struct accept_call {
	struct call call;
	struct sock *listener, *found;
};

static bool try_accept(struct call *call)
{
	struct accept_call *a = (struct accept_call *)call;

	if (a->listener->state != SOCK_LISTENING) {
		call->result = -EINVAL;
		return true;
	}
	a->found = sock_first_to_accept(a->listener);
	call->result = a->found != NULL ? 0 : -EAGAIN;
	if (a->found != NULL)
		a->found->listener = NULL;
	return a->found != NULL || call_is_up(call);
}

static uint64_t due_us(const struct world *world, uint64_t patience_us)
{
	return patience_us != 0 ? world->now_us + patience_us : 0;
}

static struct call call_of(struct sock *sock, bool (*attempt)(struct call *), uint64_t patience_us)
{
	return (struct call){.attempt = attempt,
		.world = sock->world,
		.patient = (sock->status & O_NONBLOCK) == 0,
		.due_us = due_us(sock->world, patience_us)};
}

int endpoint_accept(struct sock *sock, struct sockaddr *peer, socklen_t *octets)
{
	struct accept_call a = {
		.call = call_of(sock, try_accept, sock->receive_us), .listener = sock};
	struct place place;
	int fd, error;

	if (sock->state != SOCK_LISTENING)
		return -EINVAL;
	error = (int)call_run(&a.call);
	if (error < 0)
		return error;
	fd = file_open(sock->world, &a.found->file);
	place = (struct place){a.found->peer, a.found->peer_port};
	if (fd < 0) {
		a.found->listener = sock;
		return fd;
	}
	error = write_place(a.found, &place, peer, octets);
	return error < 0 ? error : fd;
}

// --- connect ---

struct connect_call {
	struct call call;
	struct sock *sock;
};

static bool try_connect(struct call *call)
{
	struct sock *sock = ((struct connect_call *)call)->sock;

	if (sock->state == SOCK_CONNECTING) {
		call->result = -EINPROGRESS;
		return call_is_up(call);
	}
	// A connection that came and went before anybody looked is no error of connect().
	call->result = sock->state == SOCK_IDLE ? -sock_take_error(sock) : 0;
	if (sock->state == SOCK_IDLE && call->result == 0)
		call->result = -ECONNABORTED;
	return true;
}

static int wait_connected(struct sock *sock)
{
	struct connect_call c = {.call = call_of(sock, try_connect, sock->send_us), .sock = sock};

	return (int)call_run(&c.call);
}

static void take_local(struct sock *sock)
{
	const struct settings *settings = &sock->world->settings;

	if (is_none(&sock->local))
		sock->local = ip_addr_is_v4(&sock->peer) ? settings->local_v4 : settings->local_v6;
	if (sock->local_port == 0)
		sock->local_port = free_port(sock->world);
}

static int begin_connect(struct sock *sock, const struct place *to)
{
	struct world *world = sock->world;
	struct segment tuple;

	if (sock->domain == AF_INET6 && ip_addr_is_v4(&to->addr) &&
		sock->options[OPTION_V6ONLY] != 0)
		return -ENETUNREACH;
	sock->peer = to->addr;
	sock->peer_port = to->port;
	take_local(sock);
	tuple = (struct segment){.src = sock->local,
		.dst = sock->peer,
		.src_port = sock->local_port,
		.dst_port = sock->peer_port};
	sock->conn = tcp_connect(world->stack, &tuple, world->now_us);
	if (sock->conn == NULL)
		return -EADDRNOTAVAIL;
	*(struct sock **)tcp_conn_app(sock->conn) = sock;
	sock->state = SOCK_CONNECTING;
	sock->syns = 0;
	sock->error = 0;
	sock->fin = sock->shut_send = sock->shut_receive = false;
	sock_apply_options(sock);
	world_settle(world);
	return 0;
}

// connect() to AF_UNSPEC: back to the beginning.
static int disconnect(struct sock *sock)
{
	if (sock->state == SOCK_LISTENING)
		return -EISCONN;
	if (sock->conn != NULL)
		tcp_abort(sock->conn, sock->world->now_us);
	sock->state = SOCK_IDLE;
	sock->error = 0;
	octets_drop(&sock->received, octets_count(&sock->received));
	world_settle(sock->world);
	return 0;
}

int endpoint_connect(struct sock *sock, const struct sockaddr *to, socklen_t octets)
{
	struct place place = {0};
	int error = read_place(sock, to, octets, &place);

	if (error != 0)
		return error < 0 ? error : disconnect(sock);
	if (sock->state == SOCK_CONNECTED || sock->state == SOCK_LISTENING ||
		sock->state == SOCK_OVER)
		return -EISCONN;
	if (sock->state == SOCK_CONNECTING)
		return sock->status & O_NONBLOCK ? -EALREADY : wait_connected(sock);
	if (sock->error != 0)
		return -sock_take_error(sock);
	error = begin_connect(sock, &place);
	return error < 0 ? error : wait_connected(sock);
}

// --- the end ---

int endpoint_shutdown(struct sock *sock, int how)
{
	bool sends = how == SHUT_WR || how == SHUT_RDWR;
	bool receives = how == SHUT_RD || how == SHUT_RDWR;

	if (!sends && !receives)
		return -EINVAL;
	if (sock->state == SOCK_LISTENING && receives) {
		sock->state = SOCK_IDLE;
		inside_forget_handshakes(sock->world->stack, sock->local_port, sock->world->now_us);
		return 0;
	}
	if (sock->state == SOCK_LISTENING)
		return 0;
	if (sock->conn == NULL)
		return -ENOTCONN;
	if (sock->state == SOCK_CONNECTING) {
		tcp_abort(sock->conn, sock->world->now_us);
		return 0;
	}
	sock->shut_receive |= receives;
	sock->edges_any++;
	if (sends && !sock->shut_send) {
		sock->shut_send = true;
		tcp_shutdown(sock->conn, sock->world->now_us);
	}
	world_settle(sock->world);
	return 0;
}

static void close_listener(struct sock *listener)
{
	struct world *world = listener->world;
	struct sock *next;

	listener->state = SOCK_IDLE;
	for (struct sock *s = world->socks; s != NULL; s = next) {
		next = s->next;
		if (s->listener != listener)
			continue;
		s->listener = NULL;
		if (s->conn != NULL)
			tcp_abort(s->conn, world->now_us);
		else
			sock_release(s);
	}
	inside_forget_handshakes(world->stack, listener->local_port, world->now_us);
}

struct close_call {
	struct call call;
	struct sock *sock;
};

static bool try_close(struct call *call)
{
	struct sock *sock = ((struct close_call *)call)->sock;

	call->result = 0;
	return sock->conn == NULL || !inside_fin_is_out(sock->conn) || call_is_up(call);
}

// SO_LINGER: until our FIN is acknowledged, but not for ever.
static void linger(struct sock *sock)
{
	uint64_t us = (uint64_t)sock->linger.l_linger * 1000000;
	struct close_call c = {.call = call_of(sock, try_close, us), .sock = sock};

	c.call.patient = true;
	(void)call_run(&c.call);
}

// RFC 9293 3.6.1: octets that nobody will read are lost, and the peer hears of it by RST (SHLD-3).
static void close_connection(struct sock *sock)
{
	struct world *world = sock->world;
	bool lost = octets_count(&sock->received) > 0;
	bool hard = sock->linger.l_onoff != 0 && sock->linger.l_linger == 0;

	if (lost || hard) {
		tcp_abort(sock->conn, world->now_us);
		return;
	}
	tcp_close(sock->conn, world->now_us);
	world_settle(world);
	if (sock->conn != NULL && sock->linger.l_onoff != 0)
		linger(sock);
}

int endpoint_close(struct sock *sock)
{
	struct world *world = sock->world;

	file_close(world, &sock->file);
	if (sock->state == SOCK_LISTENING)
		close_listener(sock);
	if (sock->conn != NULL)
		close_connection(sock);
	world_settle(world);
	return 0;
}
