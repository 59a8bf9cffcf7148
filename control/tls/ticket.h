// ticket.h - keys of session tickets: each virtual server has its own, so a ticket of one is nothing to another; made at random, and
// changed by the hour.
//
// A ticket is read for one to two hours. What it resumes is the cipher state only: who the client is and what it may do is judged for
// each connection anew.
//
// Thread:  handshake threads and control; a lock inside.
// Memory:  one struct each, counted by references: contexts of an older configuration may still be at work.
// Blocks:  on that lock, for microseconds.

#pragma once

#include <stdbool.h>

struct ssl_ctx_st;
struct ticket_keys;

// NULL: no memory, or no randomness. One reference is the caller's.
struct ticket_keys *ticket_keys_new(void);
struct ticket_keys *ticket_keys_hold(struct ticket_keys *keys);
void ticket_keys_drop(struct ticket_keys *keys);

// Tickets of this context are made and read by these keys; takes a reference of its own, which goes with the context. False: no memory.
bool ticket_keys_use(struct ticket_keys *keys, struct ssl_ctx_st *ctx);

// For tests: as if an hour had passed.
void ticket_keys_age(struct ticket_keys *keys);
