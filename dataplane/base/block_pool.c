#include "base/block_pool.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"

void block_pool_init(struct block_pool *pool, void *memory, uint32_t count)
{
	*pool = (struct block_pool){.memory = memory, .count = count, .free_count = count};
}

void *block_pool_take(struct block_pool *pool)
{
	void *block = pool->free_list;

	if (block == NULL && pool->fresh == pool->count) {
		pool->exhausted++;
		return NULL;
	}
	pool->free_count--;
	if (block == NULL)
		return pool->memory + (size_t)pool->fresh++ * LIMIT_BLOCK_OCTETS;
	memcpy(&pool->free_list, block, sizeof(pool->free_list));
	return block;
}

void *block_pool_take_spare(struct block_pool *pool, uint32_t share)
{
	if (pool->free_count > pool->count / share)
		return block_pool_take(pool);
	pool->exhausted++;
	return NULL;
}

void block_pool_give(struct block_pool *pool, void *block)
{
	size_t offset = (size_t)((uint8_t *)block - pool->memory);

	assert(offset < (size_t)pool->count * LIMIT_BLOCK_OCTETS);
	assert(offset % LIMIT_BLOCK_OCTETS == 0 && pool->free_count < pool->count);
	memcpy(block, &pool->free_list, sizeof(pool->free_list));
	pool->free_list = block;
	pool->free_count++;
}
