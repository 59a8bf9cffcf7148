// tcp_timer.h - the deadlines of a connection, named after what happens. Callers report events; only this
// file decides what that means for a timer.
//
//   deadline  stands for         armed by                        expires into
//   PEER      retransmission     SYN, data or FIN sent           what is lost again, back off; closed(TIMEOUT)
//             tail probe         data sent                       one segment more (tcp_rack.h)
//             reordering         something SACKed, not the first what was only late by then is lost
//             window probe       something to send, no window    a probe; closed(TIMEOUT)
//             keep-alive         all acknowledged                a probe, if nothing was heard; closed(TIMEOUT)
//             FIN-WAIT-2         our FIN acknowledged            RST, closed(TIMEOUT)
//             TIME-WAIT          both FINs exchanged             slot free
//   ACK       delayed ACK        data received                   ACK at the next flush
//   APP       tcp_set_deadline() the application                 app->deadline()
//
// Thread:  the lcore that owns the stack.
// Memory:  one wheel entry in the connection, armed for the earliest deadline and moved lazily.
// Blocks:  never. Cost: O(1).

#pragma once

#include "tcp/tcp_conn.h"

void tcp_timer_on_syn_sent(struct tcp_conn *conn, uint64_t now_us);

// Data or FIN has left for the first time; first: nothing was in flight before.
void tcp_timer_on_sent(struct tcp_conn *conn, bool first, uint64_t now_us);

// snd_una has advanced.
void tcp_timer_on_ack_advanced(struct tcp_conn *conn, uint64_t now_us);

// snd_una has not, but something was SACKed, or the same was acknowledged again.
void tcp_timer_on_sacked(struct tcp_conn *conn, uint64_t now_us);

// Something waits to be sent, nothing is in flight, and the peer's window does not let it.
void tcp_timer_on_blocked(struct tcp_conn *conn, uint64_t now_us);

// A segment of the peer was found good.
void tcp_timer_on_heard(struct tcp_conn *conn, uint64_t now_us);

void tcp_timer_on_keepalive_set(struct tcp_conn *conn, uint64_t now_us);
void tcp_timer_on_user_timeout_set(struct tcp_conn *conn, uint64_t now_us);

void tcp_timer_on_data_received(struct tcp_conn *conn, uint64_t now_us);
void tcp_timer_on_ack_sent(struct tcp_conn *conn);

// FIN-WAIT-2 or TIME-WAIT begins, or begins again.
void tcp_timer_on_linger(struct tcp_conn *conn, uint64_t now_us);

// 0: none.
void tcp_timer_on_app_deadline(struct tcp_conn *conn, uint64_t due_us);

// Whatever is due, of all connections; budget as timer_wheel_run() has it.
void tcp_timer_run(struct tcp_stack *stack, uint64_t now_us, uint32_t budget);

// After this returns no timer will touch conn again.
void tcp_timer_stop_all(struct tcp_conn *conn);

// What is due by now, at most budget entries of the wheel.
void tcp_timer_run(struct tcp_stack *stack, uint64_t now_us, uint32_t budget);
