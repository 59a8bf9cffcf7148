#include "tcp/tcp_reassembly.h"

#include "base/seq.h"
#include "tcp/tcp_stack.h"

// Where seq falls: the last range that begins at or before it, and the one after.
struct place {
	uint32_t before, after; // first blocks of the ranges; 0: none
};

static struct place find(const struct tcp_conn *conn, uint32_t seq)
{
	struct place p = {0, conn->rcv_ranges};

	while (p.after != 0) {
		const struct tcp_block *range = tcp_block_at(conn->stack, p.after);

		if (seq_lt(seq, range->seq))
			break;
		p.before = p.after;
		p.after = range->next_range;
	}
	return p;
}

// A new range between the two of p. 0: no block, or too many ranges.
static uint32_t open_range(struct tcp_conn *conn, struct place p, uint32_t seq)
{
	if (conn->range_count >= LIMIT_TCP_RANGES)
		return 0;

	uint32_t ref = tcp_block_take(conn->stack, TCP_BLOCK_OUT_OF_ORDER);

	if (ref == 0)
		return 0;

	struct tcp_block *range = tcp_block_at(conn->stack, ref);

	range->seq = range->range_end = seq;
	range->last = ref;
	range->next_range = p.after;
	if (p.before != 0)
		tcp_block_at(conn->stack, p.before)->next_range = ref;
	else
		conn->rcv_ranges = ref;
	conn->range_count++;
	return ref;
}

// The gap between range and the next one is filled.
static void merge(struct tcp_conn *conn, uint32_t ref)
{
	struct tcp_block *range = tcp_block_at(conn->stack, ref);

	if (range->next_range == 0)
		return;

	struct tcp_block next = *tcp_block_at(conn->stack, range->next_range);

	if (range->range_end != next.seq)
		return;

	struct tcp_chain chain = {ref, range->last};

	tcp_block_join(conn->stack, &chain, (struct tcp_chain){range->next_range, next.last});
	range->last = chain.last;
	range->range_end = next.range_end;
	range->next_range = next.next_range;
	conn->range_count--;
}

// Octets of in that go to one place: skipped when they are there already, else stored. 0: no place.
static uint32_t add_one(struct tcp_conn *conn, uint32_t seq, struct slice in)
{
	struct place p = find(conn, seq);
	uint32_t end = p.before != 0 ? tcp_block_at(conn->stack, p.before)->range_end : seq - 1;

	if (p.before != 0 && seq_lt(seq, end))
		return end - seq < in.len ? end - seq : (uint32_t)in.len;
	if (p.after != 0) {
		uint32_t room = tcp_block_at(conn->stack, p.after)->seq - seq;

		if (in.len > room)
			in.len = room;
	}

	uint32_t ref = end == seq && p.before != 0 ? p.before : open_range(conn, p, seq);

	if (ref == 0)
		return 0;

	struct tcp_block *range = tcp_block_at(conn->stack, ref);
	struct tcp_chain chain = {ref, range->last};
	uint32_t stored = tcp_block_append(conn->stack, &chain, seq, in, TCP_BLOCK_OUT_OF_ORDER);

	range->last = chain.last;
	range->range_end += stored;
	merge(conn, ref);
	return stored;
}

bool tcp_reassembly_add(struct tcp_conn *conn, uint32_t seq, struct slice in)
{
	while (in.len > 0) {
		uint32_t n = add_one(conn, seq, in);

		if (n == 0)
			return false;
		seq += n;
		in = (struct slice){in.at + n, in.len - n};
	}
	return true;
}

uint32_t tcp_reassembly_gap(const struct tcp_conn *conn)
{
	if (conn->rcv_ranges == 0)
		return UINT32_MAX;
	return tcp_block_at(conn->stack, conn->rcv_ranges)->seq - conn->rcv_nxt;
}

bool tcp_reassembly_take(struct tcp_conn *conn)
{
	// Ranges do not touch, so one at most begins here.
	if (conn->rcv_ranges == 0 || tcp_reassembly_gap(conn) != 0)
		return false;

	struct tcp_block *range = tcp_block_at(conn->stack, conn->rcv_ranges);
	struct tcp_chain chain = {conn->rcv_ranges, range->last};
	uint32_t octets = range->range_end - range->seq;

	conn->rcv_ranges = range->next_range;
	conn->range_count--;
	conn->rcv_unread += octets;
	conn->rcv_nxt += octets;
	tcp_block_join(conn->stack, &conn->rcv, chain);
	return true;
}

uint32_t tcp_reassembly_end(const struct tcp_conn *conn)
{
	uint32_t end = conn->rcv_nxt;

	for (uint32_t ref = conn->rcv_ranges; ref != 0;) {
		const struct tcp_block *range = tcp_block_at(conn->stack, ref);

		end = range->range_end;
		ref = range->next_range;
	}
	return end;
}

void tcp_reassembly_discard(struct tcp_conn *conn)
{
	while (conn->rcv_ranges != 0) {
		uint32_t ref = conn->rcv_ranges;

		conn->rcv_ranges = tcp_block_at(conn->stack, ref)->next_range;
		tcp_block_give_chain(conn->stack, ref);
	}
	conn->range_count = 0;
}
