// world.h - all there is behind the shared object: virtual time, one TCP stack, the wire, the sockets, the calls that wait.
//
// Thread: any, with the lock.
// Memory: one world a process; the stack is made at the first socket or packet, when scripts have set their sysctls.
// Blocks: never.

#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "call.h"
#include "settings.h"
#include "tcp/tcp.h"
#include "wire.h"

struct file;
struct sock;

enum {
	WORLD_FILES = 256,
};
// With nothing to do for so long, nothing will happen any more.
#define WORLD_FOR_EVER_US 86400000000ULL

struct world {
	pthread_mutex_t lock;
	pthread_t owner; // the thread that made it
	pid_t owner_tid;
	uint64_t entries; // calls made
	const char *flags;
	struct settings settings;
	uint64_t now_us;
	uint64_t owner_due_us; // of the call that the owner waits in; 0: none
	void *memory;
	struct tcp_stack *stack;
	struct wire wire;
	struct call *waiting;
	struct file *files[WORLD_FILES]; // by descriptor
	struct sock *socks;              // all, with and without descriptor
	uint16_t next_port;
};

struct world *world_make(const char *flags);
void world_free(struct world *world);

// The stack exists from now on.
void world_begin(struct world *world);

// What a call caused leaves.
void world_flush(struct world *world);

// What a call or a packet caused leaves, and calls that waited for it finish.
void world_settle(struct world *world);

// On to the next thing that happens, at most to until_us. False: until_us has come, and nothing happened.
bool world_step(struct world *world, uint64_t until_us);

// On to the next thing that happens. False: nothing is going to, and no time has passed.
bool world_step_if_any(struct world *world);

// On to until_us, with all that happens on the way.
void world_run(struct world *world, uint64_t until_us);
