// tcp_pmtu.h - the size of what we send follows the path: what routers say, believed late (RFC 5927 7), and what they do not say (RFC
// 4821). Not for users of tcp.h.
//
// A claim that our packets are too big is kept until the segment it quotes is found lost; an acknowledgment of it makes it a lie.
// Where full segments vanish and nobody says why, they get smaller by themselves. Ten minutes later the full size is tried again.
//
// Thread:  the lcore that owns the stack.
// Memory:  a table of fixed size in the stack; a connection whose place is taken by another keeps the size it has.
// Blocks:  never. Cost: nothing for connections whose path is wide enough.

#pragma once

#include "tcp/tcp_conn.h"

// One connection's path, where it is narrow or is said to be.
struct tcp_pmtu {
	uint32_t index, generation; // whose
	uint32_t claim_seq;         // of the segment quoted; meant while claim is not 0
	uint16_t claim;             // MTU a router claims, not proven yet
	uint16_t mss;               // snd_mss before it was cut; 0: it was not
	uint64_t cut_us;
};

// A router says that the packet with this segment, of so many octets, did not fit into mtu. DROP_ICMP_MTU: of no use.
enum drop tcp_pmtu_claim(struct tcp_conn *conn, const struct icmp_error *e);

// Something in flight was found lost.
void tcp_pmtu_on_lost(struct tcp_conn *conn, uint64_t now_us);

// snd_una has moved.
void tcp_pmtu_on_acked(struct tcp_conn *conn, uint64_t now_us);
