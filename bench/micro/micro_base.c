// Timer wheel with a million timers: re-armed as ACKs do, and turned.

#include <stdlib.h>

#include "base/timer_wheel.h"
#include "micro_tables.h"

enum {
	TIMERS = 1000000,
	SECOND_US = 1000000,
};

struct wheel_world {
	struct timer_wheel wheel;
	struct timer *timers;
	uint64_t now_us, random;
	uint64_t fired;
};

static void *wheel_start(void)
{
	struct wheel_world *w = calloc(1, sizeof(*w));

	w->timers = calloc(TIMERS, sizeof(w->timers[0]));
	w->random = 88172645463325252;
	w->now_us = SECOND_US;
	timer_wheel_init(&w->wheel, w->now_us);
	for (uint32_t i = 0; i < TIMERS; i++)
		timer_wheel_arm(&w->wheel, &w->timers[i],
			w->now_us + 1 + micro_random(&w->random) % (300ULL * SECOND_US));
	return w;
}

static void wheel_end(void *world)
{
	struct wheel_world *w = world;

	free(w->timers);
	free(w);
}

static void wheel_rearm(void *world, uint64_t turns)
{
	struct wheel_world *w = world;

	while (turns-- > 0)
		timer_wheel_arm(&w->wheel, &w->timers[micro_random(&w->random) % TIMERS],
			w->now_us + 300ULL * SECOND_US);
}

static void on_timer(void *owner, struct timer *timer, uint64_t now_us)
{
	struct wheel_world *w = owner;

	w->fired++;
	timer_wheel_arm(&w->wheel, timer, now_us + 300ULL * SECOND_US);
}

// A turn: 10 us of a worker's life.
static void wheel_turn(void *world, uint64_t turns)
{
	struct wheel_world *w = world;

	while (turns-- > 0) {
		w->now_us += 10;
		timer_wheel_run(&w->wheel, w->now_us, 256, on_timer, w);
	}
	micro_keep(w->fired);
}

const struct micro micro_base[] = {
	{"timer_rearm_1m", "arm", 1, wheel_start, wheel_rearm, wheel_end},
	{"timer_turn_1m", "turn of 10 us", 1, wheel_start, wheel_turn, wheel_end},
	{.name = NULL},
};
