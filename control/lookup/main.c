// main.c - postern-lookup: answers from name servers, read by a process that has no keys, no sessions and no mail (postern-lookup.8).
//
// Started by the supervisor with the descriptors of supervise/child_link.h.

#include "lookup/lookup.h"
#include "supervise/supervised.h"

static const char name[] = "postern-lookup";
static const char help[] = "usage: postern-lookup CONFIG\n"
			   "\n"
			   "Asks name servers for the others. Is started by posternd, which gives "
			   "it its descriptors, and not by hand.\n"
			   "Ends with 0 when it was told to stop, with 1 when it cannot go on. See "
			   "postern-lookup(8).\n";

int main(int argc, char **argv)
{
	static struct supervised supervised;
	uv_loop_t *loop = uv_default_loop();
	struct config *config = supervised_config(name, help, argc, argv);

	supervised_settle(name, config);
	supervised.name = name;
	supervised.config_path = argv[1];
	if (lookup_start(loop, config, &supervised) == NULL)
		return 1;
	if (child_link_send(CHILD_LINK_FD, CHILD_LINK_READY, -1) < 0)
		return 1;
	return uv_run(loop, UV_RUN_DEFAULT) == 0 ? 0 : 1;
}
