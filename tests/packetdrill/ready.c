#include "ready.h"

#include <errno.h>
#include <stdbool.h>

#include "call.h"
#include "sock.h"
#include "world.h"

enum { READABLE = POLLIN | POLLRDNORM, WRITABLE = POLLOUT | POLLWRNORM };

static uint32_t receive_events(const struct sock *sock)
{
	uint32_t events = 0;
	size_t unread = octets_count(&sock->received);
	size_t low = (size_t)sock->options[OPTION_RCVLOWAT];

	if (sock->fin || sock->shut_receive)
		events |= READABLE | POLLRDHUP;
	if (unread > 0 && unread >= low)
		events |= READABLE;
	return events;
}

static uint32_t send_events(struct sock *sock)
{
	if (sock->shut_send || sock->conn == NULL)
		return WRITABLE;
	if (sock_is_writable(sock))
		return WRITABLE;
	sock->no_space = true;
	return 0;
}

uint32_t ready_events(struct sock *sock)
{
	uint32_t events = sock->error != 0 ? POLLERR : 0;
	bool no_connection = sock->state == SOCK_IDLE || sock->state == SOCK_OVER;

	if (sock->state == SOCK_LISTENING)
		return sock_first_to_accept(sock) != NULL ? READABLE : 0;
	if (sock->state == SOCK_CONNECTING)
		return events;
	if (no_connection || ((sock->fin || sock->shut_receive) && sock->shut_send))
		events |= POLLHUP;
	return events | receive_events(sock) | send_events(sock);
}

struct poll_call {
	struct call call;
	struct pollfd *fds;
	nfds_t count;
};

static short events_of(const struct world *world, const struct pollfd *poll)
{
	struct sock *sock = sock_find(world, poll->fd);
	uint32_t asked = (uint16_t)poll->events | POLLERR | POLLHUP;

	if (poll->fd < 0)
		return 0;
	return (short)(sock != NULL ? ready_events(sock) & asked : POLLNVAL);
}

static bool try_poll(struct call *call)
{
	struct poll_call *p = (struct poll_call *)call;
	int ready = 0;

	for (nfds_t i = 0; i < p->count; i++) {
		p->fds[i].revents = events_of(call->world, &p->fds[i]);
		ready += p->fds[i].revents != 0;
	}
	call->result = ready;
	return ready > 0 || call_is_up(call);
}

int ready_poll(struct world *world, struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct poll_call p = {.fds = fds, .count = count};

	p.call.attempt = try_poll;
	p.call.world = world;
	p.call.patient = timeout_ms != 0;
	if (timeout_ms > 0)
		p.call.due_us = world->now_us + (uint64_t)timeout_ms * 1000;
	return (int)call_run(&p.call);
}
