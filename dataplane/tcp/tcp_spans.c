#include "tcp/tcp_spans.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/seq.h"
#include "tcp/tcp_stack.h"

// One block. [begin, end) of its places are in use; only the first block may have none.
struct node {
	uint32_t next;
	uint16_t begin, end;
	uint32_t last, count, blocks; // in the first: the last block, spans and blocks of all
	uint32_t unused;
	_Alignas(8) uint8_t owner[TCP_SPANS_OWNER_OCTETS]; // in the first
	struct tcp_span spans[TCP_SPANS_IN_BLOCK];
};

_Static_assert(offsetof(struct node, owner) == TCP_SPANS_HEAD_OCTETS, "head");
_Static_assert(sizeof(struct node) <= LIMIT_BLOCK_OCTETS, "one block of the pool");

static struct node *node_at(const struct tcp_stack *stack, uint32_t ref)
{
	return (struct node *)(void *)tcp_block_at(stack, ref);
}

static uint32_t take(struct tcp_stack *stack, enum tcp_block_use use)
{
	uint32_t ref = tcp_block_take(stack, use);

	if (ref != 0)
		memset(node_at(stack, ref), 0, offsetof(struct node, spans));
	return ref;
}

uint32_t tcp_spans_open(struct tcp_stack *stack, enum tcp_block_use use)
{
	uint32_t ref = take(stack, use);

	if (ref != 0) {
		node_at(stack, ref)->last = ref;
		node_at(stack, ref)->blocks = 1;
	}
	return ref;
}

void tcp_spans_close(struct tcp_stack *stack, uint32_t spans)
{
	tcp_block_give_chain(stack, spans);
}

void *tcp_spans_owner(const struct tcp_stack *stack, uint32_t spans)
{
	return node_at(stack, spans)->owner;
}

uint32_t tcp_spans_count(const struct tcp_stack *stack, uint32_t spans)
{
	return node_at(stack, spans)->count;
}

uint32_t tcp_spans_blocks(const struct tcp_stack *stack, uint32_t spans)
{
	return node_at(stack, spans)->blocks;
}

struct tcp_span *tcp_spans_get(const struct tcp_stack *stack, struct tcp_spans_at at)
{
	struct node *n = node_at(stack, at.block);

	assert(at.i >= n->begin && at.i < n->end);
	return &n->spans[at.i];
}

// The first place of a block or of one behind it.
static struct tcp_spans_at first_from(const struct tcp_stack *stack, uint32_t ref)
{
	for (; ref != 0; ref = node_at(stack, ref)->next) {
		const struct node *n = node_at(stack, ref);

		if (n->begin < n->end)
			return (struct tcp_spans_at){ref, n->begin};
	}
	return (struct tcp_spans_at){0, 0};
}

struct tcp_spans_at tcp_spans_first(const struct tcp_stack *stack, uint32_t spans)
{
	return first_from(stack, spans);
}

struct tcp_spans_at tcp_spans_last(const struct tcp_stack *stack, uint32_t spans)
{
	uint32_t ref = node_at(stack, spans)->last;
	const struct node *n = node_at(stack, ref);

	if (n->begin == n->end)
		return (struct tcp_spans_at){0, 0};
	return (struct tcp_spans_at){ref, n->end - 1U};
}

struct tcp_spans_at tcp_spans_next(const struct tcp_stack *stack, struct tcp_spans_at at)
{
	const struct node *n = node_at(stack, at.block);

	if (at.i + 1 < n->end)
		return (struct tcp_spans_at){at.block, at.i + 1};
	return first_from(stack, n->next);
}

// The last block whose first span begins at or before seq; the first block when there is none. What is looked for
// lies in the last block most of the time.
static uint32_t node_of(const struct tcp_stack *stack, uint32_t spans, uint32_t seq)
{
	uint32_t found = node_at(stack, spans)->last;
	const struct node *n = node_at(stack, found);

	if (n->begin < n->end && seq_le(n->spans[n->begin].seq, seq))
		return found;
	found = spans;
	for (uint32_t ref = spans; ref != 0; ref = n->next) {
		n = node_at(stack, ref);
		if (n->begin < n->end && seq_lt(seq, n->spans[n->begin].seq))
			break;
		found = ref;
	}
	return found;
}

// How many spans of the block, its begin included, begin at or before seq.
static uint32_t rank(const struct node *n, uint32_t seq)
{
	uint32_t low = n->begin, high = n->end;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (seq_le(n->spans[middle].seq, seq))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct tcp_spans_at tcp_spans_find(const struct tcp_stack *stack, uint32_t spans, uint32_t seq)
{
	uint32_t ref = node_of(stack, spans, seq);
	const struct node *n = node_at(stack, ref);
	uint32_t i = rank(n, seq);

	if (i == n->begin)
		return (struct tcp_spans_at){0, 0};
	return (struct tcp_spans_at){ref, i - 1};
}

// A new block behind ref that takes its upper half, or nothing when more is only put at the end of ref.
static bool split(
	struct tcp_stack *stack, uint32_t spans, uint32_t ref, bool at_end, enum tcp_block_use use)
{
	struct node *head = node_at(stack, spans), *n = node_at(stack, ref);
	uint32_t fresh = take(stack, use);
	uint32_t moved = at_end ? 0 : TCP_SPANS_IN_BLOCK / 2;

	if (fresh == 0)
		return false;

	struct node *behind = node_at(stack, fresh);

	n->end = (uint16_t)(n->end - moved);
	memcpy(behind->spans, n->spans + n->end, moved * sizeof(n->spans[0]));
	behind->end = (uint16_t)moved;
	behind->next = n->next;
	n->next = fresh;
	if (head->last == ref)
		head->last = fresh;
	head->blocks++;
	return true;
}

static void put(struct node *n, uint32_t i, const struct tcp_span *span)
{
	if (n->end == TCP_SPANS_IN_BLOCK) {
		memmove(n->spans, n->spans + n->begin,
			(size_t)(n->end - n->begin) * sizeof(n->spans[0]));
		i -= n->begin;
		n->end = (uint16_t)(n->end - n->begin);
		n->begin = 0;
	}
	memmove(n->spans + i + 1, n->spans + i, (n->end - i) * sizeof(n->spans[0]));
	n->spans[i] = *span;
	n->end++;
}

bool tcp_spans_add(struct tcp_stack *stack, uint32_t spans, const struct tcp_span *span,
	enum tcp_block_use use)
{
	uint32_t ref = node_of(stack, spans, span->seq);
	struct node *n = node_at(stack, ref);
	uint32_t i = rank(n, span->seq);

	if (n->end - n->begin == TCP_SPANS_IN_BLOCK) {
		if (!split(stack, spans, ref, i == n->end, use))
			return false;
		if (i > n->end || n->end == TCP_SPANS_IN_BLOCK) {
			i -= n->end;
			n = node_at(stack, n->next);
		}
	}
	put(n, i, span);
	node_at(stack, spans)->count++;
	return true;
}

// A block that has become empty goes back, but for the first.
static void drop_node(struct tcp_stack *stack, uint32_t spans, uint32_t ref)
{
	struct node *head = node_at(stack, spans);
	uint32_t before = spans;

	while (node_at(stack, before)->next != ref)
		before = node_at(stack, before)->next;
	node_at(stack, before)->next = tcp_block_give(stack, ref);
	if (head->last == ref)
		head->last = before;
	head->blocks--;
}

void tcp_spans_remove(struct tcp_stack *stack, uint32_t spans, struct tcp_spans_at at)
{
	struct node *n = node_at(stack, at.block);

	assert(at.i >= n->begin && at.i < n->end);
	node_at(stack, spans)->count--;
	if (at.i == n->begin) {
		n->begin++;
	} else {
		memmove(n->spans + at.i, n->spans + at.i + 1,
			(n->end - at.i - 1) * sizeof(n->spans[0]));
		n->end--;
	}
	if (n->begin < n->end)
		return;
	n->begin = n->end = 0;
	if (at.block != spans)
		drop_node(stack, spans, at.block);
}
