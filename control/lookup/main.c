// main.c - postern-lookup: answers from name servers, read by a process that has no keys, no sessions and no mail.
//
//   postern-lookup CONFIG
//
// Started by the supervisor with the descriptors of supervise/child_link.h.

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "lookup/lookup.h"
#include "supervise/child_link.h"
#include "supervise/privileges.h"

static void on_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	(void)user;
	fprintf(stderr, "postern-lookup: %s:%u:%u: %s\n", path, pos.line, pos.column, message);
}

static bool process_settle(const struct config *config)
{
	int status = privileges_settle(config->control_user);

	if (status != 0)
		fprintf(stderr, "postern-lookup: cannot become %s (control.user): %s\n",
			config->control_user, strerror(-status));
	return status == 0 && fcntl(CHILD_LINK_FD, F_SETFL, O_NONBLOCK) == 0;
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	struct config *config;

	if (argc != 2) {
		fprintf(stderr, "usage: postern-lookup CONFIG (started by posternd)\n");
		return 2;
	}
	config = config_load(argv[1], CHILD_CONFIG_FD, on_mistake, NULL);
	if (config == NULL || !process_settle(config))
		return 1;
	if (lookup_start(loop, config, argv[1]) == NULL)
		return 1;
	if (child_link_send(CHILD_LINK_FD, CHILD_LINK_READY, -1) < 0)
		return 1;
	return uv_run(loop, UV_RUN_DEFAULT) == 0 ? 0 : 1;
}
