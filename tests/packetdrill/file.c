#include "file.h"

#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "world.h"

int file_open(struct world *world, struct file *file)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	file->fd = -1;
	if (fd < 0)
		return -errno;
	if (fd >= WORLD_FILES) {
		close(fd);
		return -EMFILE;
	}
	file->fd = fd;
	world->files[fd] = file;
	return fd;
}

struct file *file_find(const struct world *world, int fd, enum file_kind kind)
{
	struct file *file = fd >= 0 && fd < WORLD_FILES ? world->files[fd] : NULL;

	return file != NULL && file->kind == kind ? file : NULL;
}

void file_close(struct world *world, struct file *file)
{
	if (file->fd < 0)
		return;
	world->files[file->fd] = NULL;
	close(file->fd);
	file->fd = -1;
}
