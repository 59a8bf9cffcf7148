// config_text.h - configurations as texts in a test: loaded through a descriptor, with their mistakes kept.

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

struct config_text_mistakes {
	unsigned count;
	struct config_pos pos[32];
	char messages[32][512];
};

static inline void config_text_keep(
	void *user, const char *path, struct config_pos pos, const char *message)
{
	struct config_text_mistakes *mistakes = user;

	assert_non_null(path);
	if (mistakes->count < 32) {
		mistakes->pos[mistakes->count] = pos;
		(void)snprintf(mistakes->messages[mistakes->count], sizeof(mistakes->messages[0]),
			"%s", message);
	}
	mistakes->count++;
}

static inline struct config *config_text_load(
	const char *text, struct config_text_mistakes *mistakes)
{
	const int fd = memfd_create("config", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	*mistakes = (struct config_text_mistakes){.count = 0};
	struct config *config = config_load("/etc/postern/t.yaml", fd, config_text_keep, mistakes);
	(void)close(fd);
	assert_int_equal(config == NULL, mistakes->count > 0);
	return config;
}

static inline void config_text_print(const struct config_text_mistakes *mistakes)
{
	for (unsigned i = 0; i < mistakes->count && i < 32; i++)
		print_message("  %u:%u: %s\n", mistakes->pos[i].line, mistakes->pos[i].column,
			mistakes->messages[i]);
}
