#include "sim/disk_image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	SECTOR = 512,
};

// One unsynced write.
struct written {
	struct written *next;
	uint64_t offset;
	size_t octets;
	uint8_t data[];
};

uint64_t disk_image_draw(uint64_t *random)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

struct node *disk_image_node(const char *path, bool is_dir)
{
	struct node *node = calloc(1, sizeof(*node));

	assert(node != NULL && strlen(path) < sizeof(node->path));
	strcpy(node->path, path);
	if (is_dir) {
		node->directory = calloc(1, sizeof(*node->directory));
		assert(node->directory != NULL);
	}
	return node;
}

static struct entry *entries_find(struct entries *entries, const char *name)
{
	for (uint32_t i = 0; i < entries->count; i++) {
		if (strcmp(entries->at[i].name, name) == 0)
			return &entries->at[i];
	}
	return NULL;
}

static void entries_remove(struct entries *entries, const char *name)
{
	struct entry *entry = entries_find(entries, name);

	if (entry != NULL)
		*entry = entries->at[--entries->count];
}

static void entries_set(struct entries *entries, const char *name, struct node *node)
{
	entries_remove(entries, name);
	if (node == NULL)
		return;
	assert(entries->count < DISK_IMAGE_ENTRIES);
	strcpy(entries->at[entries->count].name, name);
	entries->at[entries->count++].node = node;
}

static void apply(struct entries *entries, const struct change *change)
{
	if (change->from[0] != '\0')
		entries_remove(entries, change->from);
	entries_set(entries, change->name, change->node);
}

struct node *disk_image_find(struct directory *directory, const char *name)
{
	struct entry *entry = entries_find(&directory->now, name);

	return entry != NULL ? entry->node : NULL;
}

void disk_image_change(
	struct directory *directory, const char *from, const char *name, struct node *node)
{
	struct change *change;

	assert(directory->change_count < DISK_IMAGE_CHANGES);
	assert(strlen(name) < DISK_IMAGE_NAME_MAX && strlen(from) < DISK_IMAGE_NAME_MAX);
	change = &directory->changes[directory->change_count++];
	strcpy(change->name, name);
	strcpy(change->from, from);
	change->node = node;
	apply(&directory->now, change);
}

static void image_resize(struct image *image, uint64_t octets)
{
	if (octets > image->room) {
		uint64_t room = octets + octets / 2;

		image->data = realloc(image->data, room);
		assert(image->data != NULL);
		image->room = room;
	}
	if (octets > image->octets)
		memset(image->data + image->octets, 0, octets - image->octets);
	image->octets = octets;
}

static void image_copy(struct image *to, const struct image *from)
{
	image_resize(to, from->octets);
	if (from->octets > 0)
		memcpy(to->data, from->data, from->octets);
}

void disk_image_lose(struct node *node)
{
	while (node->first != NULL) {
		struct written *next = node->first->next;

		free(node->first);
		node->first = next;
	}
	node->last = NULL;
}

void disk_image_write(struct node *node, const struct iovec *iov, size_t octets, uint64_t offset)
{
	struct written *written = malloc(sizeof(*written) + octets);
	size_t done = 0;

	assert(written != NULL);
	*written = (struct written){.offset = offset, .octets = octets};
	for (; done < octets; iov++) {
		size_t part = iov->iov_len < octets - done ? iov->iov_len : octets - done;

		memcpy(written->data + done, iov->iov_base, part);
		done += part;
	}
	if (offset + octets > node->now.octets)
		image_resize(&node->now, offset + octets);
	memcpy(node->now.data + offset, written->data, octets);
	if (node->last == NULL)
		node->first = written;
	else
		node->last->next = written;
	node->last = written;
}

void disk_image_free(struct node *node)
{
	disk_image_lose(node);
	free(node->directory);
	free(node->now.data);
	free(node->durable.data);
	free(node);
}

uint64_t disk_image_octets(const struct directory *directory)
{
	uint64_t octets = 0;

	for (uint32_t i = 0; i < directory->now.count; i++) {
		const struct node *node = directory->now.at[i].node;

		octets += node->directory != NULL ? disk_image_octets(node->directory)
						  : node->now.octets;
	}
	return octets;
}

void disk_image_resize(struct node *node, uint64_t octets)
{
	image_resize(&node->now, octets);
}

void disk_image_sync(struct node *node)
{
	if (node->directory != NULL) {
		node->directory->durable = node->directory->now;
		node->directory->change_count = 0;
		return;
	}
	image_copy(&node->durable, &node->now);
	disk_image_lose(node);
}

// How a power cut treats one thing: everything kept, everything lost, or each part by itself.
enum luck {
	LUCK_NONE,
	LUCK_ALL,
	LUCK_EACH, // also for what is neither
	LUCK_COUNT,
};

static bool survives(uint64_t *random, enum luck luck)
{
	return luck == LUCK_EACH ? disk_image_draw(random) % 2 == 0 : luck == LUCK_ALL;
}

static void cut_directory(uint64_t *random, struct directory *directory)
{
	enum luck luck = (enum luck)(disk_image_draw(random) % LUCK_COUNT);

	for (uint32_t i = 0; i < directory->change_count; i++) {
		if (survives(random, luck))
			apply(&directory->durable, &directory->changes[i]);
	}
	directory->now = directory->durable;
	directory->change_count = 0;
}

// One sector is at the state behind some number of the writes that touched it.
static void cut_sector(uint64_t *random, struct node *node, uint64_t sector, enum luck luck)
{
	uint64_t from = sector * SECTOR, to = from + SECTOR;

	for (const struct written *w = node->first; w != NULL; w = w->next) {
		uint64_t start = w->offset > from ? w->offset : from;
		uint64_t end = w->offset + w->octets < to ? w->offset + w->octets : to;

		if (start >= end)
			continue;
		if (!survives(random, luck))
			return;
		if (end > node->durable.octets)
			image_resize(&node->durable, end);
		memcpy(node->durable.data + start, w->data + (start - w->offset), end - start);
	}
}

static void cut_file(uint64_t *random, struct node *node)
{
	enum luck luck = (enum luck)(disk_image_draw(random) % LUCK_COUNT);
	uint64_t octets = survives(random, luck) ? node->now.octets : node->durable.octets;
	uint64_t last = 0;

	for (const struct written *w = node->first; w != NULL; w = w->next) {
		if (w->offset + w->octets > last)
			last = w->offset + w->octets;
	}
	for (uint64_t sector = 0; sector * SECTOR < last; sector++)
		cut_sector(random, node, sector, luck);
	image_resize(&node->durable, octets);
	image_copy(&node->now, &node->durable);
	disk_image_lose(node);
}

void disk_image_cut(struct node *node, uint64_t *random)
{
	if (node->directory != NULL)
		cut_directory(random, node->directory);
	else
		cut_file(random, node);
	node->sync_failed = false;
}
