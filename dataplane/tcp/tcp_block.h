// tcp_block.h - one block of the pool as a piece of a send or receive queue. Blocks are named by a
// 4 octet reference (0: none), half of what a pointer costs a million connections.
//
// Thread:  the lcore that owns the stack.
// Memory:  the stack's block pool; every block is in exactly one queue or free.
// Blocks:  never. Cost: O(1), tcp_block_give_chain O(blocks).

#pragma once

#include <stdint.h>

#include "base/limits.h"
#include "base/slice.h"

struct tcp_stack;

// Blocks in a row; {0, 0} is empty.
struct tcp_chain {
	uint32_t first, last;
};

enum {
	TCP_BLOCK_HEAD_OCTETS = 12,
	TCP_BLOCK_OCTETS = LIMIT_BLOCK_OCTETS - TCP_BLOCK_HEAD_OCTETS,
};

struct tcp_block {
	uint32_t next;
	uint32_t seq;        // of octets[0]; not in the queue of unread octets
	uint16_t begin, end; // octets [begin, end) are in use
	uint8_t octets[TCP_BLOCK_OCTETS];
};

// For what a block is wanted; decides how much of the pool must stay free.
enum tcp_block_use { TCP_BLOCK_REPLY, TCP_BLOCK_UNREAD, TCP_BLOCK_OUT_OF_ORDER, TCP_BLOCK_NOTES };

// 0: too few are left for this use; counted as no_buffer.
uint32_t tcp_block_take(struct tcp_stack *stack, enum tcp_block_use use);

struct tcp_block *tcp_block_at(const struct tcp_stack *stack, uint32_t ref);

// Returns next of the given block.
uint32_t tcp_block_give(struct tcp_stack *stack, uint32_t ref);
void tcp_block_give_chain(struct tcp_stack *stack, uint32_t ref);

// Copy in behind the chain, filling its last block first; new blocks carry their sequence numbers, seq being
// that of in.at[0]. Returns the octets stored: fewer when the pool has no more for this use.
uint32_t tcp_block_append(struct tcp_stack *stack, struct tcp_chain *chain, uint32_t seq,
	struct slice in, enum tcp_block_use use);

// Put tail behind chain. A first block of tail that fits into the last of chain is copied and given back, so that many
// small pieces do not hold a block each.
void tcp_block_join(struct tcp_stack *stack, struct tcp_chain *chain, struct tcp_chain tail);

static inline struct slice tcp_block_view(const struct tcp_block *b)
{
	return (struct slice){b->octets + b->begin, (size_t)(b->end - b->begin)};
}
