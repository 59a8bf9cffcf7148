#include "micro_tables.h"

static const struct micro *const tables[] = {
	micro_base, micro_net, micro_policy, micro_smtp, micro_spool, micro_tcp};

const struct micro *micro_at(size_t n)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct micro *row = tables[t]; row->name != NULL; row++) {
			if (n-- == 0)
				return row;
		}
	}
	return NULL;
}
