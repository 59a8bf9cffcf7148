// arena.h - memory that is given back all at once: reserved in one piece, handed out in order.
//
// Takers never fail: the maker knows a bound for what will be taken (from the size of the file or the counts of the
// configuration) and reserves that much address space; pages cost memory only once they are touched.
//
// Thread:  its owner.
// Memory:  one mapping of the kernel.
// Blocks:  creating and freeing are system calls.

#pragma once

#include <stddef.h>

enum {
	ARENA_ALIGNMENT = 16,
};

struct arena;

// Room for octets in all. NULL: the kernel gives no address space.
struct arena *arena_create(size_t octets);
void arena_free(struct arena *arena); // NULL is nothing to free

// Zeroed, aligned to 16. More than was reserved is our own bug and asserts.
void *arena_take(struct arena *arena, size_t octets);

// count elements of size octets each; the product must not overflow (asserts).
void *arena_take_array(struct arena *arena, size_t count, size_t size);

// A copy of text with a final NUL; unaligned, so that a million short texts stay small.
char *arena_take_text(struct arena *arena, const char *text, size_t len);
