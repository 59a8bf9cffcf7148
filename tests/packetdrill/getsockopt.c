#include "getsockopt.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "packetdrill.h"

static const struct packetdrill_interface *serving;

void getsockopt_serve(const struct packetdrill_interface *interface)
{
	serving = interface;
}

void getsockopt_stop(void)
{
	serving = NULL;
}

__attribute__((visibility("default"))) int getsockopt(
	int fd, int level, int name, void *restrict value, socklen_t *restrict octets)
{
	if (serving != NULL) {
		int result = serving->getsockopt(serving->user, fd, level, name, value, octets);

		if (result == 0 || errno != EBADF)
			return result;
	}
	return (int)syscall(SYS_getsockopt, fd, level, name, value, octets);
}
