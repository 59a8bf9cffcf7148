#include "control/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void complain(struct log_file *file, const char *what)
{
	if (!file->complained)
		fprintf(stderr, "postern-edge: log %s: %s: %s; lines are lost\n", file->path, what,
			strerror(errno));
	file->complained = true;
}

static void open_by_name(struct log_file *file)
{
	file->fd = open(file->path,
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (file->fd < 0)
		complain(file, "cannot open");
	else
		file->complained = false;
}

struct log_file *log_file_new(const char *path)
{
	struct log_file *file = malloc(sizeof(*file));

	if (file == NULL)
		return NULL;
	memset(file, 0, offsetof(struct log_file, buffer));
	file->path = strdup(path);
	if (file->path == NULL) {
		free(file);
		return NULL;
	}
	open_by_name(file);
	return file;
}

void log_file_reopen(struct log_file *file)
{
	log_file_flush(file);
	if (file->fd >= 0)
		close(file->fd);
	file->complained = false;
	open_by_name(file);
}

void log_file_put(struct log_file *file, const char *line, size_t octets)
{
	if (file->used + octets > sizeof(file->buffer))
		log_file_flush(file);
	if (octets > sizeof(file->buffer))
		return;
	memcpy(file->buffer + file->used, line, octets);
	file->used += octets;
	file->lines++;
}

void log_file_flush(struct log_file *file)
{
	size_t done = 0;

	while (done < file->used && file->fd >= 0) {
		ssize_t n = write(file->fd, file->buffer + done, file->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			complain(file, "cannot write");
			break;
		}
		done += (size_t)n;
	}
	if (done < file->used)
		file->lost_lines += file->lines;
	else
		file->complained = false;
	file->used = 0;
	file->lines = 0;
}

void log_file_free(struct log_file *file)
{
	log_file_flush(file);
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file);
}
