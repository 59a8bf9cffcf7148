// micro_tables.h - the tables of rows, each ended by a row without a name.

#pragma once

#include "micro.h"

extern const struct micro micro_base[], micro_net[], micro_policy[], micro_smtp[], micro_spool[],
	micro_tcp[];
