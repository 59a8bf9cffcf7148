// epoll.h - epoll sets of sockets: level and edge triggered, one shot.
//
// An edge is a change of what the socket counts (sock.h, edges_*): as in Linux it may be told although the state that is
// reported with it is an old one.
//
// Thread: any, with the lock of the world. Memory: a set lives until it is closed, or the world ends. Blocks: epoll_await() (call.h).

#pragma once

#include <stdbool.h>
#include <sys/epoll.h>

struct world;

// A descriptor, or -errno.
int epoll_make(struct world *world, int size);

struct epoll_change {
	int set, op, fd;
	const struct epoll_event *event;
};

// 0, or -errno.
int epoll_change(struct world *world, const struct epoll_change *change);

struct epoll_wait {
	int set;
	struct epoll_event *events;
	int room, timeout_ms;
};

// How many events, or -errno.
int epoll_await(struct world *world, const struct epoll_wait *wait);

// The descriptor is closed. False: it is no set.
bool epoll_end(struct world *world, int fd);
