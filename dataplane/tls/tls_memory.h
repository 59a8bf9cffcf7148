// tls_memory.h - what OpenSSL allocates: from jemalloc, in an arena of each thread, counted and bounded for each session.
//
// OpenSSL allocates inside of calls that an lcore makes (the one exception to "no malloc on an lcore"). So that a worker never waits
// for another thread's heap, each thread has an arena of its own; so that a peer cannot make one session grow, each has an account:
// beyond its limit OpenSSL is told that there is no memory, and that session ends.
//
// Thread:  tls_memory_start() before any other use of OpenSSL in the process; the rest on any thread.
// Memory:  16 octets before each piece name its account.
// Blocks:  never but as jemalloc does (a page fault; a system call when the arena grows).

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// Lives as long as any piece counted here may; a slot that is used again takes another generation, and what the one before left
// behind (OpenSSL shares some pieces) is not counted against it.
struct tls_account {
	_Atomic uint32_t used; // octets
	uint32_t limit;
	uint32_t generation;
};

// Install the functions. False: OpenSSL has allocated already, so nothing would be bounded.
bool tls_memory_start(void);

// Give the calling thread an arena. Without jemalloc (under sanitizers, which bring an allocator) nothing happens.
void tls_memory_own_arena(void);

// Begin a session's account.
void tls_memory_open(struct tls_account *account, uint32_t limit_octets);

// What is allocated on this thread from now on goes to this account; NULL: to none.
void tls_memory_charge(struct tls_account *account);

// Octets that no account bears, and times that a limit was hit, for status.
uint64_t tls_memory_shared_octets(void);
uint64_t tls_memory_refusals(void);
