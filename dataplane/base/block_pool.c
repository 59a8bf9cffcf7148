#include "base/block_pool.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"

void block_pool_init(struct block_pool *pool, void *memory, uint32_t count)
{
	*pool = (struct block_pool){.memory = memory, .count = count};
	for (uint32_t i = count; i > 0; i--)
		block_pool_give(pool, pool->memory + (size_t)(i - 1) * LIMIT_BLOCK_OCTETS);
}

void *block_pool_take(struct block_pool *pool)
{
	void *block = pool->free_list;

	if (block == NULL) {
		pool->exhausted++;
		return NULL;
	}
	memcpy(&pool->free_list, block, sizeof(pool->free_list));
	pool->free_count--;
	return block;
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
