#include "supervise/config_memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL,
};

static int write_all(int fd, const char *at, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy(int from, int to)
{
	char block[65536];
	size_t total = 0;

	for (;;) {
		ssize_t n = read(from, block, sizeof(block));
		int status;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		total += (size_t)n;
		if (total > CONFIG_MEMFD_MAX_OCTETS)
			return -EFBIG;
		status = write_all(to, block, (size_t)n);
		if (status < 0)
			return status;
	}
}

// A pipe or device could keep the caller waiting for ever, who is asked by name over the control socket.
static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat found;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode))
		return fd;
	close(fd);
	return -EMEDIUMTYPE;
}

int config_memfd_read(const char *path)
{
	int from = open_regular(path);
	int memfd, status;

	if (from < 0)
		return from;
	memfd = memfd_create("postern-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memfd < 0) {
		status = -errno;
		close(from);
		return status;
	}
	status = copy(from, memfd);
	if (status == 0 && fcntl(memfd, F_ADD_SEALS, SEALS) < 0)
		status = -errno;
	close(from);
	if (status == 0)
		return memfd;
	close(memfd);
	return status;
}

int config_memfd_reopen(int memfd)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd;
}

bool config_memfd_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS;
}
