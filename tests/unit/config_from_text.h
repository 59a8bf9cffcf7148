// config_from_text.h - a configuration from a text in a test.

#pragma once

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

static inline void config_from_text_mistake(
	void *user, const char *path, struct config_pos pos, const char *message)
{
	(void)user;
	fprintf(stderr, "%s:%u:%u: %s\n", path, pos.line, pos.column, message);
}

// A memfd with text.
static inline int config_from_text_fd(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	return fd;
}

// NULL: it has mistakes, said on stderr.
static inline struct config *config_from_text_load(const char *text)
{
	int fd = config_from_text_fd(text);
	struct config *config =
		config_load("/etc/postern/test.yaml", fd, config_from_text_mistake, NULL);

	close(fd);
	return config;
}
