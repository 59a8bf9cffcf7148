#include "control/log_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool log_path_of(const struct config *config, const struct config_vserver *vserver, bool json,
	char path[LOG_PATH_OCTETS])
{
	const enum config_log_format other = json ? CONFIG_LOG_W3C : CONFIG_LOG_JSON;
	const char *suffix = json && vserver->log_format == CONFIG_LOG_BOTH ? ".json" : "";

	if (vserver->log_format == other)
		return false;
	if (vserver->log_file == NULL)
		snprintf(
			path, LOG_PATH_OCTETS, "%s/%s.log%s", config->spool, vserver->name, suffix);
	else
		snprintf(path, LOG_PATH_OCTETS, "%s%s", vserver->log_file, suffix);
	return true;
}

static bool is_used(const struct config *config, const char *path)
{
	char used[LOG_PATH_OCTETS];

	for (uint32_t i = 0; i < config->vserver_count; i++) {
		for (int json = 0; json < 2; json++) {
			if (log_path_of(config, &config->vservers[i], json == 1, used) &&
				strcmp(used, path) == 0)
				return true;
		}
	}
	return false;
}

// 0 or errno.
static int try_open(const char *path)
{
	const int fd = open(path,
		O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
		0640);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

unsigned log_path_check(const struct config *running, const struct config *next,
	config_mistake_fn *mistake, void *user)
{
	char path[LOG_PATH_OCTETS], message[LOG_PATH_OCTETS + 160];
	unsigned count = 0;

	for (uint32_t i = 0; i < next->vserver_count * 2; i++) {
		const struct config_vserver *v = &next->vservers[i / 2];

		if (!log_path_of(next, v, i % 2 == 1, path) || is_used(running, path))
			continue;
		const int why = try_open(path);

		if (why == 0)
			continue;
		snprintf(message, sizeof(message),
			"log.file: cannot write %s: %s: expected a file that control.user may "
			"write, or a restart, which makes it; nothing was changed",
			path, strerror(why));
		mistake(user, next->path, v->log_file != NULL ? v->log_file_pos : v->pos, message);
		count++;
	}
	return count;
}
