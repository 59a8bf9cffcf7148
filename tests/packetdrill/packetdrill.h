// packetdrill.h - the table of functions that packetdrill asks a shared object for (its --so_filename): the order of the
// members is the interface, and a fact of theirs.
//
// Thread: packetdrill calls from two threads: one runs the script, one makes the calls that are to block.
// Memory: user is what packetdrill_interface_init() left there, given back with every call.
// Errors: as the system calls of the same names: -1 and errno.

#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct packetdrill_interface {
	void *user;
	void (*free)(void *user);
	int (*socket)(void *user, int domain, int type, int protocol);
	int (*bind)(void *user, int fd, const struct sockaddr *to, socklen_t octets);
	int (*listen)(void *user, int fd, int backlog);
	int (*accept)(void *user, int fd, struct sockaddr *peer, socklen_t *octets);
	int (*connect)(void *user, int fd, const struct sockaddr *to, socklen_t octets);
	ssize_t (*read)(void *user, int fd, void *at, size_t octets);
	ssize_t (*readv)(void *user, int fd, const struct iovec *parts, int count);
	ssize_t (*recv)(void *user, int fd, void *at, size_t octets, int flags);
	ssize_t (*recvfrom)(void *user, int fd, void *at, size_t octets, int flags,
		struct sockaddr *peer, socklen_t *peer_octets);
	ssize_t (*recvmsg)(void *user, int fd, struct msghdr *message, int flags);
	ssize_t (*write)(void *user, int fd, const void *at, size_t octets);
	ssize_t (*writev)(void *user, int fd, const struct iovec *parts, int count);
	ssize_t (*send)(void *user, int fd, const void *at, size_t octets, int flags);
	ssize_t (*sendto)(void *user, int fd, const void *at, size_t octets, int flags,
		const struct sockaddr *to, socklen_t to_octets);
	ssize_t (*sendmsg)(void *user, int fd, const struct msghdr *message, int flags);
	int (*fcntl)(void *user, int fd, int command, ...);
	int (*ioctl)(void *user, int fd, unsigned long request, ...);
	int (*close)(void *user, int fd);
	int (*shutdown)(void *user, int fd, int how);
	int (*getsockopt)(void *user, int fd, int level, int name, void *value, socklen_t *octets);
	int (*setsockopt)(
		void *user, int fd, int level, int name, const void *value, socklen_t octets);
	int (*poll)(void *user, struct pollfd *fds, nfds_t count, int timeout_ms);
	// A raw IP packet for the stack. 0, or -1.
	int (*netdev_send)(void *user, const void *at, size_t octets);
	// The next raw IP packet that the stack sent: *octets is the room at, then what was put there, 0 for none; *at_us
	// when it was sent.
	int (*netdev_receive)(void *user, void *at, size_t *octets, long long *at_us);
	int (*usleep)(void *user, useconds_t us);
	int (*gettimeofday)(void *user, struct timeval *now, struct timezone *zone);
	int (*epoll_create)(void *user, int size);
	int (*epoll_ctl)(void *user, int epfd, int op, int fd, struct epoll_event *event);
	int (*epoll_wait)(
		void *user, int epfd, struct epoll_event *events, int room, int timeout_ms);
	int (*pipe)(void *user, int fds[2]);
	int (*splice)(void *user, int in, loff_t *in_at, int out, loff_t *out_at, size_t octets,
		unsigned int flags);
};

// flags: what --so_flags said, or NULL: KEY=VALUE,... (settings.h). A key that is not known ends the process.
void packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface);
