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

// Those who are in need not leave: a level that lasts ends by sending away who only takes, until there is room again.
static bool is_to_reset(struct worker *w, enum pressure_level level)
{
	struct pressure *p = &w->pressure;
	uint64_t patience_s =
		level >= PRESSURE_REFUSE ? LIMIT_PRESSURE_REFUSE_S : LIMIT_PRESSURE_SHRINK_S;
	// A table that is nearly full is no harm, and is made emptier only once it was full.
	bool is_bad = level == PRESSURE_REFUSE || by_blocks(w) >= PRESSURE_SHRINK || p->resets;

	if (level < PRESSURE_SHRINK || !is_bad) {
		p->short_since_us = 0;
		return false;
	}
	if (p->short_since_us == 0)
		p->short_since_us = w->now_us;
	return p->resets || w->now_us - p->short_since_us >= patience_s * 1000000;
}

static void begin_reset(struct worker *w)
{
	edge_count(&w->shared->pressure_raised[PRESSURE_RESET], 1);
	w->pressure.idle_s =
		atomic_load_explicit(&w->edge->tunables.command_timeout_s, memory_order_relaxed) /
		2;
}

static void set_level(struct worker *w, enum pressure_level level)
{
	struct pressure *p = &w->pressure;
	bool resets = is_to_reset(w, level);

	for (unsigned i = p->level + 1U; i <= level; i++)
		edge_count(&w->shared->pressure_raised[i], 1);
	if (resets && !p->resets)
		begin_reset(w);
	p->resets = resets;
	p->level = resets && level == PRESSURE_REFUSE ? PRESSURE_RESET : (uint8_t)level;
	atomic_store_explicit(&w->shared->pressure_level, p->level, memory_order_relaxed);
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

static bool holds_blocks(struct tcp_conn *tcp)
{
	const struct conn *c = tcp_conn_app(tcp);

	return tcp_send_queued(tcp) > 0 || tcp_receive_unread(tcp) > 0 || c->smtp.txn != NULL;
}

// While there are slots, a session that is only silent is in nobody's way.
static bool is_to_go(const struct worker *w, struct tcp_conn *tcp)
{
	const struct pressure *p = &w->pressure;

	return p->resets && idle_us(w, tcp) >= p->idle_s * 1000000ULL &&
	       (p->lacks_slots || holds_blocks(tcp));
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
	if (!p->resets)
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

	w->pressure.lacks_slots = slots != PRESSURE_NONE;
	set_level(w, blocks > slots ? blocks : slots);
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
