// tcp_spans.h - runs of sequence numbers in order, with something noted about each: what arrived too early, what is in
// flight. They lie in blocks of the pool, some fifty in one, so that a connection without any costs one reference of
// 4 octets. The first block also lends room for what is true of all of them.
//
// Thread:  the lcore that owns the stack.
// Memory:  blocks of the stack, taken and given back as runs come and go.
// Blocks:  never. Cost: O(blocks) to find, O(runs in one block) to insert or remove in the middle, O(1) at the ends.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tcp/tcp_block.h"

enum {
	TCP_SPANS_HEAD_OCTETS = 24,
	TCP_SPANS_OWNER_OCTETS = 232,
	TCP_SPANS_IN_BLOCK =
		(LIMIT_BLOCK_OCTETS - TCP_SPANS_HEAD_OCTETS - TCP_SPANS_OWNER_OCTETS) / 16,
};

// [seq, end), never empty; none overlaps the next.
struct tcp_span {
	uint32_t seq, end;
	union {
		struct tcp_chain chain; // its octets
		struct {
			uint32_t sent_us; // when it left last
			uint32_t flags;
		};
	};
};

// A place; block 0: none. Good until the next insertion or removal.
struct tcp_spans_at {
	uint32_t block;
	uint32_t i;
};

// 0: no block for this use. Empty, the owner's room zeroed.
uint32_t tcp_spans_open(struct tcp_stack *stack, enum tcp_block_use use);

// The blocks go back; what the spans refer to is the caller's.
void tcp_spans_close(struct tcp_stack *stack, uint32_t spans);

// TCP_SPANS_OWNER_OCTETS octets, aligned to 8.
void *tcp_spans_owner(const struct tcp_stack *stack, uint32_t spans);

uint32_t tcp_spans_count(const struct tcp_stack *stack, uint32_t spans);
// For tests.
uint32_t tcp_spans_blocks(const struct tcp_stack *stack, uint32_t spans);

struct tcp_span *tcp_spans_get(const struct tcp_stack *stack, struct tcp_spans_at at);
struct tcp_spans_at tcp_spans_first(const struct tcp_stack *stack, uint32_t spans);
struct tcp_spans_at tcp_spans_last(const struct tcp_stack *stack, uint32_t spans);
struct tcp_spans_at tcp_spans_next(const struct tcp_stack *stack, struct tcp_spans_at at);

// The last that begins at or before seq.
struct tcp_spans_at tcp_spans_find(const struct tcp_stack *stack, uint32_t spans, uint32_t seq);

// Put span where its seq belongs. False: no block.
bool tcp_spans_add(struct tcp_stack *stack, uint32_t spans, const struct tcp_span *span,
	enum tcp_block_use use);

void tcp_spans_remove(struct tcp_stack *stack, uint32_t spans, struct tcp_spans_at at);
