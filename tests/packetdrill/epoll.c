#include "epoll.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "call.h"
#include "file.h"
#include "ready.h"
#include "sock.h"
#include "world.h"

enum { ITEMS = 64 };

// What a socket's edges were when they were last told.
struct edges {
	uint32_t in, out, any;
};

struct item {
	int fd;     // -1: free
	bool fresh; // added or changed, and not looked at since
	bool spent; // one shot, and fired
	struct epoll_event event;
	struct edges seen;
};

struct set {
	struct file file;
	struct item items[ITEMS];
};

static struct set *find(const struct world *world, int fd)
{
	return (struct set *)file_find(world, fd, FILE_EPOLL);
}

int epoll_make(struct world *world, int size)
{
	struct set *set;
	int fd;

	if (size <= 0)
		return -EINVAL;
	set = calloc(1, sizeof(*set));
	assert(set != NULL);
	set->file.kind = FILE_EPOLL;
	for (size_t i = 0; i < ITEMS; i++)
		set->items[i].fd = -1;
	fd = file_open(world, &set->file);
	if (fd < 0)
		free(set);
	return fd;
}

bool epoll_end(struct world *world, int fd)
{
	struct set *set = find(world, fd);

	if (set == NULL)
		return false;
	file_close(world, &set->file);
	free(set);
	return true;
}

static struct item *item_of(struct set *set, int fd)
{
	for (size_t i = 0; i < ITEMS; i++)
		if (set->items[i].fd == fd)
			return &set->items[i];
	return NULL;
}

static int add(struct set *set, const struct epoll_change *change)
{
	struct item *item = item_of(set, -1);

	if (item_of(set, change->fd) != NULL)
		return -EEXIST;
	if (item == NULL)
		return -ENOSPC;
	*item = (struct item){.fd = change->fd, .fresh = true, .event = *change->event};
	return 0;
}

static int modify(struct set *set, const struct epoll_change *change)
{
	struct item *item = item_of(set, change->fd);

	if (item == NULL)
		return -ENOENT;
	if ((change->event->events | item->event.events) & EPOLLEXCLUSIVE)
		return -EINVAL;
	item->event = *change->event;
	item->fresh = true;
	item->spent = false;
	return 0;
}

static int delete (struct set *set, int fd)
{
	struct item *item = item_of(set, fd);

	if (item == NULL)
		return -ENOENT;
	item->fd = -1;
	return 0;
}

int epoll_change(struct world *world, const struct epoll_change *change)
{
	struct set *set = find(world, change->set);

	if (set == NULL)
		return sock_find(world, change->set) != NULL ? -EINVAL : -EBADF;
	if (sock_find(world, change->fd) == NULL)
		return -EBADF;
	switch (change->op) {
	case EPOLL_CTL_ADD:
		return change->event != NULL ? add(set, change) : -EFAULT;
	case EPOLL_CTL_MOD:
		return change->event != NULL ? modify(set, change) : -EFAULT;
	case EPOLL_CTL_DEL:
		return delete (set, change->fd);
	default:
		return -EINVAL;
	}
}

static bool has_edge(const struct item *item, const struct sock *sock)
{
	uint32_t events = item->event.events;

	if (item->fresh || sock->edges_any != item->seen.any)
		return true;
	if (sock->edges_in != item->seen.in && (events & (EPOLLIN | EPOLLRDNORM)) != 0)
		return true;
	return sock->edges_out != item->seen.out && (events & (EPOLLOUT | EPOLLWRNORM)) != 0;
}

// What to tell of an item; 0: nothing.
static uint32_t look(struct item *item, struct sock *sock)
{
	uint32_t events = item->event.events;
	uint32_t now;

	if (item->spent || ((events & EPOLLET) != 0 && !has_edge(item, sock)))
		return 0;
	item->fresh = false;
	item->seen = (struct edges){sock->edges_in, sock->edges_out, sock->edges_any};
	// The bits of poll() and of epoll are the same.
	now = ready_events(sock) & (events | EPOLLERR | EPOLLHUP);
	if (now != 0 && (events & EPOLLONESHOT) != 0)
		item->spent = true;
	return now;
}

struct epoll_call {
	struct call call;
	struct set *set;
	const struct epoll_wait *wait;
};

static bool try_wait(struct call *call)
{
	struct epoll_call *e = (struct epoll_call *)call;
	int ready = 0;

	for (size_t i = 0; i < ITEMS && ready < e->wait->room; i++) {
		struct item *item = &e->set->items[i];
		struct sock *sock = item->fd >= 0 ? sock_find(call->world, item->fd) : NULL;
		uint32_t events;

		// A socket that was closed is in no set any more.
		if (sock == NULL) {
			item->fd = -1;
			continue;
		}
		events = look(item, sock);
		if (events == 0)
			continue;
		e->wait->events[ready].events = events;
		e->wait->events[ready++].data = item->event.data;
	}
	call->result = ready;
	return ready > 0 || call_is_up(call);
}

int epoll_await(struct world *world, const struct epoll_wait *wait)
{
	struct epoll_call e = {.set = find(world, wait->set), .wait = wait};

	if (e.set == NULL)
		return sock_find(world, wait->set) != NULL ? -EINVAL : -EBADF;
	if (wait->room <= 0)
		return -EINVAL;
	e.call.attempt = try_wait;
	e.call.world = world;
	e.call.patient = wait->timeout_ms != 0;
	if (wait->timeout_ms > 0)
		e.call.due_us = world->now_us + (uint64_t)wait->timeout_ms * 1000;
	return (int)call_run(&e.call);
}
