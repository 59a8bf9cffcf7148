#include "spool/channel.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static_assert(sizeof(struct channel_record) + CHANNEL_DATA_MAX == CHANNEL_RECORD_MAX,
	"what a receiver makes room for");

static enum err failed(void)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
		return ERR_MORE;
	return ERR_CHANNEL_GONE;
}

// For struct iovec, which has no const for what is only read.
static void *readable(const void *data)
{
	const union {
		const void *in;
		void *out;
	} pointer = {.in = data};

	return pointer.out;
}

enum err channel_send(int fd, const struct channel_record *record, const void *data)
{
	struct iovec iov[2] = {
		{readable(record), sizeof(*record)},
		{readable(data), record->octets},
	};
	const struct msghdr message = {.msg_iov = iov, .msg_iovlen = record->octets > 0 ? 2 : 1};
	ssize_t n;

	assert(record->octets <= CHANNEL_DATA_MAX);
	do
		n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n >= 0 ? ERR_OK : failed();
}

enum err channel_receive(int fd, struct channel_record *record)
{
	struct iovec iov = {record, CHANNEL_RECORD_MAX};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	do
		n = recvmsg(fd, &message, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return failed();
	if (n == 0)
		return ERR_CHANNEL_GONE;
	if ((size_t)n < sizeof(*record) || (message.msg_flags & MSG_TRUNC) != 0)
		return ERR_CHANNEL_BAD;
	if (record->octets != (size_t)n - sizeof(*record))
		return ERR_CHANNEL_BAD;
	if (record->kind < CHANNEL_COMMITTED || record->kind > CHANNEL_QUEUE_ANSWER)
		return ERR_CHANNEL_BAD;
	return ERR_OK;
}
