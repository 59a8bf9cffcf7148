// tcp_reassembly.h - octets that arrived before those in front of them.
//
// They lie in ranges: runs without a hole, in order of sequence, none touching the next. The first block of a range
// names its end, its last block and the next range, so that no walk is longer than LIMIT_TCP_RANGES, however small
// the pieces are (SegmentSmack, CVE-2018-5390). An octet that is here already is never replaced: the
// application can not be shown one version and a check another.
//
// Thread:  the lcore that owns the stack.
// Memory:  blocks of the stack, none of its last quarter.
// Blocks:  never. Cost: O(ranges).

#pragma once

#include "tcp/tcp_conn.h"

// Keep what is new of in; its first octet has number seq, which lies after rcv_nxt. False: some of it had no
// place (ranges or blocks).
bool tcp_reassembly_add(struct tcp_conn *conn, uint32_t seq, struct slice in);

// How many octets from rcv_nxt on may still be taken from a segment: up to the first range.
uint32_t tcp_reassembly_gap(const struct tcp_conn *conn);

// Move ranges that begin at rcv_nxt behind the unread octets and advance rcv_nxt. True: something moved.
bool tcp_reassembly_take(struct tcp_conn *conn);

// Number behind the last octet kept; rcv_nxt when there is none.
uint32_t tcp_reassembly_end(const struct tcp_conn *conn);

void tcp_reassembly_discard(struct tcp_conn *conn);
