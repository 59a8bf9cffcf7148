// utf8.h - well-formed text, one character at a time (RFC 3629 4; printable as YAML 1.2 5.1 has it).
//
// Thread: any. Memory: none.

#pragma once

#include <stddef.h>

// Octets of the character at text, of at most left: 1 to 4. 0: not UTF-8, a control character other than tab, line feed and the
// carriage return before one, or a separator of lines that not every program takes for one, so that line numbers agree.
unsigned utf8_take(const char *text, size_t left);
