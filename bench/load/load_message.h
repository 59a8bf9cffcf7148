// load_message.h - what is handed in: made to a size, or read from files; with stuffed dots and the end of data behind it.
//
// Thread: main, before the run. Memory: each message is allocated, load_message_free(). Blocks: on files.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

// A mail of so many octets in all, header included, without the end of data. at NULL: no memory.
struct slice load_message_made(size_t octets);

// The file as a mail: lone LF becomes CRLF, dots are stuffed. at NULL: why was printed.
struct slice load_message_read(const char *path);

void load_message_free(struct slice message);
