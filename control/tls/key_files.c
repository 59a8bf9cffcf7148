#include "tls/key_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
	char *path;
	uint8_t *octets;
	size_t len;
};

struct key_files {
	struct file files[KEY_FILES_MAX];
	uint32_t count;
};

struct key_files *key_files_new(void)
{
	return calloc(1, sizeof(struct key_files));
}

static void file_wipe(struct file *f)
{
	if (f->octets != NULL)
		explicit_bzero(f->octets, f->len);
	free(f->octets);
	free(f->path);
	*f = (struct file){0};
}

void key_files_free(struct key_files *files)
{
	if (files == NULL)
		return;
	for (uint32_t i = 0; i < files->count; i++)
		file_wipe(&files->files[i]);
	free(files);
}

struct slice key_files_find(const struct key_files *files, const char *path)
{
	for (uint32_t i = 0; files != NULL && i < files->count; i++) {
		const struct file *f = &files->files[i];

		if (strcmp(f->path, path) == 0)
			return (struct slice){f->octets, f->len};
	}
	return (struct slice){NULL, 0};
}

// A place for path with room for len octets. 0 or -errno.
static int add(struct key_files *files, const char *path, size_t len, struct file **place)
{
	struct file *f = &files->files[files->count];

	if (files->count == KEY_FILES_MAX)
		return -EMFILE;
	f->path = strdup(path);
	f->octets = malloc(len + 1); // an empty file is a file
	f->len = len;
	if (f->path == NULL || f->octets == NULL) {
		f->len = 0;
		file_wipe(f);
		return -ENOMEM;
	}
	files->count++;
	*place = f;
	return 0;
}

static int read_whole(int fd, struct file *f)
{
	for (size_t done = 0; done < f->len;) {
		ssize_t n = read(fd, f->octets + done, f->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) { // it has become shorter
			f->len = done;
			return 0;
		}
		done += (size_t)n;
	}
	return 0;
}

// A pipe or device could keep us waiting for ever.
static int open_regular(const char *path, size_t *octets)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), status = -EMEDIUMTYPE;
	struct stat found;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
		*octets = (size_t)found.st_size;
		if (found.st_size <= KEY_FILES_OCTETS)
			return fd;
		status = -EFBIG;
	}
	close(fd);
	return status;
}

int key_files_read(struct key_files *files, const char *path)
{
	size_t octets = 0;
	struct file *f;
	int fd, status;

	if (key_files_find(files, path).at != NULL)
		return 0;
	fd = open_regular(path, &octets);
	if (fd < 0)
		return fd;
	status = add(files, path, octets, &f);
	if (status == 0) {
		status = read_whole(fd, f);
		if (status < 0) {
			file_wipe(f);
			files->count--;
		}
	}
	close(fd);
	return status;
}

int key_files_copy(struct key_files *files, const struct key_files *other, const char *path)
{
	struct slice found = key_files_find(other, path);
	struct file *f;
	int status;

	if (found.at == NULL)
		return -ENOENT;
	if (key_files_find(files, path).at != NULL)
		return 0;
	status = add(files, path, found.len, &f);
	if (status == 0)
		memcpy(f->octets, found.at, found.len);
	return status;
}

// ---- As one memory: for each file two lengths, its path, its octets

struct head {
	uint32_t path, octets;
};

static bool put(int fd, const void *octets, size_t len)
{
	return len == 0 || write(fd, octets, len) == (ssize_t)len;
}

static bool put_all(int fd, const struct key_files *files)
{
	for (uint32_t i = 0; i < files->count; i++) {
		const struct file *f = &files->files[i];
		struct head head = {(uint32_t)strlen(f->path), (uint32_t)f->len};

		if (!put(fd, &head, sizeof(head)) || !put(fd, f->path, head.path) ||
			!put(fd, f->octets, f->len))
			return false;
	}
	return true;
}

int key_files_to_memfd(const struct key_files *files)
{
	int fd = memfd_create("postern-keys", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int why;

	if (fd < 0)
		return -errno;
	if (put_all(fd, files) &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) ==
			0)
		return fd;
	why = errno;
	close(fd);
	return -why;
}

static bool get(int fd, off_t *at, void *octets, size_t len)
{
	if (len > 0 && pread(fd, octets, len, *at) != (ssize_t)len)
		return false;
	*at += (off_t)len;
	return true;
}

static bool get_one(int fd, off_t *at, const struct head *head, struct key_files *files)
{
	char path[4097];
	struct file *f;

	if (head->path >= sizeof(path) || head->octets > KEY_FILES_OCTETS ||
		!get(fd, at, path, head->path))
		return false;
	path[head->path] = '\0';
	return add(files, path, head->octets, &f) == 0 && get(fd, at, f->octets, head->octets);
}

struct key_files *key_files_from_memfd(int memfd)
{
	struct key_files *files = key_files_new();
	struct head head;
	struct stat found;
	off_t at = 0;

	if (files == NULL || fstat(memfd, &found) != 0 || !S_ISREG(found.st_mode))
		goto fail;
	while (at < found.st_size) {
		if (!get(memfd, &at, &head, sizeof(head)) || !get_one(memfd, &at, &head, files))
			goto fail;
	}
	return files;
fail:
	key_files_free(files);
	return NULL;
}
