#include "supervise/child_link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union fd_message {
	struct cmsghdr header;
	char octets[CMSG_SPACE(sizeof(int))];
};

int child_link_send(int link, enum child_link_kind kind, int fd)
{
	struct child_link_record record = {.kind = kind};
	struct iovec iov = {&record, sizeof(record)};
	union fd_message control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (fd >= 0) {
		msg.msg_control = control.octets;
		msg.msg_controllen = sizeof(control.octets);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(link, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int child_link_receive(int link, struct child_link_record *record, int *fd)
{
	struct iovec iov = {record, sizeof(*record)};
	union fd_message control;
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.octets,
		.msg_controllen = sizeof(control.octets)};
	ssize_t n = recvmsg(link, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	const struct cmsghdr *c;

	*fd = -1;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	if (n == sizeof(*record))
		return 1;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return -1;
}
