// tcp_reassembly.h - octets that arrived before those in front of them, and how the peer is told of them (RFC 2018, 2883).
//
// They lie in ranges: runs without a hole, none touching the next, each a chain of blocks. However small the pieces
// are, no search is longer than the blocks that list the ranges (SegmentSmack, CVE-2018-5390). An octet that is here
// already is never replaced: the application can not be shown one version and a check another.
//
// Thread:  the lcore that owns the stack.
// Memory:  blocks of the stack, none of its last quarter.
// Blocks:  never. Cost: O(log ranges) for what comes at the end, O(ranges / 50) elsewhere.

#pragma once

#include "tcp/tcp_conn.h"

// Keep what is new of in; its first octet has number seq, which lies after rcv_nxt. False: some of it had no
// place (ranges or blocks). *again: the first run of octets that were here already, empty when all are new.
bool tcp_reassembly_add(
	struct tcp_conn *conn, uint32_t seq, struct slice in, struct segment_sack *again);

// Does seq fall into the range that the next ACK would name first, or continue it?
bool tcp_reassembly_is_newest(const struct tcp_conn *conn, uint32_t seq);

// How many octets from rcv_nxt on may still be taken from a segment: up to the first range.
uint32_t tcp_reassembly_gap(const struct tcp_conn *conn);

// Move ranges that begin at rcv_nxt behind the unread octets and advance rcv_nxt. True: something moved.
bool tcp_reassembly_take(struct tcp_conn *conn);

// Number behind the last octet kept; rcv_nxt when there is none.
uint32_t tcp_reassembly_end(const struct tcp_conn *conn);

// Add the ranges to o, those that grew last first (RFC 2018 4), until it names most.
void tcp_reassembly_sacks(const struct tcp_conn *conn, struct segment_options *o, uint8_t most);

void tcp_reassembly_discard(struct tcp_conn *conn);
