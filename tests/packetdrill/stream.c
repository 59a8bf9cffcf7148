#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "call.h"
#include "inside.h"
#include "sock.h"
#include "user.h"
#include "world.h"

enum {
	CHUNK = 65536, // octets that go to the stack at once
};

// A call that has got somewhere in the parts of its caller.
struct stream_call {
	struct call call;
	struct sock *sock;
	const struct iovec *parts;
	size_t count, part, at; // at octets of part are done
	size_t done, total;
	int flags;
};

static void begin(struct stream_call *s, struct sock *sock, const struct msghdr *message, int flags)
{
	*s = (struct stream_call){.sock = sock,
		.parts = message->msg_iov,
		.count = message->msg_iovlen,
		.flags = flags};
	s->call.world = sock->world;
	s->call.patient = (sock->status & O_NONBLOCK) == 0 && (flags & MSG_DONTWAIT) == 0;
}

static void set_patience(struct stream_call *s, uint64_t us)
{
	s->call.due_us = us != 0 ? s->call.world->now_us + us : 0;
}

// The rest of the part that is under way; empty parts are passed.
static struct iovec rest_of_part(struct stream_call *s)
{
	while (s->part < s->count && s->at == s->parts[s->part].iov_len) {
		s->part++;
		s->at = 0;
	}
	if (s->part == s->count)
		return (struct iovec){0};

	const struct iovec *part = &s->parts[s->part];

	return (struct iovec){(char *)part->iov_base + s->at, part->iov_len - s->at};
}

static void advance(struct stream_call *s, size_t octets)
{
	s->at += octets;
	s->done += octets;
}

static bool over(struct stream_call *s, long otherwise)
{
	s->call.result = s->done > 0 ? (long)s->done : otherwise;
	return true;
}

// --- receive ---

// Octets the call has to have before it ends in peace.
static size_t wanted(const struct stream_call *s)
{
	size_t low = (size_t)s->sock->options[OPTION_RCVLOWAT];

	if (s->flags & MSG_WAITALL)
		return s->total;
	return low < s->total ? low : s->total;
}

// False: a part of the caller is not there.
static bool take(struct stream_call *s)
{
	struct octets *received = &s->sock->received;
	size_t before = (s->flags & MSG_PEEK) != 0 ? s->done : 0;

	while (s->done < s->total && octets_count(received) > before) {
		struct iovec to = rest_of_part(s);
		size_t n = octets_count(received) - before;

		if (n > to.iov_len)
			n = to.iov_len;
		if ((s->flags & MSG_TRUNC) == 0 &&
			user_put(to.iov_base, octets_first(received) + before, n) < 0)
			return false;
		advance(s, n);
		if (s->flags & MSG_PEEK)
			before += n;
		else
			octets_drop(received, n);
	}
	return true;
}

// Nothing to read: why not. 0: the end, -EAGAIN: not yet.
static long reason(struct sock *sock)
{
	if (sock->fin)
		return 0;
	if (sock->error != 0)
		return -sock_take_error(sock);
	if (sock->shut_receive)
		return 0;
	if (sock->state == SOCK_IDLE || sock->state == SOCK_LISTENING)
		return -ENOTCONN;
	return -EAGAIN;
}

static bool try_receive(struct call *call)
{
	struct stream_call *s = (struct stream_call *)call;
	size_t before = s->done;
	long why;

	if (s->sock->state != SOCK_LISTENING && !take(s))
		return over(s, -EFAULT);
	if (s->done > before && (s->flags & MSG_PEEK) == 0) {
		sock_consumed(s->sock);
		world_flush(s->call.world);
	}
	if (s->done > 0 && s->done >= wanted(s))
		return over(s, 0);
	if (s->done > 0 && (s->sock->fin || s->sock->error != 0 || s->sock->shut_receive))
		return over(s, 0);
	// What was peeked at is looked at from the start again.
	if (s->flags & MSG_PEEK && !call_is_up(call))
		s->done = s->part = s->at = 0;
	why = s->done > 0 ? -EAGAIN : reason(s->sock);
	return (why != -EAGAIN || call_is_up(call)) && over(s, why);
}

static void put_inq(const struct sock *sock, struct msghdr *message)
{
	struct cmsghdr *control;
	int unread = (int)octets_count(&sock->received);

	// A FIN counts as one, so that whoever waits for more sees that something came.
	if (unread == 0 && sock->fin)
		unread = 1;
	if (message->msg_control == NULL || message->msg_controllen < CMSG_LEN(sizeof(unread))) {
		message->msg_flags |= MSG_CTRUNC;
		message->msg_controllen = 0;
		return;
	}
	control = message->msg_control;
	control->cmsg_level = IPPROTO_TCP;
	control->cmsg_type = TCP_CM_INQ;
	control->cmsg_len = CMSG_LEN(sizeof(unread));
	memcpy(CMSG_DATA(control), &unread, sizeof(unread));
	message->msg_controllen = CMSG_LEN(sizeof(unread));
}

ssize_t stream_receive(struct sock *sock, struct msghdr *message, int flags)
{
	struct stream_call s;
	ssize_t total = user_total(message->msg_iov, message->msg_iovlen), result;

	if (total < 0)
		return total;
	if (flags & MSG_OOB)
		return -EINVAL;
	// There is no queue of errors beside SO_ERROR.
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	begin(&s, sock, message, flags);
	s.call.attempt = try_receive;
	s.total = (size_t)total;
	set_patience(&s, sock->receive_us);
	result = call_run(&s.call);
	message->msg_flags = 0;
	message->msg_namelen = 0;
	if (result < 0)
		return result;
	if (sock->options[OPTION_INQ] != 0)
		put_inq(sock, message);
	else
		message->msg_controllen = 0;
	return result;
}

// --- send ---

// Put what there is room for into the queue. False: a part of the caller is not there.
static bool give(struct stream_call *s)
{
	static uint8_t copy[CHUNK];
	struct sock *sock = s->sock;

	while (s->done < s->total) {
		struct iovec from = rest_of_part(s);
		size_t n = from.iov_len, space = sock_send_space(sock);

		if (n > space)
			n = space;
		if (n > sizeof(copy))
			n = sizeof(copy);
		if (n == 0)
			break;
		if (user_get(copy, from.iov_base, n) < 0)
			return false;
		if (!tcp_send(sock->conn, (struct slice){copy, n}, s->call.world->now_us))
			break;
		advance(s, n);
		// What leaves at once does not count as unsent.
		if (s->done < s->total)
			world_flush(s->call.world);
	}
	return true;
}

// The pending error first, then EPIPE.
static long broken(struct sock *sock)
{
	return sock->error != 0 ? -sock_take_error(sock) : -EPIPE;
}

static bool try_send(struct call *call)
{
	struct stream_call *s = (struct stream_call *)call;
	struct sock *sock = s->sock;
	bool all_there;

	if (sock->state == SOCK_CONNECTING)
		return call_is_up(call) && over(s, -EAGAIN);
	if (sock->state != SOCK_CONNECTED || sock->shut_send || sock->error != 0)
		return over(s, broken(sock));
	sock_answers(sock);
	all_there = give(s);
	world_flush(s->call.world);
	if (!all_there)
		return over(s, -EFAULT);
	if (s->done == s->total)
		return over(s, 0);
	sock->no_space = true;
	return call_is_up(call) && over(s, -EAGAIN);
}

ssize_t stream_send(struct sock *sock, const struct msghdr *message, int flags)
{
	struct stream_call s;
	ssize_t total = user_total(message->msg_iov, message->msg_iovlen);

	if (total < 0)
		return total;
	if (flags & (MSG_OOB | MSG_FASTOPEN))
		return -EOPNOTSUPP;
	begin(&s, sock, message, flags);
	s.call.attempt = try_send;
	s.total = (size_t)total;
	set_patience(&s, sock->send_us);
	sock->more = (flags & MSG_MORE) != 0;
	sock_apply_options(sock);
	return call_run(&s.call);
}

// --- ioctl ---

int stream_ioctl(struct sock *sock, unsigned long request, int *value)
{
	int number = 0;

	switch (request) {
	case SIOCINQ:
		if (sock->state == SOCK_LISTENING)
			return -EINVAL;
		number = (int)octets_count(&sock->received);
		break;
	case SIOCOUTQ:
		if (sock->state == SOCK_LISTENING)
			return -EINVAL;
		number = sock->conn != NULL ? (int)inside_queued(sock->conn) : 0;
		break;
	case SIOCOUTQNSD:
		if (sock->state == SOCK_LISTENING)
			return -EINVAL;
		number = sock->conn != NULL ? (int)inside_unsent(sock->conn) : 0;
		break;
	case SIOCATMARK:
		break;
	case FIONBIO:
		if (user_get(&number, value, sizeof(number)) < 0)
			return -EFAULT;
		sock->status = (sock->status & ~O_NONBLOCK) | (number != 0 ? O_NONBLOCK : 0);
		return 0;
	default:
		return -ENOTTY;
	}
	return user_put(value, &number, sizeof(number));
}
