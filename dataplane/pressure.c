#include "dataplane/pressure.h"

#include "dataplane/conn.h"

enum {
	// A reply lies in at most so many blocks, when none of them was begun before.
	REPLY_BLOCKS = SMTP_REPLY_MAX_OCTETS / (LIMIT_BLOCK_OCTETS / 2) + 1,
};

static enum pressure_level by_blocks(const struct worker *w)
{
	const struct block_pool *blocks = tcp_stack_blocks(w->tcp);
	uint32_t left = blocks->free_count, all = blocks->count;

	if (left >= all / 4)
		return PRESSURE_NONE;
	if (left >= all / 8)
		return PRESSURE_PRUNE;
	if (left >= all / 16)
		return PRESSURE_SHRINK;
	return left >= all / 32 ? PRESSURE_COOKIES : PRESSURE_REFUSE;
}

static enum pressure_level by_slots(const struct worker *w)
{
	uint32_t all = w->common->conns, left = all - tcp_conn_lasting(w->tcp);

	if (left > all / 16)
		return PRESSURE_NONE;
	return left > all / 64 ? PRESSURE_COOKIES : PRESSURE_REFUSE;
}

// Refusing alone may last for ever: those who are in need not leave. Once sessions are reset that goes on until there is room again, or
// the slots that come free would only be refused.
static enum pressure_level harden(struct worker *w, enum pressure_level level)
{
	struct pressure *p = &w->pressure;
	bool resets = p->level == PRESSURE_RESET;

	if (level < PRESSURE_COOKIES || (level == PRESSURE_COOKIES && !resets)) {
		p->refuse_since_us = 0;
		return level;
	}
	if (p->refuse_since_us == 0)
		p->refuse_since_us = w->now_us;
	if (resets || w->now_us - p->refuse_since_us >= LIMIT_PRESSURE_REFUSE_S * 1000000ULL)
		return PRESSURE_RESET;
	return level;
}

static void set_level(struct worker *w, enum pressure_level level)
{
	struct pressure *p = &w->pressure;

	if (level == p->level)
		return;
	for (unsigned i = p->level + 1U; i <= level; i++)
		edge_count(&w->shared->pressure_raised[i], 1);
	if (level == PRESSURE_RESET)
		p->idle_s = atomic_load_explicit(
				    &w->edge->tunables.command_timeout_s, memory_order_relaxed) /
			    2;
	p->level = (uint8_t)level;
	atomic_store_explicit(&w->shared->pressure_level, level, memory_order_relaxed);
}

// For how long a session has brought nothing: its deadline is moved by whole commands and by what comes of a body. One that waits for us
// is not idle.
static uint64_t idle_us(const struct worker *w, struct tcp_conn *tcp)
{
	const struct conn *c = tcp_conn_app(tcp);
	uint64_t due_us = tcp_deadline_us(tcp), all_us;

	all_us = 1000000ULL *
		 atomic_load_explicit(&w->edge->tunables.command_timeout_s, memory_order_relaxed);
	if (!c->closing && smtp_session_is_waiting(&c->smtp))
		return 0;
	return due_us != 0 && due_us < w->now_us + all_us ? w->now_us + all_us - due_us : 0;
}

static bool is_to_go(const struct worker *w, struct tcp_conn *tcp)
{
	uint64_t us = idle_us(w, tcp);

	return w->pressure.level == PRESSURE_RESET && us >= w->pressure.idle_s * 1000000ULL;
}

static void look_at(struct worker *w, struct tcp_conn *tcp)
{
	if (is_to_go(w, tcp)) {
		edge_count(&w->shared->pressure_reset, 1);
		tcp_abort(tcp, w->now_us);
		return;
	}
	if (w->pressure.level >= PRESSURE_PRUNE && tcp_prune(tcp))
		edge_count(&w->shared->pressure_pruned, 1);
	// It may have found no block for its reply, and nothing else would wake it.
	if (tcp_receive_unread(tcp) > 0)
		tcp_resume(tcp, w->now_us);
}

// The end of a round. The longest idle go first: the next round takes those that were half as long, down to the least.
static void end_round(struct pressure *p)
{
	p->cursor = 0;
	p->walking = p->level >= PRESSURE_PRUNE; // the round in which the pressure ends is the last
	if (p->level != PRESSURE_RESET)
		return;
	p->idle_s /= 2;
	if (p->idle_s < LIMIT_PRESSURE_IDLE_S)
		p->idle_s = LIMIT_PRESSURE_IDLE_S;
}

static void walk(struct worker *w)
{
	struct pressure *p = &w->pressure;

	for (int i = 0; i < LIMIT_PRESSURE_STEP; i++) {
		struct tcp_conn *tcp;

		if (p->cursor >= tcp_conn_slots(w->tcp)) {
			end_round(p);
			return;
		}
		tcp = tcp_conn_at(w->tcp, p->cursor++);
		if (tcp != NULL)
			look_at(w, tcp);
	}
}

void pressure_follow(struct worker *w)
{
	enum pressure_level blocks = by_blocks(w), slots = by_slots(w);

	set_level(w, harden(w, blocks > slots ? blocks : slots));
	if (w->pressure.level >= PRESSURE_PRUNE)
		w->pressure.walking = true;
	if (w->pressure.walking)
		walk(w);
}

bool pressure_lets_reply(const struct worker *w, uint32_t unread_octets)
{
	const struct block_pool *blocks = tcp_stack_blocks(w->tcp);

	if (w->pressure.level >= PRESSURE_SHRINK && unread_octets > 0)
		return false;
	return blocks->free_count >= blocks->count / LIMIT_REPLY_RESERVE + REPLY_BLOCKS;
}
