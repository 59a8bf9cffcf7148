// yaml.h - YAML text to a tree of maps, lists and scalars, each with its position.
//
// Plain data only: no anchors, aliases, tags, directives, keys that are not scalars, or second documents; each is a mistake.
// A syntax error would hide the rest of the file, so then every top-level key is parsed by itself, and one broken
// key leaves the others readable. A text that has too much of something is refused where it has it, and not read on.
//
// Thread:  any; no globals.
// Memory:  nodes from one arena, texts from another, so that the tree can go and the texts stay.
// Blocks:  never. Bugs: libfyaml keeps all of a line that begins with { or [, 450 octets a value; JSON with line ends costs 70.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/arena.h"
#include "config/mistakes.h"

enum yaml_kind {
	YAML_SCALAR,
	YAML_LIST,
	YAML_MAP,
};

enum {
	YAML_FILE_OCTETS = 64 << 20, // a longer text is refused by the caller
	YAML_DEPTH = 16,
	YAML_CONTAINERS =
		16384,        // lists and maps; what the schema allows in all is less than 14,000
	YAML_NODES = 5000000, // with single values; the largest list has 4,000,000
	YAML_LINE_VALUES = 2000000, // commas on one line, which libfyaml may keep whole: see Bugs
	YAML_PARTS = 1000, // top-level keys that are parsed each by itself after a syntax error
	YAML_NODE_OCTETS = 256, // arena for each octet of text: a node, in at most three runs
	YAML_TEXT_OCTETS = 12,  // the same for texts, which grow by escapes and their NUL
};

struct yaml_node {
	struct yaml_node *next;         // in its list or map
	const char *key;                // NULL: not in a map
	const char *text;               // scalars; "" when nothing is written
	struct yaml_node *first, *last; // lists and maps
	struct config_pos pos, key_pos; // pos of a value that is not written: its key's
	uint32_t count;                 // members
	uint8_t kind;                   // enum yaml_kind
	bool plain;                     // scalar without quotes
	bool refused;                   // a mistake was added for its key or its value already
};

struct yaml_document {
	struct arena *nodes, *texts;
	struct mistakes *mistakes;
	struct yaml_node *root;     // a map
	uint32_t containers, count; // lists and maps so far; all nodes
	bool broken;                // a syntax error, or too much of something: keys may be missing
};

// Parse text (with a final NUL at text[len]) into document->root. Every mistake is added; *document has its arenas and
// mistakes set. After a mistake the tree holds what could be read.
void yaml_parse(struct yaml_document *document, const char *text, size_t len);

// Whether this is a scalar without quotes and without text: `key:` and nothing behind it, or ~ or null.
bool yaml_is_nothing(const struct yaml_node *node);

const char *yaml_kind_text(const struct yaml_node *node);
