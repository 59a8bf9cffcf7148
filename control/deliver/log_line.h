// log_line.h - one line to stderr, whole or not at all; the supervisor passes it on.
//
// Thread: the event loop of postern-deliver. Memory: none. Blocks: as long as nobody reads stderr.

#pragma once

#include <stddef.h>

enum {
	LOG_LINE_QUOTED_MAX = 1024,
};

// "postern-deliver: ..." and a line end.
__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);

// text between double quotes; whatever could end the line, the quotes or move a cursor goes out as \xHH. Cut off at the
// size of out. Returns out.
char *log_line_quote(const char *text, char out[LOG_LINE_QUOTED_MAX]);
