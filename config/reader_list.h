// reader_list.h - the readers of lists of values, one for each such type of the schema.
//
// A single value stands for a list of it alone. Entries that are wrong are said and left out; the others are kept, so that what
// depends on them is judged in the same run.
//
// Thread:  any; no globals.
// Memory:  the arena of the reader.
// Blocks:  never.

#pragma once

#include "config/reader.h"

void reader_list(struct reader *reader, const struct schema_row *row, const struct yaml_node *node,
	void *base);
