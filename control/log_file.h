// log_file.h - one open log file with its buffer.
//
// Thread:  its owner (the control thread).
// Memory:  one buffer.
// Blocks:  write(2).

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LOG_FILE_BUFFER_OCTETS = 65536,
};

struct log_file {
	char *path;
	int fd; // -1: cannot be opened; lines are lost
	bool complained;
	uint64_t lost_lines;
	uint32_t lines; // in the buffer
	size_t used;
	char buffer[LOG_FILE_BUFFER_OCTETS];
};

// path is copied. NULL: no memory. A path that cannot be opened is said on stderr and tried again at each reopen.
struct log_file *log_file_new(const char *path);

// Close and open by name.
void log_file_reopen(struct log_file *file);

// One whole line (or several); written when the buffer is full or at log_file_flush().
void log_file_put(struct log_file *file, const char *line, size_t octets);
void log_file_flush(struct log_file *file);
void log_file_free(struct log_file *file);
