// tcp_time_wait.h - connections whose both FINs are exchanged: they wait for stray segments, answer a repeated FIN
// and give their 4-tuple to a SYN that is newer beyond doubt.
//
// Thread:  the lcore that owns the stack.
// Memory:  the slot and nothing else; the oldest gives its slot to a new connection when none is free.
// Blocks:  never. Cost: O(1).

#pragma once

#include "tcp/tcp_conn.h"

// Both FINs are exchanged: closed() is called, the application has no more say.
void tcp_time_wait_enter(struct tcp_conn *conn, uint64_t now_us);

enum drop tcp_time_wait_segment(struct tcp_conn *conn, const struct segment *s, uint64_t now_us);

// May this SYN begin a new connection on the 4-tuple (RFC 6191; RFC 1122 4.2.2.13)?
bool tcp_time_wait_yields_to(const struct tcp_conn *conn, const struct segment *s);

// Free the slot that has waited longest. False: none waits. Never while a callback runs.
bool tcp_time_wait_recycle(struct tcp_stack *stack, uint64_t now_us);

// conn leaves the list of those that wait.
void tcp_time_wait_unlink(struct tcp_conn *conn);
