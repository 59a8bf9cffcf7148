#include "base/timer_wheel.h"

#include <assert.h>
#include <stddef.h>

static uint64_t period_of(uint64_t tick)
{
	return tick / TIMER_WHEEL_PERIOD;
}

// Ticks of this period and the next hang in the near wheel, less than one turn ahead, so that every entry of a slot is
// looked at when the slot comes up; later ones in the slot of their period, less than a turn of periods ahead.
static uint32_t slot_for(const struct timer_wheel *wheel, uint64_t tick)
{
	uint64_t period = period_of(tick), now_period = period_of(wheel->now_tick);

	if (tick < wheel->now_tick)
		tick = wheel->now_tick;
	if (period > now_period + TIMER_WHEEL_FAR - 2)
		period = now_period + TIMER_WHEEL_FAR - 2;
	if (period > now_period + 1)
		return TIMER_WHEEL_NEAR + (uint32_t)(period % TIMER_WHEEL_FAR);
	if (tick > wheel->now_tick + TIMER_WHEEL_NEAR - 2)
		tick = wheel->now_tick + TIMER_WHEEL_NEAR - 2;
	return (uint32_t)(tick % TIMER_WHEEL_NEAR);
}

static void hang(struct timer_wheel *wheel, struct timer *timer)
{
	timer->slot = slot_for(wheel, timer->due_us / TIMER_WHEEL_TICK_US);

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

// The list that timer stands in front of, if it does.
static struct timer **head_of(struct timer_wheel *wheel, const struct timer *timer)
{
	if (wheel->passing == timer)
		return &wheel->passing;
	if (wheel->moving == timer)
		return &wheel->moving;
	return &wheel->slots[timer->slot];
}

static void unhang(struct timer_wheel *wheel, struct timer *timer)
{
	struct timer **head = head_of(wheel, timer);

	if (*head == timer)
		*head = timer->next == timer ? NULL : timer->next;
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	timer->prev = timer->next = NULL;
}

// The tick by which timer is looked at next.
static uint64_t visit_tick(const struct timer_wheel *wheel, const struct timer *timer)
{
	uint64_t period = period_of(wheel->now_tick);
	uint32_t far = timer->slot - TIMER_WHEEL_NEAR;

	if (timer->slot < TIMER_WHEEL_NEAR)
		return wheel->now_tick + (timer->slot - wheel->now_tick) % TIMER_WHEEL_NEAR;
	return (period + (far - period) % TIMER_WHEEL_FAR) * TIMER_WHEEL_PERIOD;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_us)
{
	// Not by assignment: the slots are zero already, and need not be touched.
	wheel->now_tick = now_us / TIMER_WHEEL_TICK_US;
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

// Put list in front of what hangs at head.
static void splice(struct timer **head, struct timer *list)
{
	struct timer *other = *head;

	if (list == NULL)
		return;
	*head = list;
	if (other == NULL)
		return;

	struct timer *list_last = list->prev, *other_last = other->prev;

	list_last->next = other;
	other->prev = list_last;
	other_last->next = list;
	list->prev = other_last;
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
	struct timer *rest;

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
	rest = wheel->passing;
	wheel->passing = NULL;
	splice(&wheel->slots[slot], rest);
	return rest == NULL;
}

// From the far wheel to the near one, at most so many.
static void move(struct pass *p, uint32_t most)
{
	struct timer_wheel *wheel = p->wheel;

	if (most > p->budget)
		most = p->budget;
	for (; wheel->moving != NULL && most > 0; most--, p->budget--) {
		struct timer *timer = wheel->moving;

		unhang(wheel, timer);
		hang(wheel, timer);
	}
}

// The period of now_tick begins: what is left of its own entries is due soon, those of the next have the whole period to move.
static void begin_period(struct pass *p)
{
	struct timer_wheel *wheel = p->wheel;
	uint64_t next = period_of(wheel->now_tick) + 1;
	struct timer **far = &wheel->slots[TIMER_WHEEL_NEAR + next % TIMER_WHEEL_FAR];

	move(p, p->budget);
	if (wheel->moving == NULL)
		wheel->moving_until = next * TIMER_WHEEL_PERIOD;
	splice(&wheel->moving, *far);
	*far = NULL;
}

// After a long sleep one turn of the near wheel meets every entry in it; the turns before it would meet none but them.
static void skip_to(struct pass *p, uint64_t tick)
{
	struct timer_wheel *wheel = p->wheel;
	uint64_t last = period_of(tick), period = period_of(wheel->now_tick);

	if (last > period + TIMER_WHEEL_FAR)
		period = last - TIMER_WHEEL_FAR;
	while (period < last) {
		wheel->now_tick = ++period * TIMER_WHEEL_PERIOD;
		begin_period(p);
	}
	wheel->now_tick = tick;
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
	if (target > wheel->now_tick + TIMER_WHEEL_NEAR)
		skip_to(&pass, target - TIMER_WHEEL_NEAR);
	// Half for those that are late already, or near ones could keep them waiting for ever.
	if (wheel->moving_until <= wheel->now_tick)
		move(&pass, (budget + 1) / 2);
	while (wheel->now_tick < target) {
		uint64_t tick = wheel->now_tick;

		// What fire arms goes to a slot that is still to come.
		wheel->now_tick = tick + 1;
		if (wheel->now_tick % TIMER_WHEEL_PERIOD == 0)
			begin_period(&pass);
		if (!pass_slot(&pass, (uint32_t)(tick % TIMER_WHEEL_NEAR))) {
			wheel->now_tick = tick;
			return pass.fired;
		}
	}
	pass_slot(&pass, (uint32_t)(wheel->now_tick % TIMER_WHEEL_NEAR));
	move(&pass, pass.budget);
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

// Where the first period with entries begins, or end_us when that is later.
static uint64_t next_period_us(const struct timer_wheel *wheel, uint64_t end_us)
{
	uint64_t first = period_of(wheel->now_tick) + 1;

	for (uint64_t period = first; period < first + TIMER_WHEEL_FAR; period++) {
		uint64_t start_us = period * TIMER_WHEEL_PERIOD * TIMER_WHEEL_TICK_US;

		if (start_us >= end_us)
			break;
		if (wheel->slots[TIMER_WHEEL_NEAR + period % TIMER_WHEEL_FAR] != NULL)
			return start_us;
	}
	return end_us;
}

uint64_t timer_wheel_next_us(const struct timer_wheel *wheel, uint64_t now_us, uint64_t limit_us)
{
	uint64_t first = wheel->now_tick, next_us;
	uint64_t end_us = now_us + limit_us;

	if (wheel->count == 0)
		return end_us;
	if (wheel->moving != NULL)
		return now_us;
	next_us = earliest_in_slot(wheel->slots[first % TIMER_WHEEL_NEAR]);
	for (uint64_t tick = first + 1; tick < first + TIMER_WHEEL_NEAR; tick++) {
		uint64_t start_us = tick * TIMER_WHEEL_TICK_US;

		if (start_us >= end_us || start_us >= next_us)
			break;
		if (wheel->slots[tick % TIMER_WHEEL_NEAR] != NULL)
			next_us = start_us;
	}
	next_us = next_period_us(wheel, next_us < end_us ? next_us : end_us);
	return next_us < now_us ? now_us : next_us;
}
