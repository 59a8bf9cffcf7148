// key_files.h - contents of certificate and key files, by path.
//
// Thread:  any, one at a time.
// Memory:  its own copies, wiped when freed.
// Blocks:  reads files.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct key_files;

enum {
	KEY_FILES_OCTETS = 1 << 20, // of one file; more: -EFBIG
	KEY_FILES_MAX = 256,        // files; more: -EMFILE
};

// NULL: no memory.
struct key_files *key_files_new(void);
void key_files_free(struct key_files *files);

// Contents of path, as long as files lives; at NULL: not there.
struct slice key_files_find(const struct key_files *files, const char *path);

// Read path from the disk unless it is there already. 0 or -errno (-EMEDIUMTYPE: no regular file).
int key_files_read(struct key_files *files, const char *path);

// All of them as sealed memory, to hand them to another process: a descriptor or -errno. And back, NULL: it is none, or no memory;
// memfd is left open.
int key_files_to_memfd(const struct key_files *files);
struct key_files *key_files_from_memfd(int memfd);

// Take a copy from other. 0, -ENOENT or -ENOMEM.
int key_files_copy(struct key_files *files, const struct key_files *other, const char *path);
