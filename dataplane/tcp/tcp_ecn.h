// tcp_ecn.h - explicit congestion notification (RFC 3168): who agreed to it, what is echoed, and what leaves marked as able.
// What an echo does to the window is in tcp_recovery.c.
//
// Accurate ECN (RFC 9768) is not spoken here: its SYN is answered as RFC 3168 has it, and its sender falls back (3.1.1, table 2).
//
// Thread: the lcore that owns the stack. Memory: flags of the connection. Blocks: never. Cost: O(1).

#pragma once

#include "tcp/tcp_conn.h"

// Does the SYN or SYN-ACK agree (RFC 3168 6.1.1)? Another pattern is another protocol's, or a broken mirror of ours.
bool tcp_ecn_is_asked(const struct segment *s);

// Our SYN is sent again: it or its answer may have been lost because it asked (RFC 3168 6.1.1.1).
void tcp_ecn_on_syn_lost(struct tcp_conn *conn);

// Another SYN or SYN-ACK of the peer: once it does not ask, nobody marks (6.1.1).
void tcp_ecn_on_syn_again(struct tcp_conn *conn, const struct segment *s);

// Octets have arrived within the window (6.1.3).
void tcp_ecn_on_data(struct tcp_conn *conn, const struct segment *s);

// Does s report congestion that nothing was done about yet (6.1.2)? snd_una may have moved by now.
bool tcp_ecn_is_echo(const struct tcp_conn *conn, const struct segment *s);

// What every segment but SYN and RST says.
void tcp_ecn_mark(const struct tcp_conn *conn, struct segment *s);

// Octets that leave for the first time, and only those (6.1.4, 6.1.5, 6.1.6).
void tcp_ecn_mark_data(struct tcp_conn *conn, struct segment *s);
