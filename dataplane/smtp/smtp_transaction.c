#include "smtp/smtp_transaction.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"

// A block of recipients: each a length and that many octets.
struct rcpt_block {
	struct rcpt_block *next;
	uint32_t used; // octets of entries
	uint8_t entries[LIMIT_BLOCK_OCTETS - sizeof(void *) - sizeof(uint64_t)];
};

static_assert(sizeof(struct smtp_transaction) <= LIMIT_BLOCK_OCTETS, "a transaction fits a block");
static_assert(sizeof(struct rcpt_block) <= LIMIT_BLOCK_OCTETS, "recipients fit a block");

struct smtp_transaction *smtp_transaction_begin(
	struct block_pool *pool, const struct smtp_transaction *from)
{
	struct smtp_transaction *txn = block_pool_take_spare(pool, LIMIT_ENVELOPE_RESERVE);

	if (txn != NULL)
		*txn = *from;
	return txn;
}

void smtp_transaction_end(struct smtp_transaction *txn, struct block_pool *pool)
{
	struct rcpt_block *block = txn->first_rcpt_block;

	while (block != NULL) {
		struct rcpt_block *next = block->next;

		block_pool_give(pool, block);
		block = next;
	}
	block_pool_give(pool, txn);
}

static bool has_room(const struct rcpt_block *block, uint32_t len)
{
	return block != NULL && sizeof(block->entries) - block->used >= len + sizeof(uint16_t);
}

bool smtp_transaction_reserve(struct smtp_transaction *txn, struct block_pool *pool, uint32_t len)
{
	struct rcpt_block *last = txn->last_rcpt_block, *block;

	assert(len <= LIMIT_PATH_OCTETS);
	if (has_room(last, len))
		return true;
	block = block_pool_take_spare(pool, LIMIT_ENVELOPE_RESERVE);
	if (block == NULL)
		return false;
	block->next = NULL;
	block->used = 0;
	if (last == NULL)
		txn->first_rcpt_block = block;
	else
		last->next = block;
	txn->last_rcpt_block = block;
	return true;
}

void smtp_transaction_add_rcpt(struct smtp_transaction *txn, struct slice address)
{
	struct rcpt_block *last = txn->last_rcpt_block;
	uint16_t len = (uint16_t)address.len;
	uint8_t *at;

	assert(has_room(last, len));
	at = last->entries + last->used;
	memcpy(at, &len, sizeof(len));
	memcpy(at + sizeof(len), address.at, len);
	last->used += (uint32_t)sizeof(len) + len;
	txn->rcpt_count++;
}

bool smtp_transaction_next_rcpt(
	const struct smtp_transaction *txn, struct smtp_rcpt_cursor *cursor, struct slice *address)
{
	const struct rcpt_block *block =
		cursor->block != NULL ? cursor->block : txn->first_rcpt_block;
	uint32_t offset = cursor->offset;
	uint16_t len;

	// A block may be empty: it was reserved, and its recipient refused.
	while (block != NULL && offset == block->used) {
		block = block->next;
		offset = 0;
	}
	if (block == NULL)
		return false;
	memcpy(&len, block->entries + offset, sizeof(len));
	*address = (struct slice){block->entries + offset + sizeof(len), len};
	*cursor = (struct smtp_rcpt_cursor){block, offset + (uint32_t)sizeof(len) + len};
	return true;
}
