// tcp_recv.h - what arrives: octets and FIN in order to the application, the rest into blocks
// (RFC 9293 3.10.7.4, seventh and eighth).
//
// Thread:  the lcore that owns the stack.
// Memory:  blocks of the stack for octets not consumed; none when all are.
// Blocks:  never. Cost: O(octets) and app->data().

#pragma once

#include "tcp/tcp_conn.h"

// A segment that is acceptable and whose ACK was processed. The application is called and may end conn: then it is
// CLOSED on return. DROP_CONN_NO_BUFFER: some of it was not kept.
enum drop tcp_recv_segment(struct tcp_conn *conn, const struct segment *s, uint64_t now_us);

// Show unread octets to the application, then FIN if it stands behind them.
void tcp_recv_deliver(struct tcp_conn *conn, uint64_t now_us);

// Forget everything that was not consumed. Put off while app->data() looks at it.
void tcp_recv_discard(struct tcp_conn *conn);
