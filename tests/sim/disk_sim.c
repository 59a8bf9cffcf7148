#include "sim/disk_sim.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "sim/disk_image.h"

enum {
	HANDLES = 128,
	SITES = 64,
};

struct handle {
	struct node *node; // NULL: free
	bool holds_lock;
};

struct disk_sim {
	struct disk disk; // first: the table's calls get it back
	uint64_t random;
	uint64_t ops, crash_at;
	bool down, resynced;
	uint64_t space;
	struct node *nodes, *root;
	struct handle handles[HANDLES];
	uint32_t faults[DISK_SIM_READ_ERROR + 1];
	uint32_t site_count;
	struct disk_sim_site sites[SITES];
	const struct disk_sim_site *skip;
};

static struct disk_sim *sim_of(struct disk *disk)
{
	return (struct disk_sim *)(void *)disk;
}

static struct node *node_new(struct disk_sim *sim, const char *path, bool is_dir)
{
	struct node *node = disk_image_node(path, is_dir);

	node->next = sim->nodes;
	sim->nodes = node;
	return node;
}

// One more operation; false: the power is off, and the one that finds it going may still leave traces.
static bool is_powered(struct disk_sim *sim)
{
	if (sim->down)
		return false;
	sim->ops++;
	if (sim->ops == sim->crash_at)
		sim->down = true;
	return true;
}

static bool fails(struct disk_sim *sim, enum disk_sim_fault fault)
{
	if (sim->faults[fault] == 0)
		return false;
	sim->faults[fault]--;
	return true;
}

static int handle_new(struct disk_sim *sim, struct node *node)
{
	for (int i = 0; i < HANDLES; i++) {
		if (sim->handles[i].node == NULL) {
			sim->handles[i] = (struct handle){.node = node};
			return i;
		}
	}
	return -EMFILE;
}

static struct node *node_of(struct disk_sim *sim, int handle)
{
	assert(handle >= 0 && handle < HANDLES && sim->handles[handle].node != NULL);
	return sim->handles[handle].node;
}

static int sim_open_dir(struct disk *d, const char *path)
{
	struct disk_sim *sim = sim_of(d);
	struct node *at = sim->root;
	char copy[64], *rest = copy, *name;

	if (sim->down)
		return -EIO;
	assert(strlen(path) < sizeof(copy));
	strcpy(copy, path);
	while ((name = strsep(&rest, "/")) != NULL) {
		struct node *next;

		if (name[0] == '\0' || strcmp(name, ".") == 0)
			continue;
		next = disk_image_find(at->directory, name);
		if (next == NULL && rest != NULL)
			return -ENOENT;
		if (next == NULL && !is_powered(sim))
			return -EIO;
		if (next == NULL)
			disk_image_change(at->directory, "", name, node_new(sim, path, true));
		at = disk_image_find(at->directory, name);
	}
	return handle_new(sim, at);
}

static int sim_open(struct disk *d, int dir, const char *name, int flags)
{
	struct disk_sim *sim = sim_of(d);
	struct directory *directory = node_of(sim, dir)->directory;
	struct node *node = disk_image_find(directory, name);

	if (sim->down)
		return -EIO;
	if (node != NULL)
		return (flags & O_EXCL) != 0 ? -EEXIST : handle_new(sim, node);
	if ((flags & O_CREAT) == 0)
		return -ENOENT;
	if (!is_powered(sim))
		return -EIO;
	node = node_new(sim, node_of(sim, dir)->path, false);
	disk_image_change(directory, "", name, node);
	return handle_new(sim, node);
}

static int sim_close(struct disk *d, int file)
{
	struct disk_sim *sim = sim_of(d);

	if (sim->handles[file].node == NULL)
		return -EBADF; // gone with the power
	if (sim->handles[file].holds_lock)
		sim->handles[file].node->locked = false;
	sim->handles[file].node = NULL;
	return 0;
}

static bool has_space(struct disk_sim *sim, const struct node *node, uint64_t octets)
{
	if (octets <= node->now.octets)
		return true;
	return disk_image_octets(sim->root->directory) + octets - node->now.octets <= sim->space;
}

static int sim_room(struct disk *d, int dir, struct disk_room *room)
{
	const struct disk_sim *sim = sim_of(d);
	const uint64_t used = disk_image_octets(sim->root->directory);

	(void)dir;
	room->total = sim->space == UINT64_MAX ? 0 : sim->space;
	room->free = sim->space > used ? sim->space - used : 0;
	return 0;
}

static int sim_preallocate(struct disk *d, int file, uint64_t octets)
{
	struct disk_sim *sim = sim_of(d);
	struct node *node = node_of(sim, file);

	if (!is_powered(sim))
		return -EIO;
	if (!has_space(sim, node, octets))
		return -ENOSPC;
	if (octets > node->now.octets)
		disk_image_resize(node, octets);
	return 0;
}

static ssize_t sim_pwritev(
	struct disk *d, int file, const struct iovec *iov, int count, uint64_t offset)
{
	struct disk_sim *sim = sim_of(d);
	struct node *node = node_of(sim, file);
	size_t octets = 0;

	if (!is_powered(sim))
		return -EIO;
	for (int i = 0; i < count; i++)
		octets += iov[i].iov_len;
	if (fails(sim, DISK_SIM_WRITE_ERROR))
		return -EIO;
	// A short write comes before the error that it announces.
	if (octets > 1 && fails(sim, DISK_SIM_WRITE_SHORT))
		octets /= 2;
	else if (fails(sim, DISK_SIM_WRITE_FULL) || !has_space(sim, node, offset + octets))
		return -ENOSPC;
	disk_image_write(node, iov, octets, offset);
	return sim->down ? -EIO : (ssize_t)octets;
}

static ssize_t sim_pread(struct disk *d, int file, void *to, size_t octets, uint64_t offset)
{
	struct disk_sim *sim = sim_of(d);
	const struct image *image = &node_of(sim, file)->now;

	if (sim->down || fails(sim, DISK_SIM_READ_ERROR))
		return -EIO;
	if (offset >= image->octets)
		return 0;
	octets = octets < image->octets - offset ? octets : (size_t)(image->octets - offset);
	memcpy(to, image->data + offset, octets);
	return (ssize_t)octets;
}

static int64_t sim_size(struct disk *d, int file)
{
	struct disk_sim *sim = sim_of(d);

	return sim->down ? -EIO : (int64_t)node_of(sim, file)->now.octets;
}

static bool is_site(const struct disk_sim_site *a, const struct disk_sim_site *b)
{
	return a->caller == b->caller && a->is_dir == b->is_dir &&
	       strcmp(a->directory, b->directory) == 0;
}

// True: this sync is to be left out.
static bool passes_site(
	struct disk_sim *sim, const void *caller, bool is_dir, const struct node *node)
{
	struct disk_sim_site site;

	memset(&site, 0, sizeof(site)); // padding as well: callers compare whole sites
	site.caller = caller;
	site.is_dir = is_dir;
	strcpy(site.directory, node->path);
	if (sim->skip != NULL && is_site(sim->skip, &site))
		return true;
	for (uint32_t i = 0; i < sim->site_count; i++) {
		if (is_site(&sim->sites[i], &site))
			return false;
	}
	assert(sim->site_count < SITES);
	sim->sites[sim->site_count++] = site;
	return false;
}

static int sync_failed(struct disk_sim *sim, struct node *node)
{
	node->sync_failed = true;
	disk_image_lose(node);
	(void)sim;
	return -EIO;
}

static int sim_sync_data(struct disk *d, int file)
{
	struct disk_sim *sim = sim_of(d);
	struct node *node = node_of(sim, file);

	if (!is_powered(sim) || sim->down)
		return -EIO;
	if (passes_site(sim, __builtin_return_address(0), false, node))
		return 0;
	sim->resynced = sim->resynced || node->sync_failed;
	if (fails(sim, DISK_SIM_SYNC_ERROR))
		return sync_failed(sim, node);
	disk_image_sync(node);
	return 0;
}

static int sim_sync_dir(struct disk *d, int dir)
{
	struct disk_sim *sim = sim_of(d);
	struct node *node = node_of(sim, dir);

	if (!is_powered(sim) || sim->down)
		return -EIO;
	if (passes_site(sim, __builtin_return_address(0), true, node))
		return 0;
	sim->resynced = sim->resynced || node->sync_failed;
	if (fails(sim, DISK_SIM_DIR_ERROR)) {
		node->sync_failed = true;
		return -EIO;
	}
	disk_image_sync(node);
	return 0;
}

static int sim_unlink(struct disk *d, int dir, const char *name)
{
	struct disk_sim *sim = sim_of(d);
	struct directory *directory = node_of(sim, dir)->directory;

	if (!is_powered(sim))
		return -EIO;
	if (disk_image_find(directory, name) == NULL)
		return -ENOENT;
	disk_image_change(directory, "", name, NULL);
	return 0;
}

static int sim_rename(struct disk *d, int dir, const char *from, const char *to)
{
	struct disk_sim *sim = sim_of(d);
	struct directory *directory = node_of(sim, dir)->directory;
	struct node *node = disk_image_find(directory, from);

	if (!is_powered(sim))
		return -EIO;
	if (node == NULL)
		return -ENOENT;
	disk_image_change(directory, from, to, node);
	return 0;
}

static int sim_list(struct disk *d, int dir, void (*each)(void *user, const char *name), void *user)
{
	struct disk_sim *sim = sim_of(d);
	const struct entries *entries = &node_of(sim, dir)->directory->now;

	if (sim->down)
		return -EIO;
	for (uint32_t i = 0; i < entries->count; i++)
		each(user, entries->at[i].name);
	return 0;
}

static int sim_lock(struct disk *d, int dir, const char *name)
{
	struct disk_sim *sim = sim_of(d);
	int file = sim_open(d, dir, name, O_RDWR | O_CREAT);

	if (file < 0)
		return file;
	if (sim->handles[file].node->locked) {
		sim->handles[file].node = NULL;
		return -EWOULDBLOCK;
	}
	sim->handles[file].node->locked = true;
	sim->handles[file].holds_lock = true;
	return file;
}

static uint64_t sim_random(struct disk *d)
{
	return disk_image_draw(&sim_of(d)->random);
}

struct disk_sim *disk_sim_new(uint64_t seed)
{
	struct disk_sim *sim = calloc(1, sizeof(*sim));

	assert(sim != NULL);
	sim->disk = (struct disk){.open_dir = sim_open_dir,
		.open = sim_open,
		.close = sim_close,
		.preallocate = sim_preallocate,
		.pwritev = sim_pwritev,
		.pread = sim_pread,
		.size = sim_size,
		.sync_data = sim_sync_data,
		.sync_dir = sim_sync_dir,
		.room = sim_room,
		.unlink = sim_unlink,
		.rename = sim_rename,
		.list = sim_list,
		.lock = sim_lock,
		.random = sim_random};
	sim->random = seed;
	sim->space = UINT64_MAX;
	sim->root = node_new(sim, "", true);
	return sim;
}

void disk_sim_free(struct disk_sim *sim)
{
	while (sim->nodes != NULL) {
		struct node *next = sim->nodes->next;

		disk_image_free(sim->nodes);
		sim->nodes = next;
	}
	free(sim);
}

struct disk *disk_sim_disk(struct disk_sim *sim)
{
	return &sim->disk;
}

uint64_t disk_sim_ops(const struct disk_sim *sim)
{
	return sim->ops;
}

void disk_sim_crash_at(struct disk_sim *sim, uint64_t op)
{
	sim->crash_at = op;
}

bool disk_sim_is_down(const struct disk_sim *sim)
{
	return sim->down;
}

void disk_sim_power_cycle(struct disk_sim *sim)
{
	for (struct node *node = sim->nodes; node != NULL; node = node->next) {
		disk_image_cut(node, &sim->random);
	}
	disk_sim_kill(sim);
}

void disk_sim_kill(struct disk_sim *sim)
{
	for (int i = 0; i < HANDLES; i++) {
		if (sim->handles[i].node != NULL)
			sim_close(&sim->disk, i);
	}
	for (struct node *node = sim->nodes; node != NULL; node = node->next)
		node->sync_failed = false;
	sim->down = false;
	sim->crash_at = 0;
	memset(sim->faults, 0, sizeof(sim->faults));
}

void disk_sim_fail(struct disk_sim *sim, enum disk_sim_fault fault, uint32_t count)
{
	sim->faults[fault] = count;
}

bool disk_sim_was_resynced(const struct disk_sim *sim)
{
	return sim->resynced;
}

void disk_sim_set_space(struct disk_sim *sim, uint64_t octets)
{
	sim->space = octets;
}

bool disk_sim_damage(struct disk_sim *sim, const char *path, uint64_t offset)
{
	struct node *at = sim->root;
	char copy[64], *rest = copy, *name;

	assert(strlen(path) < sizeof(copy));
	strcpy(copy, path);
	while ((name = strsep(&rest, "/")) != NULL) {
		at = at->directory != NULL ? disk_image_find(at->directory, name) : NULL;
		if (at == NULL)
			return false;
	}
	if (offset >= at->now.octets)
		return false;
	at->now.data[offset] ^= 0xff;
	if (offset < at->durable.octets)
		at->durable.data[offset] ^= 0xff;
	return true;
}

const struct disk_sim_site *disk_sim_site(const struct disk_sim *sim, uint32_t index)
{
	return index < sim->site_count ? &sim->sites[index] : NULL;
}

void disk_sim_skip(struct disk_sim *sim, const struct disk_sim_site *site)
{
	sim->skip = site;
}
