// tcp_check.h - everything that must be true of a TCP stack between two calls, whatever the peer did. For
// simulations, fuzzers and unit tests; aborts with a line that names what is not.

#pragma once

struct tcp_stack;

void tcp_check(struct tcp_stack *stack);
