#include "packetdrill.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "endpoint.h"
#include "epoll.h"
#include "getsockopt.h"
#include "option.h"
#include "ready.h"
#include "sock.h"
#include "stream.h"
#include "world.h"

// --- every call: the lock, the socket, errno ---

static struct world *enter(void *user)
{
	struct world *world = user;

	pthread_mutex_lock(&world->lock);
	world->entries++;
	return world;
}

// result: >= 0, or -errno.
static long leave(struct world *world, long result)
{
	world_settle(world);
	pthread_mutex_unlock(&world->lock);
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

// The socket, held until leave_sock(). NULL: it is none, and *result says how.
static struct sock *enter_sock(void *user, int fd)
{
	struct sock *sock = sock_find(enter(user), fd);

	if (sock != NULL)
		sock_pin(sock);
	return sock;
}

static long leave_sock(void *user, struct sock *sock, long result)
{
	if (sock != NULL)
		sock_unpin(sock);
	return leave(user, sock != NULL ? result : -EBADF);
}

// --- sockets ---

static int call_socket(void *user, int domain, int type, int protocol)
{
	struct world *world = enter(user);
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), fd;
	struct sock *sock;

	if (domain != AF_INET && domain != AF_INET6)
		return (int)leave(world, -EAFNOSUPPORT);
	if (kind != SOCK_STREAM)
		return (int)leave(world, -ESOCKTNOSUPPORT);
	if (protocol != 0 && protocol != IPPROTO_TCP)
		return (int)leave(world, -EPROTONOSUPPORT);
	world_begin(world);
	sock = sock_make(world, domain);
	sock->status = O_RDWR | ((type & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0);
	fd = file_open(world, &sock->file);
	sock_release(sock);
	return (int)leave(world, fd);
}

static int call_bind(void *user, int fd, const struct sockaddr *to, socklen_t octets)
{
	struct sock *sock = enter_sock(user, fd);

	return (int)leave_sock(user, sock, sock != NULL ? endpoint_bind(sock, to, octets) : 0);
}

static int call_listen(void *user, int fd, int backlog)
{
	struct sock *sock = enter_sock(user, fd);

	return (int)leave_sock(user, sock, sock != NULL ? endpoint_listen(sock, backlog) : 0);
}

static int call_accept(void *user, int fd, struct sockaddr *peer, socklen_t *octets)
{
	struct sock *sock = enter_sock(user, fd);

	return (int)leave_sock(user, sock, sock != NULL ? endpoint_accept(sock, peer, octets) : 0);
}

static int call_connect(void *user, int fd, const struct sockaddr *to, socklen_t octets)
{
	struct sock *sock = enter_sock(user, fd);

	return (int)leave_sock(user, sock, sock != NULL ? endpoint_connect(sock, to, octets) : 0);
}

static int call_shutdown(void *user, int fd, int how)
{
	struct sock *sock = enter_sock(user, fd);

	return (int)leave_sock(user, sock, sock != NULL ? endpoint_shutdown(sock, how) : 0);
}

static int call_close(void *user, int fd)
{
	struct sock *sock = enter_sock(user, fd);

	if (sock == NULL && epoll_end(user, fd))
		return (int)leave(user, 0);
	return (int)leave_sock(user, sock, sock != NULL ? endpoint_close(sock) : 0);
}

// --- octets ---

static ssize_t receive(void *user, int fd, struct msghdr *message, int flags)
{
	struct sock *sock = enter_sock(user, fd);

	return leave_sock(user, sock, sock != NULL ? stream_receive(sock, message, flags) : 0);
}

static ssize_t receive_parts(void *user, int fd, struct iovec *parts, size_t count, int flags)
{
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};

	return receive(user, fd, &message, flags);
}

static ssize_t call_recv(void *user, int fd, void *at, size_t octets, int flags)
{
	struct iovec part = {at, octets};

	return receive_parts(user, fd, &part, 1, flags);
}

static ssize_t call_read(void *user, int fd, void *at, size_t octets)
{
	return octets > 0 ? call_recv(user, fd, at, octets, 0) : 0;
}

static ssize_t call_readv(void *user, int fd, const struct iovec *parts, int count)
{
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};

	return receive(user, fd, &message, 0);
}

// A stream tells no sender.
static ssize_t call_recvfrom(void *user, int fd, void *at, size_t octets, int flags,
	struct sockaddr *peer, socklen_t *peer_octets)
{
	(void)peer;
	if (peer_octets != NULL)
		*peer_octets = 0;
	return call_recv(user, fd, at, octets, flags);
}

static ssize_t call_recvmsg(void *user, int fd, struct msghdr *message, int flags)
{
	return receive(user, fd, message, flags);
}

static ssize_t call_sendmsg(void *user, int fd, const struct msghdr *message, int flags)
{
	struct sock *sock = enter_sock(user, fd);

	return leave_sock(user, sock, sock != NULL ? stream_send(sock, message, flags) : 0);
}

static ssize_t call_send(void *user, int fd, const void *at, size_t octets, int flags)
{
	struct iovec part = {(void *)(uintptr_t)at, octets};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	return call_sendmsg(user, fd, &message, flags);
}

static ssize_t call_write(void *user, int fd, const void *at, size_t octets)
{
	return call_send(user, fd, at, octets, 0);
}

static ssize_t call_writev(void *user, int fd, const struct iovec *parts, int count)
{
	struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};

	return call_sendmsg(user, fd, &message, 0);
}

// A connected stream goes where it goes.
static ssize_t call_sendto(void *user, int fd, const void *at, size_t octets, int flags,
	const struct sockaddr *to, socklen_t to_octets)
{
	(void)to;
	(void)to_octets;
	return call_send(user, fd, at, octets, flags);
}

// --- control ---

static long control(struct sock *sock, int command, int value)
{
	enum { MAY_CHANGE = O_NONBLOCK | O_APPEND | O_ASYNC };

	switch (command) {
	case F_GETFL:
		return sock->status;
	case F_SETFL:
		sock->status = (sock->status & ~MAY_CHANGE) | (value & MAY_CHANGE);
		return 0;
	case F_GETFD:
		return FD_CLOEXEC;
	case F_SETFD:
		return 0;
	default:
		return -EINVAL;
	}
}

static int call_fcntl(void *user, int fd, int command, ...)
{
	struct sock *sock = enter_sock(user, fd);
	va_list args;
	int value = 0;

	va_start(args, command);
	if (command == F_SETFL || command == F_SETFD)
		value = va_arg(args, int);
	va_end(args);
	return (int)leave_sock(user, sock, sock != NULL ? control(sock, command, value) : 0);
}

static int call_ioctl(void *user, int fd, unsigned long request, ...)
{
	struct sock *sock = enter_sock(user, fd);
	va_list args;
	int *value;

	va_start(args, request);
	value = va_arg(args, int *);
	va_end(args);
	return (int)leave_sock(user, sock, sock != NULL ? stream_ioctl(sock, request, value) : 0);
}

static int call_getsockopt(void *user, int fd, int level, int name, void *value, socklen_t *octets)
{
	struct sock *sock = enter_sock(user, fd);
	struct option_name which = {level, name};

	return (int)leave_sock(
		user, sock, sock != NULL ? option_get(sock, which, value, octets) : 0);
}

static int call_setsockopt(
	void *user, int fd, int level, int name, const void *value, socklen_t octets)
{
	struct sock *sock = enter_sock(user, fd);
	struct option_name which = {level, name};

	return (int)leave_sock(
		user, sock, sock != NULL ? option_set(sock, which, value, octets) : 0);
}

// --- many at once ---

static int call_poll(void *user, struct pollfd *fds, nfds_t count, int timeout_ms)
{
	struct world *world = enter(user);

	return (int)leave(world, ready_poll(world, fds, count, timeout_ms));
}

static int call_epoll_create(void *user, int size)
{
	struct world *world = enter(user);

	return (int)leave(world, epoll_make(world, size));
}

static int call_epoll_ctl(void *user, int epfd, int op, int fd, struct epoll_event *event)
{
	struct world *world = enter(user);
	struct epoll_change change = {epfd, op, fd, event};

	return (int)leave(world, epoll_change(world, &change));
}

static int call_epoll_wait(
	void *user, int epfd, struct epoll_event *events, int room, int timeout_ms)
{
	struct world *world = enter(user);
	struct epoll_wait wait = {epfd, events, room, timeout_ms};

	return (int)leave(world, epoll_await(world, &wait));
}

static int call_pipe(void *user, int fds[2])
{
	(void)user;
	(void)fds;
	errno = ENOSYS;
	return -1;
}

static int call_splice(void *user, int in, loff_t *in_at, int out, loff_t *out_at, size_t octets,
	unsigned int flags)
{
	(void)user;
	(void)in;
	(void)in_at;
	(void)out;
	(void)out_at;
	(void)octets;
	(void)flags;
	errno = ENOSYS;
	return -1;
}

// --- the wire and the clock ---

static int netdev_send(void *user, const void *at, size_t octets)
{
	struct world *world = enter(user);
	bool good;

	world_begin(world);
	good = wire_inject(world, at, octets);
	return (int)leave(world, good ? 0 : -EINVAL);
}

// Whoever waits for a packet makes time pass until there is one.
static int netdev_receive(void *user, void *at, size_t *octets, long long *at_us)
{
	struct world *world = enter(user);
	uint64_t sent_us = world->now_us;

	while (world->wire.first == NULL)
		if (!world_step(world, world->now_us + WORLD_FOR_EVER_US)) {
			fprintf(stderr, "libpostern_packetdrill: no packet will come\n");
			break;
		}
	*octets = wire_take(&world->wire, at, *octets, &sent_us);
	*at_us = (long long)sent_us;
	return (int)leave(world, 0);
}

static int sleep_us(void *user, useconds_t us)
{
	struct world *world = enter(user);

	world_run(world, world->now_us + us);
	return (int)leave(world, 0);
}

// Each look takes a microsecond: callers spin until a time has come. Who has just been woken is told when.
static int time_of_day(void *user, struct timeval *now, struct timezone *zone)
{
	struct world *world = enter(user);
	uint64_t us = call_returned_us();

	(void)zone;
	if (us == 0) {
		world_run(world, world->now_us + 1);
		us = world->now_us;
	}
	now->tv_sec = (time_t)(us / 1000000);
	now->tv_usec = (suseconds_t)(us % 1000000);
	return (int)leave(world, 0);
}

static void end(void *user)
{
	getsockopt_stop();
	world_free(user);
}

__attribute__((visibility("default"))) void packetdrill_interface_init(
	const char *flags, struct packetdrill_interface *interface)
{
	*interface = (struct packetdrill_interface){.user = world_make(flags),
		.free = end,
		.socket = call_socket,
		.bind = call_bind,
		.listen = call_listen,
		.accept = call_accept,
		.connect = call_connect,
		.read = call_read,
		.readv = call_readv,
		.recv = call_recv,
		.recvfrom = call_recvfrom,
		.recvmsg = call_recvmsg,
		.write = call_write,
		.writev = call_writev,
		.send = call_send,
		.sendto = call_sendto,
		.sendmsg = call_sendmsg,
		.fcntl = call_fcntl,
		.ioctl = call_ioctl,
		.close = call_close,
		.shutdown = call_shutdown,
		.getsockopt = call_getsockopt,
		.setsockopt = call_setsockopt,
		.poll = call_poll,
		.netdev_send = netdev_send,
		.netdev_receive = netdev_receive,
		.usleep = sleep_us,
		.gettimeofday = time_of_day,
		.epoll_create = call_epoll_create,
		.epoll_ctl = call_epoll_ctl,
		.epoll_wait = call_epoll_wait,
		.pipe = call_pipe,
		.splice = call_splice};
	getsockopt_serve(interface);
}
