#include "call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "world.h"

enum {
	LOOK_NS = 50000000,
	QUIET_LOOKS = 8,
};

static _Thread_local uint64_t returned_us;

bool call_is_up(const struct call *call)
{
	return !call->patient || (call->due_us != 0 && call->world->now_us >= call->due_us);
}

// Take those that are over out of the list and wake their threads. True: some were.
static bool settle_once(struct world *world)
{
	bool any = false;

	for (struct call **at = &world->waiting; *at != NULL;) {
		struct call *call = *at;

		if (!call->attempt(call)) {
			at = &call->next;
			continue;
		}
		*at = call->next;
		call->over = any = true;
		call->over_us = world->now_us;
		pthread_cond_signal(&call->turn);
	}
	return any;
}

void call_settle(struct world *world)
{
	while (settle_once(world))
		;
}

uint64_t call_next_us(const struct world *world)
{
	uint64_t first_us = world->owner_due_us;

	for (const struct call *call = world->waiting; call != NULL; call = call->next)
		if (call->due_us != 0 && (first_us == 0 || call->due_us < first_us))
			first_us = call->due_us;
	return first_us;
}

// Nobody else makes time pass.
static void wait_as_owner(struct call *call)
{
	struct world *world = call->world;

	world->owner_due_us = call->due_us;
	while (!call->attempt(call))
		if (!world_step(world, world->now_us + WORLD_FOR_EVER_US)) {
			call->result = -EDEADLK;
			break;
		}
	world->owner_due_us = 0;
}

// Asleep in the kernel, so not just about to call again.
static bool owner_sleeps(const struct world *world)
{
	char path[64], text[512] = "";
	const char *end;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)world->owner_tid);
	in = fopen(path, "r");
	if (in == NULL)
		return false;
	if (fgets(text, sizeof(text), in) == NULL)
		text[0] = '\0';
	fclose(in);
	end = strrchr(text, ')');
	return end != NULL && end[1] == ' ' && end[2] == 'S';
}

// The owner waits for this very call to end (packetdrill does, at the end of a script and before the next call, for a
// second): time has to pass without it.
static bool is_waited_for(const struct world *world, uint64_t *entries, int *looks)
{
	bool quiet = world->entries == *entries && owner_sleeps(world);

	*looks = quiet ? *looks + 1 : 0;
	*entries = world->entries;
	return *looks >= QUIET_LOOKS;
}

static void wait_a_look(struct call *call)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += LOOK_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&call->turn, &call->world->lock, &until);
}

static void wait_for_others(struct call *call)
{
	struct world *world = call->world;
	uint64_t entries = world->entries;
	int looks = 0;

	pthread_cond_init(&call->turn, NULL);
	call->next = world->waiting;
	world->waiting = call;
	while (!call->over) {
		wait_a_look(call);
		while (!call->over && is_waited_for(world, &entries, &looks))
			if (!world_step_if_any(world))
				break;
	}
	pthread_cond_destroy(&call->turn);
	returned_us = call->over_us;
}

long call_run(struct call *call)
{
	if (call->attempt(call))
		return call->result;
	if (pthread_equal(pthread_self(), call->world->owner))
		wait_as_owner(call);
	else
		wait_for_others(call);
	return call->result;
}

uint64_t call_returned_us(void)
{
	uint64_t us = returned_us;

	returned_us = 0;
	return us;
}
