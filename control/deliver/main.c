// main.c - postern-deliver: mail from the spool to the next hops.
//
//   postern-deliver CONFIG
//
// Started by the supervisor with the descriptors of supervise/child_link.h. Reads the configuration, becomes an ordinary user, finds what
// is in the spool, and delivers until it is told to stop or the supervisor is gone.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "deliver/deliver.h"
#include "deliver/log_line.h"
#include "supervise/child_link.h"
#include "supervise/privileges.h"

static bool process_settle(const struct config *config)
{
	int status = privileges_settle(config->control_user);

	if (status != 0)
		log_line("cannot become %s (control.user): %s", config->control_user,
			strerror(-status));
	return status == 0 && fcntl(CHILD_LINK_FD, F_SETFL, O_NONBLOCK) == 0;
}

static void on_term(uv_signal_t *handle, int number)
{
	(void)number;
	deliver_stop(handle->data);
}

int main(int argc, char **argv)
{
	static struct deliver d;
	static uv_signal_t term;
	uv_loop_t *loop = uv_default_loop();
	enum err e;

	if (argc != 2) {
		fprintf(stderr, "usage: postern-deliver CONFIG (started by posternd)\n");
		return 2;
	}
	d.config_path = argv[1];
	d.config = config_load(argv[1], CHILD_CONFIG_FD, deliver_mistake, NULL);
	if (d.config == NULL || !process_settle(d.config))
		return 1;
	e = deliver_start(&d, loop);
	if (e != ERR_OK) {
		log_line("cannot start: %s", err_text(e));
		return 1;
	}
	term.data = &d;
	uv_signal_init(loop, &term);
	uv_signal_start(&term, on_term, SIGTERM);
	return uv_run(loop, UV_RUN_DEFAULT) == 0 ? 0 : 1;
}
