// privileges.h - from root to the user the children run as, for good.
//
// Thread:  the only thread of a child, or one before others were made (glibc changes them all).
// Memory:  none kept.
// Blocks:  reads the user database.

#pragma once

#include <sys/types.h>

struct privileges_user {
	uid_t uid;
	gid_t gid;
};

// 0, or -errno; -ENOENT: no such user.
int privileges_find(const char *user, struct privileges_user *found);

// Groups, group and user of found, no way back, no new privileges by exec; the wish to die with the supervisor, which the kernel forgets
// on a change of user, is made again. 0 or -errno. Does nothing when the process is not root: then it has nothing to drop.
int privileges_drop(const struct privileges_user *found);

// For a child that parses the words of strangers: become name, when it is root, gain nothing back, die with the
// supervisor, and ignore SIGINT and SIGPIPE. 0 or -errno.
int privileges_settle(const char *name);
