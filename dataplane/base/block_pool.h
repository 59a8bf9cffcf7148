// block_pool.h - fixed blocks of LIMIT_BLOCK_OCTETS from memory given once: TCP queues, envelopes.
//
// Thread:  the lcore that owns the pool.
// Memory:  never grows. An empty pool gives NULL and counts it; the caller refuses the newest work.
// Blocks:  never. Cost: O(1).

#pragma once

#include <stddef.h>
#include <stdint.h>

struct block_pool {
	uint8_t *memory;
	void *free_list; // first octets of a free block point to the next
	uint32_t count, free_count;
	uint32_t fresh;     // blocks from here on were never taken, and their memory not touched
	uint64_t exhausted; // times that nothing was left
};

// memory: count * LIMIT_BLOCK_OCTETS octets, aligned to 64.
void block_pool_init(struct block_pool *pool, void *memory, uint32_t count);

// NULL when the pool is empty.
void *block_pool_take(struct block_pool *pool);

// The same for those who can do without: NULL when no more than 1/share of the pool is left.
void *block_pool_take_spare(struct block_pool *pool, uint32_t share);

// block must come from this pool; anything else is our own bug and asserts.
void block_pool_give(struct block_pool *pool, void *block);
