#include "tcp/tcp_reassembly.h"

#include "base/seq.h"
#include "tcp/tcp_spans.h"
#include "tcp/tcp_stack.h"

enum { RECENT = SEGMENT_SACKS };

// What is true of all ranges, beside their list.
struct early {
	uint32_t octets;         // in all of them
	uint32_t recent[RECENT]; // a number in each of the ranges that grew last, newest first
	uint32_t recent_count;
};

_Static_assert(sizeof(struct early) <= TCP_SPANS_OWNER_OCTETS, "lent room");

static struct early *early_of(const struct tcp_conn *conn)
{
	return tcp_spans_owner(conn->stack, conn->early);
}

static bool is_in(const struct tcp_span *range, uint32_t seq)
{
	return seq - range->seq < range->end - range->seq;
}

// The newest range moves to the front of what the next ACKs tell.
static void note_recent(struct tcp_conn *conn, const struct tcp_span *range)
{
	struct early *early = early_of(conn);
	uint32_t kept = 0, others[RECENT];

	for (uint32_t i = 0; i < early->recent_count; i++)
		if (!is_in(range, early->recent[i]) && kept < RECENT - 1)
			others[kept++] = early->recent[i];
	early->recent[0] = range->seq;
	for (uint32_t i = 0; i < kept; i++)
		early->recent[i + 1] = others[i];
	early->recent_count = kept + 1;
}

// Ranges are bounded, and those that hold little for their block much earlier: a peer that sends crumbs holds no more
// than LIMIT_TCP_CRUMBS blocks for them.
static bool has_place(const struct tcp_conn *conn)
{
	uint32_t count = tcp_spans_count(conn->stack, conn->early);

	if (count < LIMIT_TCP_CRUMBS)
		return true;
	return count < LIMIT_TCP_RANGES && early_of(conn)->octets / TCP_BLOCK_OCTETS >= count / 2;
}

// The gap between the range at and the next one is filled.
static void merge(struct tcp_conn *conn, struct tcp_spans_at at)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_spans_at after = tcp_spans_next(stack, at);
	struct tcp_span *range = tcp_spans_get(stack, at);

	if (after.block == 0 || tcp_spans_get(stack, after)->seq != range->end)
		return;

	struct tcp_span next = *tcp_spans_get(stack, after);

	tcp_block_join(stack, &range->chain, next.chain);
	range->end = next.end;
	tcp_spans_remove(stack, conn->early, after);
}

static uint32_t open_range(struct tcp_conn *conn, uint32_t seq, struct slice in)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_span range = {.seq = seq};
	uint32_t stored;

	if (!has_place(conn))
		return 0;
	stored = tcp_block_append(stack, &range.chain, seq, in, TCP_BLOCK_OUT_OF_ORDER);
	range.end = seq + stored;
	if (stored == 0)
		return 0;
	if (tcp_spans_add(stack, conn->early, &range, TCP_BLOCK_OUT_OF_ORDER))
		return stored;
	tcp_block_give_chain(stack, range.chain.first);
	return 0;
}

static uint32_t extend_range(struct tcp_conn *conn, struct tcp_span *range, struct slice in)
{
	uint32_t stored = tcp_block_append(
		conn->stack, &range->chain, range->end, in, TCP_BLOCK_OUT_OF_ORDER);

	range->end += stored;
	return stored;
}

// Octets of in that go to one place: skipped when they are there already, else stored. 0: no place.
static uint32_t add_one(
	struct tcp_conn *conn, uint32_t seq, struct slice in, struct segment_sack *again)
{
	struct tcp_stack *stack = conn->stack;
	struct tcp_spans_at at = tcp_spans_find(stack, conn->early, seq), after;
	struct tcp_span *range = at.block != 0 ? tcp_spans_get(stack, at) : NULL;
	uint32_t stored;

	if (range != NULL && seq_lt(seq, range->end)) {
		uint32_t n = range->end - seq < in.len ? range->end - seq : (uint32_t)in.len;

		if (again->left == again->right)
			*again = (struct segment_sack){seq, seq + n};
		note_recent(conn, range);
		return n;
	}
	after = range != NULL ? tcp_spans_next(stack, at) : tcp_spans_first(stack, conn->early);
	if (after.block != 0 && in.len > tcp_spans_get(stack, after)->seq - seq)
		in.len = tcp_spans_get(stack, after)->seq - seq;
	stored = range != NULL && range->end == seq ? extend_range(conn, range, in)
						    : open_range(conn, seq, in);
	if (stored == 0)
		return 0;
	early_of(conn)->octets += stored;
	at = tcp_spans_find(stack, conn->early, seq);
	merge(conn, at);
	note_recent(conn, tcp_spans_get(stack, at));
	return stored;
}

static void close_if_empty(struct tcp_conn *conn)
{
	if (tcp_spans_count(conn->stack, conn->early) > 0)
		return;
	tcp_spans_close(conn->stack, conn->early);
	conn->early = 0;
}

bool tcp_reassembly_add(
	struct tcp_conn *conn, uint32_t seq, struct slice in, struct segment_sack *again)
{
	bool all = true;

	if (conn->early == 0)
		conn->early = tcp_spans_open(conn->stack, TCP_BLOCK_OUT_OF_ORDER);
	if (conn->early == 0)
		return false;
	while (in.len > 0 && all) {
		uint32_t n = add_one(conn, seq, in, again);

		all = n > 0;
		seq += n;
		in = (struct slice){in.at + n, in.len - n};
	}
	close_if_empty(conn);
	return all;
}

bool tcp_reassembly_is_newest(const struct tcp_conn *conn, uint32_t seq)
{
	if (conn->early == 0)
		return false;

	const struct tcp_stack *stack = conn->stack;
	struct tcp_spans_at at = tcp_spans_find(stack, conn->early, seq);

	if (at.block == 0)
		return false;

	const struct tcp_span *range = tcp_spans_get(stack, at);

	return seq_le(seq, range->end) && is_in(range, early_of(conn)->recent[0]);
}

uint32_t tcp_reassembly_gap(const struct tcp_conn *conn)
{
	if (conn->early == 0)
		return UINT32_MAX;

	const struct tcp_stack *stack = conn->stack;

	return tcp_spans_get(stack, tcp_spans_first(stack, conn->early))->seq - conn->rcv_nxt;
}

bool tcp_reassembly_take(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	// Ranges do not touch, so one at most begins here.
	if (conn->early == 0 || tcp_reassembly_gap(conn) != 0)
		return false;

	struct tcp_spans_at at = tcp_spans_first(stack, conn->early);
	struct tcp_span range = *tcp_spans_get(stack, at);

	tcp_spans_remove(stack, conn->early, at);
	early_of(conn)->octets -= range.end - range.seq;
	close_if_empty(conn);
	conn->rcv_unread += range.end - range.seq;
	conn->rcv_nxt = range.end;
	tcp_block_join(stack, &conn->rcv, range.chain);
	return true;
}

uint32_t tcp_reassembly_end(const struct tcp_conn *conn)
{
	if (conn->early == 0)
		return conn->rcv_nxt;
	return tcp_spans_get(conn->stack, tcp_spans_last(conn->stack, conn->early))->end;
}

// first: what stands before it is no range, but octets that came twice.
static bool names(const struct segment_options *o, uint8_t first, uint32_t left)
{
	for (uint8_t i = first; i < o->sack_count; i++)
		if (o->sacks[i].left == left)
			return true;
	return false;
}

void tcp_reassembly_sacks(const struct tcp_conn *conn, struct segment_options *o, uint8_t most)
{
	const struct early *early;
	uint8_t first = o->sack_count;

	if (conn->early == 0)
		return;
	early = early_of(conn);
	for (uint32_t i = 0; i < early->recent_count && o->sack_count < most; i++) {
		struct tcp_spans_at at = tcp_spans_find(conn->stack, conn->early, early->recent[i]);
		const struct tcp_span *range =
			at.block != 0 ? tcp_spans_get(conn->stack, at) : NULL;

		// It may have been delivered, or have become part of one that is named already.
		if (range == NULL || !is_in(range, early->recent[i]) || names(o, first, range->seq))
			continue;
		o->sacks[o->sack_count++] = (struct segment_sack){range->seq, range->end};
	}
}

void tcp_reassembly_discard(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	if (conn->early == 0)
		return;
	for (struct tcp_spans_at at = tcp_spans_first(stack, conn->early); at.block != 0;
		at = tcp_spans_next(stack, at))
		tcp_block_give_chain(stack, tcp_spans_get(stack, at)->chain.first);
	tcp_spans_close(stack, conn->early);
	conn->early = 0;
}
