#include "tcp/tcp_block.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "tcp/tcp_stack.h"

_Static_assert(offsetof(struct tcp_block, octets) == TCP_BLOCK_HEAD_OCTETS, "head");
_Static_assert(sizeof(struct tcp_block) == LIMIT_BLOCK_OCTETS, "one block of the pool");

static uint32_t reserve(const struct block_pool *pool, enum tcp_block_use use)
{
	switch (use) {
	case TCP_BLOCK_OUT_OF_ORDER:
	case TCP_BLOCK_NOTES:
		return pool->count / LIMIT_TCP_OUT_OF_ORDER_RESERVE;
	case TCP_BLOCK_UNREAD:
		return pool->count / LIMIT_TCP_UNREAD_RESERVE;
	case TCP_BLOCK_REPLY:
		break;
	}
	return 0;
}

uint32_t tcp_block_take(struct tcp_stack *stack, enum tcp_block_use use)
{
	struct tcp_block *b = NULL;

	if (stack->blocks.free_count > reserve(&stack->blocks, use))
		b = block_pool_take(&stack->blocks);
	if (b == NULL) {
		stack->counters.no_buffer++;
		return 0;
	}
	memset(b, 0, TCP_BLOCK_HEAD_OCTETS);
	return (uint32_t)(((uint8_t *)b - stack->blocks.memory) / LIMIT_BLOCK_OCTETS) + 1;
}

struct tcp_block *tcp_block_at(const struct tcp_stack *stack, uint32_t ref)
{
	assert(ref != 0 && ref <= stack->blocks.count);
	return (struct tcp_block *)(void *)(stack->blocks.memory +
					    (size_t)(ref - 1) * LIMIT_BLOCK_OCTETS);
}

uint32_t tcp_block_give(struct tcp_stack *stack, uint32_t ref)
{
	struct tcp_block *b = tcp_block_at(stack, ref);
	uint32_t next = b->next;

	block_pool_give(&stack->blocks, b);
	return next;
}

void tcp_block_give_chain(struct tcp_stack *stack, uint32_t ref)
{
	while (ref != 0)
		ref = tcp_block_give(stack, ref);
}

static uint32_t copy_in(struct tcp_block *b, struct slice in)
{
	uint32_t n = TCP_BLOCK_OCTETS - b->end;

	if (n > in.len)
		n = (uint32_t)in.len;
	memcpy(b->octets + b->end, in.at, n);
	b->end = (uint16_t)(b->end + n);
	return n;
}

static bool extend(
	struct tcp_stack *stack, struct tcp_chain *chain, uint32_t seq, enum tcp_block_use use)
{
	uint32_t ref = tcp_block_take(stack, use);

	if (ref == 0)
		return false;
	tcp_block_at(stack, ref)->seq = seq;
	if (chain->first == 0)
		chain->first = ref;
	else
		tcp_block_at(stack, chain->last)->next = ref;
	chain->last = ref;
	return true;
}

uint32_t tcp_block_append(struct tcp_stack *stack, struct tcp_chain *chain, uint32_t seq,
	struct slice in, enum tcp_block_use use)
{
	uint32_t stored = 0;

	if (chain->last != 0)
		stored = copy_in(tcp_block_at(stack, chain->last), in);
	while (stored < in.len) {
		if (!extend(stack, chain, seq + stored, use))
			break;
		stored += copy_in(tcp_block_at(stack, chain->last),
			(struct slice){in.at + stored, in.len - stored});
	}
	return stored;
}

void tcp_block_join(struct tcp_stack *stack, struct tcp_chain *chain, struct tcp_chain tail)
{
	if (chain->last == 0) {
		*chain = tail;
		return;
	}

	struct tcp_block *left = tcp_block_at(stack, chain->last);
	struct slice right = tcp_block_view(tcp_block_at(stack, tail.first));

	if (right.len > (size_t)(TCP_BLOCK_OCTETS - left->end)) {
		left->next = tail.first;
		chain->last = tail.last;
		return;
	}
	copy_in(left, right);
	left->next = tcp_block_give(stack, tail.first);
	if (left->next != 0)
		chain->last = tail.last;
}
