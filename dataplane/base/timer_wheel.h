// timer_wheel.h - hashed wheels of embedded timers with lazy re-arming: a near one of ticks, a far one of periods of 2 s.
//
// Moving a deadline later only writes due_us: the entry stays in its slot, and when the slot comes
// up it is put where it belongs. So nothing is moved when an ACK arrives. What is due in minutes hangs in the far wheel
// and is met once, when its period is about to begin: a million sessions that wait for a command cost as many looks
// in five minutes as there are sessions, and none of them stands in the way of those due in milliseconds.
//
// Thread:  the lcore that owns the wheel.
// Memory:  slots are part of the struct; entries are embedded in their owners.
// Blocks:  never. Cost: arm and cancel O(1); run O(slots passed + entries found), entries bounded by budget.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	TIMER_WHEEL_TICK_US = 1024,
	TIMER_WHEEL_NEAR = 4096,   // slots of a tick
	TIMER_WHEEL_PERIOD = 2048, // ticks
	TIMER_WHEEL_FAR =
		2048, // slots of a period: 71 minutes; later ones are met every 71 minutes
};

struct timer {
	uint64_t
		due_us; // 0: not armed. First, as owners look at it most and at the rest of it seldom
	struct timer *prev, *next; // NULL when not in a wheel
	uint32_t slot;             // where it hangs, which may be earlier than due_us
};

struct timer_wheel {
	struct timer *slots[TIMER_WHEEL_NEAR + TIMER_WHEEL_FAR];
	struct timer *passing; // what is left of the slot timer_wheel_run() looks at now
	struct timer
		*moving; // what is left of the period that goes from the far wheel to the near one
	uint64_t moving_until; // tick at which the first of these may be due
	uint64_t now_tick;
	uint32_t count;
};

typedef void timer_fn(void *owner, struct timer *timer, uint64_t now_us);

// wheel: zeroed.
void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_us);

// Set or move the deadline. due_us in the past fires at the next run.
void timer_wheel_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t due_us);

// After this returns the wheel does not know timer any more.
void timer_wheel_cancel(struct timer_wheel *wheel, struct timer *timer);

// Call fire(owner, timer, now_us) for each timer that is due; budget bounds the entries looked at, fired or
// passed on. A fired timer is out of the wheel and may be armed again or freed from inside fire, and fire may
// arm or cancel any other. Returns how many fired; what the budget left over comes with the next call.
uint32_t timer_wheel_run(
	struct timer_wheel *wheel, uint64_t now_us, uint32_t budget, timer_fn *fire, void *owner);

// No timer is due before this time, as far as the next slots tell; at most limit_us ahead of now_us.
// For a worker that wants to sleep.
uint64_t timer_wheel_next_us(const struct timer_wheel *wheel, uint64_t now_us, uint64_t limit_us);
