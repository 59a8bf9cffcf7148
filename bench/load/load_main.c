// postern-load: many SMTP clients in one loop.

#include <signal.h>

#include "load_dpdk.h"
#include "load_kernel.h"
#include "load_plan.h"
#include "load_tell.h"

static struct load_tell tell;

static void on_signal(int number)
{
	(void)number;
	tell.stop_wanted = 1;
}

int main(int argc, char **argv)
{
	struct load_plan plan;
	int status = 1;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGTERM, on_signal);
	if (!load_plan_read(&plan, argc, argv, &status))
		return status;
	tell.plan = &plan;
	status = 1;
	if (plan.device == NULL ? load_kernel_run(&plan, &tell) : load_dpdk_run(&plan, &tell))
		status = load_tell_end(&tell);
	load_plan_free(&plan);
	return status;
}
