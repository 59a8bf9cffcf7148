// prepare.h - what the supervisor makes as root before its children, who are not root, need it: control socket, spool directory,
// log files.
//
// Thread:  the supervisor's only one.
// Memory:  none.
// Blocks:  file system calls. Each function says on stderr what failed and returns -1.

#pragma once

#include <stdbool.h>

struct config;
struct privileges_user;

// Take SOCKET.lock, which lives as long as any child that inherited it: the children of a posternd that was killed are gone before new ones
// start on the same files and devices. Waits up to 10 s for them; does not wait for a posternd that is alive. The file stays when all is
// over: removing it would let two successors lock two files of that name.
int prepare_lock(const char *socket_path);

// The listening socket, mode 0660, owned by root and the user's group. A socket file nobody answers on is replaced.
// user NULL: no change of owner.
int prepare_control_socket(const char *path, const struct privileges_user *user);

// DIRECTORY, mode 0700, owned by user; a directory that is there is kept and given to user.
int prepare_spool(const char *directory, const struct privileges_user *user);

// Log files that do not exist yet and that user could not make himself. Existing ones stay as they are.
void prepare_logs(const struct config *config, const struct privileges_user *user);
