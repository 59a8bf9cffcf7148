// tcp_ack.h - the ACK field of a segment (RFC 9293 3.10.7.4, fifth).
//
// Thread: the lcore that owns the stack. Memory: none. Blocks: never.

#pragma once

#include "tcp/tcp_conn.h"

// s is acceptable and carries ACK; the handshake is done. The application is called and may end conn, and the last
// ACK ends it too: then it is CLOSED on return. Anything but DROP_NONE: s goes no further.
enum drop tcp_ack_segment(struct tcp_conn *conn, const struct segment *s, uint64_t now_us);

// The window field of s. Also for the segment that ends the handshake.
void tcp_ack_take_window(struct tcp_conn *conn, const struct segment *s);
