#include "base/timer_wheel.h"

#include <assert.h>
#include <stddef.h>

// An entry hangs less than one turn ahead, so every entry of a slot is looked at when the slot comes up. A far
// deadline is passed on once a turn (4.2 s); that price keeps arm and cancel at a few stores.
static void hang(struct timer_wheel *wheel, struct timer *timer)
{
	uint64_t tick = timer->due_us / TIMER_WHEEL_TICK_US;

	if (tick < wheel->now_tick)
		tick = wheel->now_tick;
	if (tick > wheel->now_tick + TIMER_WHEEL_SLOTS - 2)
		tick = wheel->now_tick + TIMER_WHEEL_SLOTS - 2;
	timer->slot = (uint32_t)(tick % TIMER_WHEEL_SLOTS);

	struct timer **head = &wheel->slots[timer->slot];

	if (*head == NULL) {
		timer->prev = timer->next = timer;
	} else {
		timer->next = *head;
		timer->prev = (*head)->prev;
		timer->prev->next = timer;
		timer->next->prev = timer;
	}
	*head = timer;
}

static void unhang(struct timer_wheel *wheel, struct timer *timer)
{
	struct timer **head =
		wheel->passing == timer ? &wheel->passing : &wheel->slots[timer->slot];

	if (*head == timer)
		*head = timer->next == timer ? NULL : timer->next;
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	timer->prev = timer->next = NULL;
}

// The tick at which the slot of timer comes up next.
static uint64_t visit_tick(const struct timer_wheel *wheel, const struct timer *timer)
{
	return wheel->now_tick + (timer->slot - wheel->now_tick) % TIMER_WHEEL_SLOTS;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_us)
{
	*wheel = (struct timer_wheel){.now_tick = now_us / TIMER_WHEEL_TICK_US};
}

void timer_wheel_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t due_us)
{
	assert(due_us != 0);
	timer->due_us = due_us;
	if (timer->next != NULL) {
		if (visit_tick(wheel, timer) <= due_us / TIMER_WHEEL_TICK_US)
			return;
		unhang(wheel, timer);
		wheel->count--;
	}
	hang(wheel, timer);
	wheel->count++;
}

void timer_wheel_cancel(struct timer_wheel *wheel, struct timer *timer)
{
	timer->due_us = 0;
	if (timer->next == NULL)
		return;
	unhang(wheel, timer);
	wheel->count--;
}

// Put what is left of the list being passed back in front of its slot.
static void put_back(struct timer_wheel *wheel, uint32_t slot)
{
	struct timer *rest = wheel->passing, *other = wheel->slots[slot];

	wheel->passing = NULL;
	if (rest == NULL)
		return;
	wheel->slots[slot] = rest;
	if (other == NULL)
		return;

	struct timer *rest_last = rest->prev, *other_last = other->prev;

	rest_last->next = other;
	other->prev = rest_last;
	other_last->next = rest;
	rest->prev = other_last;
}

struct pass {
	struct timer_wheel *wheel;
	uint64_t now_us;
	uint32_t budget, fired;
	timer_fn *fire;
	void *owner;
};

// Look at each entry that hangs in slot now. fire may arm and cancel any timer: the list is taken out of the slot
// first, so that what is armed meanwhile is not met again in this pass. False: the budget ended first.
static bool pass_slot(struct pass *p, uint32_t slot)
{
	struct timer_wheel *wheel = p->wheel;

	wheel->passing = wheel->slots[slot];
	wheel->slots[slot] = NULL;
	while (wheel->passing != NULL && p->budget > 0) {
		struct timer *timer = wheel->passing;

		unhang(wheel, timer);
		p->budget--;
		if (timer->due_us > p->now_us) {
			hang(wheel, timer);
			continue;
		}
		wheel->count--;
		p->fired++;
		timer->due_us = 0;
		p->fire(p->owner, timer, p->now_us);
	}

	bool done = wheel->passing == NULL;

	put_back(wheel, slot);
	return done;
}

uint32_t timer_wheel_run(
	struct timer_wheel *wheel, uint64_t now_us, uint32_t budget, timer_fn *fire, void *owner)
{
	struct pass pass = {wheel, now_us, budget, 0, fire, owner};
	uint64_t target = now_us / TIMER_WHEEL_TICK_US;

	if (wheel->count == 0) {
		wheel->now_tick = target > wheel->now_tick ? target : wheel->now_tick;
		return 0;
	}
	// After a long sleep one turn meets every entry; the turns before it would meet none.
	if (target > wheel->now_tick + TIMER_WHEEL_SLOTS)
		wheel->now_tick = target - TIMER_WHEEL_SLOTS;
	while (wheel->now_tick < target) {
		uint64_t tick = wheel->now_tick;

		// What fire arms goes to a slot that is still to come.
		wheel->now_tick = tick + 1;
		if (!pass_slot(&pass, (uint32_t)(tick % TIMER_WHEEL_SLOTS))) {
			wheel->now_tick = tick;
			return pass.fired;
		}
	}
	pass_slot(&pass, (uint32_t)(wheel->now_tick % TIMER_WHEEL_SLOTS));
	return pass.fired;
}

// The current slot may hold entries that are due within this tick: their own time counts.
static uint64_t earliest_in_slot(const struct timer *head)
{
	uint64_t due_us = UINT64_MAX;
	const struct timer *timer = head;

	if (head == NULL)
		return due_us;
	do {
		if (timer->due_us < due_us)
			due_us = timer->due_us;
		timer = timer->next;
	} while (timer != head);
	return due_us;
}

uint64_t timer_wheel_next_us(const struct timer_wheel *wheel, uint64_t now_us, uint64_t limit_us)
{
	uint64_t first = wheel->now_tick;
	uint64_t end_us = now_us + limit_us;

	if (wheel->count == 0)
		return end_us;

	uint64_t next_us = earliest_in_slot(wheel->slots[first % TIMER_WHEEL_SLOTS]);

	for (uint64_t tick = first + 1; tick < first + TIMER_WHEEL_SLOTS; tick++) {
		uint64_t start_us = tick * TIMER_WHEEL_TICK_US;

		if (start_us >= end_us || start_us >= next_us)
			break;
		if (wheel->slots[tick % TIMER_WHEEL_SLOTS] != NULL)
			next_us = start_us;
	}
	if (next_us > end_us)
		next_us = end_us;
	return next_us < now_us ? now_us : next_us;
}
