// config_memfd.h - the text of a configuration as sealed memory: read from its file once, then the same octets for every process
// that works with it, whatever happens to the file meanwhile.
//
// Thread:  any.
// Memory:  a memfd each, at most CONFIG_MEMFD_MAX_OCTETS.
// Blocks:  config_memfd_read() reads a file.

#pragma once

#include <stdbool.h>

enum {
	CONFIG_MEMFD_MAX_OCTETS = 256 << 20, // a million entries are 30 MB; more: -EFBIG
};

// A sealed memfd with what path holds, or -errno (-EMEDIUMTYPE: no regular file). Close-on-exec.
int config_memfd_read(const char *path);

// A second descriptor with an offset of its own, read-only, or -errno.
int config_memfd_reopen(int memfd);

// Whether nobody can change its octets any more. What a child hands over is taken only then.
bool config_memfd_is_sealed(int fd);
