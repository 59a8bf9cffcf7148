#include "spool/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
	LOCK_TRIES = 100, // with LOCK_PAUSE_MS between: 5 s
	LOCK_PAUSE_MS = 50,
	STRETCH_OCTETS = 1 << 20, // begins to be written as soon as it is complete
};

enum {
	FAILURE_PATH_OCTETS = 512, // for people; longer ones are cut off
};

// The last failure on this thread.
static _Thread_local struct {
	const char *what;
	int error;
	char path[FAILURE_PATH_OCTETS];
} failure;

// at: the file, or the directory that name is in, or -1. The path is asked of the kernel: it has time, something is wrong.
static int failed(const char *what, int at, const char *name)
{
	char link[32];
	ssize_t len = 0;

	failure.what = what;
	failure.error = errno;
	if (at >= 0) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
		len = readlink(link, failure.path, sizeof(failure.path) - 1);
	}
	if (len < 0)
		len = 0;
	snprintf(failure.path + len, sizeof(failure.path) - (size_t)len, "%s%s",
		len > 0 && name[0] != '\0' ? "/" : "", name);
	return -failure.error;
}

static int failed_file(const char *what, int file)
{
	return failed(what, file, "");
}

static int real_open_dir(struct disk *d, const char *path)
{
	int fd;

	(void)d;
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return failed("make", -1, path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return failed("open", -1, path);
	return fd;
}

static int real_open(struct disk *d, int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);

	(void)d;
	if (fd < 0)
		return failed("open", dir, name);
	return fd;
}

static int real_close(struct disk *d, int file)
{
	(void)d;
	return close(file) == 0 ? 0 : failed_file("close", file);
}

// A file system without fallocate still gets the length, and says "no space" at the write.
static int real_preallocate(struct disk *d, int file, uint64_t octets)
{
	(void)d;
	if (fallocate(file, 0, 0, (off_t)octets) == 0)
		return 0;
	if (errno != EOPNOTSUPP)
		return failed_file("preallocate", file);
	return ftruncate(file, (off_t)octets) == 0 ? 0 : failed_file("lengthen", file);
}

// A large message is on its way to the disk while it still comes in, so that the sync at its end, which its sender waits for, has little
// left to do. Only a hint: what it meets is told by that sync.
static void start_writing(int file, uint64_t from, uint64_t to)
{
	const uint64_t first = from / STRETCH_OCTETS, last = to / STRETCH_OCTETS;

	if (first != last)
		(void)sync_file_range(file, (off_t)(first * STRETCH_OCTETS),
			(off_t)((last - first) * STRETCH_OCTETS), SYNC_FILE_RANGE_WRITE);
}

static ssize_t real_pwritev(
	struct disk *d, int file, const struct iovec *iov, int count, uint64_t offset)
{
	ssize_t n = pwritev(file, iov, count, (off_t)offset);

	(void)d;
	if (n < 0)
		return failed_file("write", file);
	start_writing(file, offset, offset + (uint64_t)n);
	return n;
}

static ssize_t real_pread(struct disk *d, int file, void *to, size_t octets, uint64_t offset)
{
	ssize_t n = pread(file, to, octets, (off_t)offset);

	(void)d;
	return n >= 0 ? n : failed_file("read", file);
}

static int64_t real_size(struct disk *d, int file)
{
	struct stat st;

	(void)d;
	return fstat(file, &st) == 0 ? st.st_size : failed_file("look at", file);
}

static int real_sync_data(struct disk *d, int file)
{
	(void)d;
	return fdatasync(file) == 0 ? 0 : failed_file("sync", file);
}

static int real_sync_dir(struct disk *d, int dir)
{
	(void)d;
	return fsync(dir) == 0 ? 0 : failed_file("sync", dir);
}

static int real_room(struct disk *d, int dir, struct disk_room *room)
{
	struct statvfs status;

	(void)d;
	if (fstatvfs(dir, &status) != 0)
		return failed_file("look for room in", dir);
	room->total = (uint64_t)status.f_frsize * status.f_blocks;
	room->free = (uint64_t)status.f_frsize * status.f_bavail;
	return 0;
}

static int real_unlink(struct disk *d, int dir, const char *name)
{
	(void)d;
	return unlinkat(dir, name, 0) == 0 ? 0 : failed("remove", dir, name);
}

static int real_rename(struct disk *d, int dir, const char *from, const char *to)
{
	(void)d;
	return renameat(dir, from, dir, to) == 0 ? 0 : failed("rename", dir, from);
}

static int real_list(
	struct disk *d, int dir, void (*each)(void *user, const char *name), void *user)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	int result;

	(void)d;
	if (stream == NULL)
		return failed_file("list", dir);
	errno = 0;
	// cppcheck-suppress readdirCalled ; the stream is ours alone
	while ((entry = readdir(stream)) != NULL) {
		if (entry->d_name[0] != '.')
			each(user, entry->d_name);
		errno = 0;
	}
	result = errno == 0 ? 0 : failed_file("list", dir);
	closedir(stream);
	return result;
}

// The predecessor may be in the middle of its death (a core dump, a last sync): that is worth a short wait.
static int real_lock(struct disk *d, int dir, const char *name)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
	int fd = real_open(d, dir, name, O_RDWR | O_CREAT);
	int error;

	if (fd < 0)
		return fd;
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		nanosleep(&pause, NULL);
	}
	error = failed_file("lock", fd);
	close(fd);
	return error;
}

static uint64_t real_random(struct disk *d)
{
	uint64_t value = 0;

	(void)d;
	while (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
		continue;
	return value;
}

const char *disk_real_failure(void)
{
	static _Thread_local char text[FAILURE_PATH_OCTETS + 128];

	if (failure.what == NULL)
		return "nothing failed";
	snprintf(text, sizeof(text), "cannot %s %s: %s", failure.what, failure.path,
		strerror(failure.error));
	return text;
}

struct disk *disk_real(void)
{
	static struct disk real = {
		.open_dir = real_open_dir,
		.open = real_open,
		.close = real_close,
		.preallocate = real_preallocate,
		.pwritev = real_pwritev,
		.pread = real_pread,
		.size = real_size,
		.sync_data = real_sync_data,
		.sync_dir = real_sync_dir,
		.room = real_room,
		.unlink = real_unlink,
		.rename = real_rename,
		.list = real_list,
		.lock = real_lock,
		.random = real_random,
	};

	return &real;
}
