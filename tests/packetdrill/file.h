// file.h - what a descriptor stands for: a socket, an epoll set, an end of a pipe.
//
// A descriptor is a real one of the process, so that nothing else gets its number and packetdrill may close it itself when
// a script does not.
//
// Thread: any, with the lock of the world. Memory: part of the object. Blocks: never.

#pragma once

struct world;

enum file_kind {
	FILE_SOCK,
	FILE_EPOLL,
	FILE_PIPE,
};

// First member of each object.
struct file {
	enum file_kind kind;
	int fd; // -1: none
};

// Give the object a descriptor, or -EMFILE.
int file_open(struct world *world, struct file *file);

// NULL: not one of ours, or of another kind.
struct file *file_find(const struct world *world, int fd, enum file_kind kind);

// The object has no descriptor any more.
void file_close(struct world *world, struct file *file);
