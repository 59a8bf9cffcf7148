// smtp_transaction.h - what one mail transaction knows: sender, recipients, counts (RFC 5321 section 3.3).
//
// Thread:  the lcore that owns the session. No locks.
// Memory:  the transaction has a block of its own; accepted recipients are serialised (length and octets) in a chain of blocks.
// Blocks:  never. An empty pool is an answer (NULL, false), and nothing is held or changed then.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/block_pool.h"
#include "base/err.h"
#include "base/slice.h"
#include "smtp/smtp_address.h"

enum { SMTP_TRANSACTION_OWNER_OCTETS = 96 };

// Zeroed when it begins. Lives in a block of its own; recipients in a chain of blocks.
struct smtp_transaction {
	struct smtp_path sender;
	struct smtp_path candidate; // the recipient that is asked about, in RCPT_VERDICT
	_Alignas(8) uint8_t owner[SMTP_TRANSACTION_OWNER_OCTETS]; // for what the owner knows of it
	uint32_t size_declared;                                   // SIZE=; 0: not given
	bool body_8bit;                                           // BODY=8BITMIME
	uint16_t rcpt_count;                                      // accepted
	uint16_t rcpt_refused; // refused or deferred; stops at its largest value
	uint16_t received_lines;
	uint16_t header_state; // of the Received: counter
	uint8_t body_state;    // of the end-of-data scanner
	uint8_t body_verdict;  // enum smtp_reply to give at the end, 0: good
	uint32_t body_octets;  // after dot-unstuffing
	void *first_rcpt_block, *last_rcpt_block;
	uint16_t tag; // the owner's, e.g. which rule accepted the last recipient
};

struct smtp_rcpt_cursor {
	const void *block;
	uint32_t offset;
};

// A copy of *from in a block of the pool; NULL: the pool is empty.
struct smtp_transaction *smtp_transaction_begin(
	struct block_pool *pool, const struct smtp_transaction *from);

// Give the block of *txn and those of its recipients back.
void smtp_transaction_end(struct smtp_transaction *txn, struct block_pool *pool);

// Make sure that an address of len octets can be added, so that a recipient the owner has accepted is never lost for want
// of a block. False: the pool is empty.
MUST_CHECK bool smtp_transaction_reserve(
	struct smtp_transaction *txn, struct block_pool *pool, uint32_t len);

// Append one accepted recipient. Room must have been reserved.
void smtp_transaction_add_rcpt(struct smtp_transaction *txn, struct slice address);

// Walk the accepted recipients in their order, from a zeroed cursor; false at the end. *address points into the transaction.
bool smtp_transaction_next_rcpt(
	const struct smtp_transaction *txn, struct smtp_rcpt_cursor *cursor, struct slice *address);
