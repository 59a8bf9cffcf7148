// inside.h - what sockets want to know of a connection and tcp.h does not tell. The only file here that looks into the core.
//
// Thread: any, with the lock of the world. Memory: none. Blocks: never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tcp/tcp.h"

struct tcp_info;

// The connection that a received segment belongs to; NULL: none.
struct tcp_conn *inside_conn(struct tcp_stack *stack, const struct segment *in);

// Octets queued for sending and not acknowledged, and those of them that were never sent.
uint32_t inside_queued(const struct tcp_conn *conn);
uint32_t inside_unsent(const struct tcp_conn *conn);

// Our FIN is on its way, or waits for its turn: what a lingering close waits for.
bool inside_fin_is_out(const struct tcp_conn *conn);

// Octets of a full segment we send, and of one of the peer's.
uint32_t inside_mss(const struct tcp_conn *conn);
uint32_t inside_rcv_mss(const struct tcp_conn *conn);

// Octets the peer may still send.
uint32_t inside_offered(const struct tcp_conn *conn);

// Handshakes that nobody will accept go without a word.
void inside_forget_handshakes(struct tcp_stack *stack, uint16_t local_port, uint64_t now_us);

// For TCP_INFO; what the core does not know stays 0.
void inside_info(const struct tcp_conn *conn, struct tcp_info *info);
