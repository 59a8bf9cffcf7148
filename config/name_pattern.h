// name_pattern.h - one entry of a name list: "host.example.net" is that name, ".example.net" any name below, "/regex/" every name
// that the whole of it matches.
//
// Thread:  any; no globals.
// Memory:  none of its own; Hyperscan's while a regular expression is looked at.
// Blocks:  never.

#pragma once

#include <stdbool.h>

#include "config/name_tails.h"
#include "config/value.h"

enum {
	NAME_PATTERN_OCTETS = 512, // of an entry; more is a mistake
	NAME_PATTERN_EXPRESSION_MAX = 2 * NAME_PATTERN_OCTETS + 16, // for Hyperscan, with its NUL
};

// NULL, or what is wrong with it and what was expected.
const char *name_pattern_wrong(const char *text, struct value_why *why);

// As Hyperscan takes it: for the whole of a name, whatever its case. Of an entry that is not wrong.
void name_pattern_expression(const char *text, char out[NAME_PATTERN_EXPRESSION_MAX]);

// What the names it matches end with. Of an entry that is not wrong.
void name_pattern_tails(const char *text, struct name_tails *out);

// Whether every name that other means is meant by text, as far as that can be read off: other is the same, or one name below a suffix.
bool name_pattern_has(const char *text, const char *other);
