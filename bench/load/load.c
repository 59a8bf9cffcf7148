#include "load.h"

#include <assert.h>
#include <stdlib.h>

enum {
	OPENED_A_TICK = 256,
	LOOKED_AT_A_TICK = 4096, // slots, for time-outs
	SECOND_NS = 1000000000,
	END_NS = 2000000000, // sessions have so long to say good-bye
};

struct client {
	struct load_session session;
	struct load *load;
	bool used, queued; // queued: its slot stands in load.idle
};

// Slots in a ring; each at most once, so as many places as slots are enough.
struct slot_ring {
	uint32_t *slots;
	uint32_t size, first, count;
};

struct load {
	const struct load_plan *plan;
	const struct load_wires *wires;
	void *backend;
	struct client *clients;
	struct slot_ring free, idle;
	uint32_t cursor;
	uint64_t begun, handed; // sessions begun, mails handed in
	uint64_t stop_ns;       // 0: not yet
	struct load_result result;
};

static void push(struct slot_ring *ring, uint32_t slot)
{
	ring->slots[(ring->first + ring->count++) % ring->size] = slot;
}

static uint32_t pop(struct slot_ring *ring)
{
	const uint32_t slot = ring->slots[ring->first];

	ring->first = (ring->first + 1) % ring->size;
	ring->count--;
	return slot;
}

static uint32_t slot_of(const struct client *c)
{
	return (uint32_t)(c - c->load->clients);
}

static size_t write_wire(void *wire, struct slice octets)
{
	struct client *c = wire;
	const size_t taken = c->load->wires->write(c->load->backend, slot_of(c), octets);

	c->load->result.count.octets += taken;
	return taken;
}

static void init_clients(struct load *load)
{
	for (uint32_t i = 0; i < load->plan->connections; i++) {
		struct client *c = &load->clients[i];

		c->load = load;
		c->session = (struct load_session){.plan = load->plan,
			.phases = load->result.phases,
			.write = write_wire,
			.wire = c,
			.message = i,
			.state = LOAD_ST_OVER};
		push(&load->free, i);
	}
}

struct load *load_make(const struct load_plan *plan, const struct load_wires *wires, void *backend,
	uint64_t now_ns)
{
	struct load *load = calloc(1, sizeof(*load));

	if (load == NULL)
		return NULL;
	load->plan = plan;
	load->wires = wires;
	load->backend = backend;
	load->result.started_ns = now_ns;
	load->clients = calloc(plan->connections, sizeof(load->clients[0]));
	load->free = (struct slot_ring){
		calloc(plan->connections, sizeof(uint32_t)), plan->connections, 0, 0};
	load->idle = (struct slot_ring){
		calloc(plan->connections, sizeof(uint32_t)), plan->connections, 0, 0};
	if (load->clients == NULL || load->free.slots == NULL || load->idle.slots == NULL) {
		load_free(load);
		return NULL;
	}
	init_clients(load);
	return load;
}

void load_free(struct load *load)
{
	free(load->clients);
	free(load->free.slots);
	free(load->idle.slots);
	free(load);
}

struct load_result *load_result(struct load *load)
{
	return &load->result;
}

// ---- Sessions come and go

static bool is_open(const struct client *c)
{
	return c->session.state >= LOAD_ST_IDLE && c->session.state <= LOAD_ST_QUIT;
}

static void let_go(struct load *load, struct client *c)
{
	load->result.open -= is_open(c);
	load->result.count.closed++;
	c->session.state = LOAD_ST_OVER;
	c->used = false;
	push(&load->free, slot_of(c));
}

static void end(struct load *load, struct client *c, bool abort)
{
	load->wires->close(load->backend, slot_of(c), abort);
	let_go(load, c);
}

static void queue_idle(struct load *load, struct client *c)
{
	if (!c->queued)
		push(&load->idle, slot_of(c));
	c->queued = true;
}

// The session that is idle for the longest; NULL: none. Slots that were let go meanwhile are left out.
static struct client *take_idle(struct load *load)
{
	while (load->idle.count > 0) {
		struct client *c = &load->clients[pop(&load->idle)];

		c->queued = false;
		if (c->used && c->session.state == LOAD_ST_IDLE)
			return c;
	}
	return NULL;
}

static uint64_t sessions_due(const struct load *load, uint64_t now_ns)
{
	const struct load_plan *plan = load->plan;
	const double s = (double)(now_ns - load->result.started_ns) / SECOND_NS;
	uint64_t due = UINT64_MAX;

	if (plan->ramp_s > 0 && s < plan->ramp_s)
		due = (uint64_t)(plan->connections * s / plan->ramp_s);
	if (plan->kind == LOAD_IDLE && due > plan->connections)
		due = plan->connections;
	if (plan->kind != LOAD_SESSIONS && plan->kind != LOAD_REFUSED)
		return due;
	if (plan->rate > 0)
		due = (uint64_t)(s * plan->rate);
	return plan->count > 0 && due > plan->count ? plan->count : due;
}

// When the n-th arrival was due.
static uint64_t due_ns(const struct load *load, uint64_t n, uint64_t now_ns)
{
	if (load->plan->rate <= 0)
		return now_ns;
	return load->result.started_ns + (uint64_t)((double)n / load->plan->rate * SECOND_NS);
}

static void open_sessions(struct load *load, uint64_t now_ns)
{
	const uint64_t due = sessions_due(load, now_ns);

	for (int i = 0; i < OPENED_A_TICK && load->free.count > 0 && load->begun < due; i++) {
		struct client *c = &load->clients[pop(&load->free)];

		c->used = true;
		load_session_start(&c->session, now_ns);
		if (!load->wires->connect(load->backend, slot_of(c))) {
			c->used = false;
			push(&load->free, slot_of(c));
			return;
		}
		if (load->plan->kind == LOAD_SESSIONS && load->plan->rate > 0)
			c->session.since_ns = due_ns(load, load->begun, now_ns);
		load->begun++;
	}
}

static bool wants_mail(const struct load *load, uint64_t now_ns)
{
	const struct load_plan *plan = load->plan;

	if (plan->kind != LOAD_MAILS || load->stop_ns != 0)
		return false;
	if (plan->count > 0 && load->handed >= plan->count)
		return false;
	return plan->rate <= 0 || due_ns(load, load->handed, now_ns) <= now_ns;
}

static void hand_in(struct load *load, uint64_t now_ns)
{
	while (wants_mail(load, now_ns)) {
		struct client *c = take_idle(load);

		if (c == NULL)
			return;
		load_session_mail(&c->session, due_ns(load, load->handed++, now_ns), now_ns);
	}
}

// ---- What sessions say

static void on_ready(struct load *load, struct client *c, uint64_t now_ns)
{
	struct load_result *r = &load->result;

	r->count.ready++;
	r->open++;
	if (r->open > r->open_most)
		r->open_most = r->open;
	if (load->plan->kind == LOAD_SESSIONS || load->stop_ns != 0)
		load_session_quit(&c->session, now_ns);
	else if (load->plan->kind == LOAD_MAILS)
		queue_idle(load, c);
}

static void on_mailed(struct load *load, struct client *c, uint64_t now_ns)
{
	const uint32_t most = load->plan->mails_a_session;

	load->result.count.mails++;
	if (load->stop_ns != 0 || (most > 0 && c->session.mails >= most))
		load_session_quit(&c->session, now_ns);
	else
		queue_idle(load, c);
}

static void on_failed(struct load *load, struct client *c)
{
	struct load_counters *count = &load->result.count;
	const uint16_t code = c->session.code;

	count->codes[code < 600 ? code : 0]++;
	if (load->plan->kind == LOAD_REFUSED && (code == 554 || code == 421))
		count->refused++;
	else
		count->failed++;
}

static void on_word(struct load *load, struct client *c, enum load_word word, uint64_t now_ns)
{
	switch (word) {
	case LOAD_WORD_READY:
		on_ready(load, c, now_ns);
		return;
	case LOAD_WORD_MAILED:
		on_mailed(load, c, now_ns);
		return;
	case LOAD_WORD_FAILED:
		on_failed(load, c);
		end(load, c, true);
		return;
	case LOAD_WORD_OVER:
		end(load, c, false);
		return;
	case LOAD_WORD_NONE:
		return;
	}
}

void load_connected(struct load *load, uint32_t slot, uint64_t now_ns)
{
	load->result.count.opened++;
	load_session_connected(&load->clients[slot].session, now_ns);
}

void load_input(struct load *load, uint32_t slot, struct slice in, uint64_t now_ns)
{
	struct client *c = &load->clients[slot];

	while (in.len > 0 && c->used) {
		const bool open = is_open(c);
		const enum load_word word = load_session_input(&c->session, &in, now_ns);

		// The session is OVER by now, so is_open() would not say that it was.
		if (open && (word == LOAD_WORD_FAILED || word == LOAD_WORD_OVER))
			load->result.open--;
		on_word(load, c, word, now_ns);
	}
	hand_in(load, now_ns);
}

void load_writable(struct load *load, uint32_t slot, uint64_t now_ns)
{
	load_session_pump(&load->clients[slot].session, now_ns);
}

void load_closed(struct load *load, uint32_t slot, bool refused, uint64_t now_ns)
{
	struct client *c = &load->clients[slot];

	(void)now_ns;
	if (refused &&
		(c->session.state == LOAD_ST_CONNECT || c->session.state == LOAD_ST_GREETING))
		load->result.count.refused++;
	else
		load->result.count.failed++;
	let_go(load, c);
}

// ---- Time

static void look_for_late(struct load *load, uint64_t now_ns)
{
	const uint64_t most_ns = (uint64_t)(load->plan->give_up_s * SECOND_NS);
	const uint32_t n = load->plan->connections;

	assert(n > 0);
	for (uint32_t i = 0; i < n && i < LOOKED_AT_A_TICK; i++) {
		struct client *c = &load->clients[load->cursor++ % n];

		if (!c->used || c->session.state == LOAD_ST_IDLE ||
			now_ns < c->session.since_ns + most_ns)
			continue;
		load->result.count.timed_out++;
		end(load, c, true);
	}
	load->cursor %= n;
}

void load_stop(struct load *load, uint64_t now_ns)
{
	if (load->stop_ns != 0)
		return;
	load->stop_ns = load->result.ended_ns = now_ns;
	if (load->plan->rate > 0 && load->plan->kind == LOAD_MAILS) {
		const uint64_t due = (uint64_t)((double)(now_ns - load->result.started_ns) /
						SECOND_NS * load->plan->rate);

		load->result.count.late = due > load->handed ? due - load->handed : 0;
	}
	for (uint32_t i = 0; i < load->plan->connections; i++) {
		struct client *c = &load->clients[i];

		if (c->used && c->session.state == LOAD_ST_IDLE)
			load_session_quit(&c->session, now_ns);
	}
}

static bool is_done(const struct load *load, uint64_t now_ns)
{
	const struct load_plan *plan = load->plan;
	const struct load_counters *count = &load->result.count;

	if (plan->seconds > 0 &&
		now_ns - load->result.started_ns >= (uint64_t)(plan->seconds * SECOND_NS))
		return true;
	if (plan->count == 0)
		return false;
	if (plan->kind == LOAD_MAILS)
		return count->mails + count->failed + count->timed_out + count->refused >=
		       plan->count;
	return count->closed >= plan->count;
}

bool load_tick(struct load *load, uint64_t now_ns)
{
	if (load->stop_ns == 0 && is_done(load, now_ns))
		load_stop(load, now_ns);
	if (load->stop_ns != 0)
		return load->free.count < load->plan->connections &&
		       now_ns < load->stop_ns + END_NS;
	open_sessions(load, now_ns);
	hand_in(load, now_ns);
	look_for_late(load, now_ns);
	return true;
}
