#include "call.h"

#include <errno.h>
#include <stddef.h>

#include "world.h"

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

static void wait_for_others(struct call *call)
{
	struct world *world = call->world;

	pthread_cond_init(&call->turn, NULL);
	call->next = world->waiting;
	world->waiting = call;
	while (!call->over)
		pthread_cond_wait(&call->turn, &world->lock);
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
