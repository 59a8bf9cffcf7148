// reader.h - from the tree of the file to struct config, key by key as the schema says.
//
// What one value can say for itself is checked here; what values say about each other is checked later (check.h, guard.h).
//
// Thread:  any; no globals.
// Memory:  the arena of struct config.
// Blocks:  never.

#pragma once

#include "config/arena.h"
#include "config/mistakes.h"
#include "config/schema.h"
#include "config/yaml.h"

struct reader {
	struct mistakes *mistakes;
	struct arena *arena;   // of the configuration; the texts of the tree are in it
	const char *directory; // absolute, of the file: where relative paths begin
	bool broken;           // the tree lacks parts, so missing keys are no mistakes
	uint32_t lost; // values that could not be read, so that what depends on them is not judged
	bool bad[SCHEMA_ROWS_MOST];              // keys of the top: something below was lost
	struct config_pos pos[SCHEMA_ROWS_MOST]; // of the value last read for each row
};

// Fill the struct of a section from a map: every key of it, defaults for keys that are not there.
void reader_read_map(struct reader *reader, enum schema_section section,
	const struct yaml_node *map, void *base);

// Whether all below this key of the top could be read, so that what depends on it can be judged.
bool reader_is_good(const struct reader *reader, const char *top_key);

// Where the value of a key is that the file has at most once; line 0: not written.
struct config_pos reader_pos(
	const struct reader *reader, enum schema_section section, const char *key);

// Add a mistake about a value whose meaning is plain all the same: KEY: found "TEXT": WRONG.
void reader_remark(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, const char *wrong);

// The same for a value that is lost by it. What is only not supported yet (VALUE_LATER) is no loss to what is.
void reader_refuse(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, const char *wrong);

// The same for a value that should be something else altogether.
void reader_refuse_kind(
	struct reader *reader, const struct schema_row *row, const struct yaml_node *node);

// wrong NULL: true. Else the value is refused with it.
bool reader_accept(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, const char *wrong);

typedef void reader_fn(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base);
