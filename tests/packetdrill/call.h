// call.h - an application's call that may have to wait, in virtual time.
//
// A call is a function that is tried whenever something has happened, until it says that it is over. So whoever makes time
// pass also finishes the calls that wait, at the microsecond at which they can finish, whatever the threads do. The thread
// that made the world has nobody to make time pass for it: its calls do that themselves.
//
// Thread: any, with the lock of the world; call_run() gives it up while it waits.
// Memory: the caller's stack.
// Blocks: call_run(), another thread than the world's owner.

#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct world;

struct call {
	// Over: true, with result: >= 0, or -errno. Without patience, or when time is up, it has to be over.
	bool (*attempt)(struct call *call);
	struct world *world;
	bool patient;    // it may wait
	uint64_t due_us; // but not beyond this time; 0: for ever
	long result;

	// Of call.c
	bool over;
	uint64_t over_us;
	pthread_cond_t turn;
	struct call *next;
};

// The result. -EDEADLK: it would wait for ever.
long call_run(struct call *call);

// It must not wait, or not any longer.
bool call_is_up(const struct call *call);

// Try all that wait, until none gets further.
void call_settle(struct world *world);

// When the first of those that wait is due; 0: none is.
uint64_t call_next_us(const struct world *world);

// The time a call of this thread that had to wait came back, if nobody asked since; 0: none.
uint64_t call_returned_us(void);
