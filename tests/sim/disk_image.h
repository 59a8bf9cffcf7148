// disk_image.h - files and directories of a simulated disk: what programs see, what is synced, and every change between.
//
// Thread:  one.
// Memory:  disk_image_free().
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	DISK_IMAGE_PATH_MAX = 64,
	DISK_IMAGE_NAME_MAX = 48,
	DISK_IMAGE_ENTRIES = 256,
	DISK_IMAGE_CHANGES = 256,
};

struct node;
struct written;

struct entry {
	char name[DISK_IMAGE_NAME_MAX];
	struct node *node;
};

// What a directory holds, in any order.
struct entries {
	uint32_t count;
	struct entry at[DISK_IMAGE_ENTRIES];
};

// One unsynced change of a directory: name now is node, or nothing (NULL); a rename also ends the name from.
struct change {
	char name[DISK_IMAGE_NAME_MAX];
	char from[DISK_IMAGE_NAME_MAX];
	struct node *node;
};

struct directory {
	struct entries now, durable;
	uint32_t change_count;
	struct change changes[DISK_IMAGE_CHANGES];
};

struct image {
	uint8_t *data;
	uint64_t octets, room;
};

struct node {
	struct node *next;              // of all nodes
	char path[DISK_IMAGE_PATH_MAX]; // as it was made
	struct directory *directory;
	struct image now, durable;
	struct written *first, *last;
	bool sync_failed, locked;
};

struct node *disk_image_node(const char *path, bool is_dir);
void disk_image_free(struct node *node);

// NULL: no such name now.
struct node *disk_image_find(struct directory *directory, const char *name);

// name is node from now on (NULL: nothing); from ("": none) is not any more.
void disk_image_change(
	struct directory *directory, const char *from, const char *name, struct node *node);

void disk_image_resize(struct node *node, uint64_t octets);
void disk_image_write(struct node *node, const struct iovec *iov, size_t octets, uint64_t offset);
void disk_image_sync(struct node *node);

// Unsynced writes will never reach the disk, but are seen until the power goes.
void disk_image_lose(struct node *node);

// Octets of all files below.
uint64_t disk_image_octets(const struct directory *directory);

// The power goes. random: state of the generator.
void disk_image_cut(struct node *node, uint64_t *random);

// splitmix64.
uint64_t disk_image_draw(uint64_t *random);
