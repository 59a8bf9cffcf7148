// reader_value.h - the readers of single values, one for each such type of the schema.
//
// Thread:  any; no globals.
// Memory:  the arena of the reader.
// Blocks:  never.

#pragma once

#include "config/reader.h"

// Read a value that is neither a map nor a list of maps. base is the struct of the section.
void reader_value(struct reader *reader, const struct schema_row *row, const struct yaml_node *node,
	void *base);
