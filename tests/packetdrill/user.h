// user.h - memory of the caller, which may not be there: scripts ask for EFAULT.
//
// Thread: any. Memory: none. Blocks: never.

#pragma once

#include <stddef.h>
#include <sys/uio.h>

// Copy from or to the caller. 0, or -EFAULT.
int user_get(void *to, const void *user, size_t octets);
int user_put(void *user, const void *from, size_t octets);

// Octets of all parts together, or -EINVAL, -EMSGSIZE, -EFAULT.
ssize_t user_total(const struct iovec *parts, size_t count);
