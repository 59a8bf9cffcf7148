// disk.h - the operations the spool needs of a disk, as a table, so that tests can put one there that forgets unsynced
// writes, tears and reorders them.
//
// Thread:  the owner of the spool or outcome log.
// Memory:  disk_real() is one static table; a simulated disk belongs to its test.
// Blocks:  yes, all of them. Never call from a worker lcore.
//
// Errors: 0 or a count on success, else -errno. After a failed sync the descriptor must not be synced again (the kernel
// may have dropped the dirty pages): the spool stops accepting.

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

// Octets of the file system a directory is in; total 0: nobody knows.
struct disk_room {
	uint64_t total, free; // free: to us, without what is kept for root
};

struct disk {
	int (*open_dir)(struct disk *d, const char *path); // makes it if missing; a handle
	int (*open)(struct disk *d, int dir, const char *name,
		int flags); // O_CREAT|O_EXCL, O_RDONLY, O_RDWR
	int (*close)(struct disk *d, int file);
	int (*preallocate)(struct disk *d, int file, uint64_t octets);
	ssize_t (*pwritev)(
		struct disk *d, int file, const struct iovec *iov, int count, uint64_t offset);
	ssize_t (*pread)(struct disk *d, int file, void *to, size_t octets, uint64_t offset);
	int64_t (*size)(struct disk *d, int file);
	int (*sync_data)(struct disk *d, int file); // fdatasync
	int (*sync_dir)(struct disk *d, int dir);   // fsync of a directory
	int (*room)(struct disk *d, int dir, struct disk_room *room);
	int (*unlink)(struct disk *d, int dir, const char *name);
	int (*rename)(struct disk *d, int dir, const char *from, const char *to);
	int (*list)(
		struct disk *d, int dir, void (*each)(void *user, const char *name), void *user);
	int (*lock)(struct disk *d, int dir,
		const char *
			name); // one owner until close() or death; a handle. The real disk waits up to 5 s for a dying owner; -EWOULDBLOCK: taken
	uint64_t (*random)(struct disk *d); // for salts: unpredictable, but in tests
};

struct disk *disk_real(void);

// What failed last on this thread, for the log: "cannot sync /var/spool/postern/segments/x.seg: Input/output error". Until the next call.
const char *disk_real_failure(void);
