// main.c - postern-deliver: mail from the spool to the next hops (postern-deliver.8).
//
// Started by the supervisor with the descriptors of supervise/child_link.h. Reads the configuration, becomes an ordinary user, finds what
// is in the spool, and delivers until it is told to stop or the supervisor is gone.

#include <signal.h>

#include "deliver/deliver.h"

static const char name[] = "postern-deliver";
static const char help[] = "usage: postern-deliver CONFIG\n"
			   "\n"
			   "Hands mail of the spool to the next hops. Is started by posternd, "
			   "which gives it its descriptors, and not by\n"
			   "hand. Ends with 0 when it was told to stop, with 1 when it cannot go "
			   "on. See postern-deliver(8).\n";

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

	d.config = supervised_config(name, help, argc, argv);
	supervised_settle(name, d.config);
	d.supervised.name = name;
	d.supervised.config_path = argv[1];
	if (!deliver_start(&d, loop))
		return 1;
	term.data = &d;
	uv_signal_init(loop, &term);
	uv_signal_start(&term, on_term, SIGTERM);
	return uv_run(loop, UV_RUN_DEFAULT) == 0 ? 0 : 1;
}
