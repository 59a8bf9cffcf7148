// tcp_window.h - the window we offer (RFC 9293 3.8.6) and the test whether a segment lies in it.
//
// Thread: the lcore that owns the stack. Memory: none. Cost: O(1).

#pragma once

#include "tcp/tcp_conn.h"

// The window field of the next segment, which carries SYN or not; moves rcv_adv, never back.
uint16_t tcp_window_offer(struct tcp_conn *conn, bool syn);

// The window field of a SYN-ACK that no connection stands behind.
uint16_t tcp_window_of_syn(const struct tcp_stack *stack);

// Has enough space come free since the last offer for a segment of its own?
bool tcp_window_wants_update(const struct tcp_conn *conn);

// No full segment fits into what is offered: a sender that has one waits for us.
bool tcp_window_is_nearly_shut(const struct tcp_conn *conn);

// RFC 9293 3.10.7.4 first, with two liberties: an empty segment may stand at the right edge, and one that
// begins at rcv_nxt is taken although the window is shut, for the sake of its ACK.
bool tcp_window_holds(const struct tcp_conn *conn, const struct segment *s);
