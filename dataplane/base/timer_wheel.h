// timer_wheel.h - a hashed wheel of embedded timers with lazy re-arming.
//
// Moving a deadline later only writes due_us: the entry stays in its slot, and when the slot comes
// up it is put where it belongs. So nothing is moved when an ACK arrives.
//
// Thread:  the lcore that owns the wheel.
// Memory:  slots are part of the struct; entries are embedded in their owners.
// Blocks:  never. Cost: arm and cancel O(1); run O(slots passed + entries found), entries bounded by budget.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	TIMER_WHEEL_SLOTS = 4096,
	TIMER_WHEEL_TICK_US = 1024,
};

struct timer {
	struct timer *prev, *next; // NULL when not in the wheel
	uint64_t due_us;           // 0: not armed
	uint32_t slot;             // where it hangs, which may be earlier than due_us
};

struct timer_wheel {
	struct timer *slots[TIMER_WHEEL_SLOTS];
	struct timer *passing; // what is left of the slot timer_wheel_run() looks at now
	uint64_t now_tick;
	uint32_t count;
};

typedef void timer_fn(void *owner, struct timer *timer, uint64_t now_us);

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
