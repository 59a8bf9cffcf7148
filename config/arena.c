#include "config/arena.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

struct arena {
	size_t size, used; // octets, this header included
};

struct arena *arena_create(size_t octets)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	const size_t size = octets + sizeof(struct arena) + ARENA_ALIGNMENT;

	if (size < octets)
		return NULL;
	// cppcheck-suppress invalidFunctionArg; -1 is the descriptor of anonymous mappings
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	struct arena *arena = at;
	arena->size = size;
	arena->used = sizeof(*arena);
	return arena;
}

void arena_free(struct arena *arena)
{
	if (arena != NULL)
		(void)munmap(arena, arena->size);
}

void *arena_take(struct arena *arena, size_t octets)
{
	const size_t start = (arena->used + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);

	assert(start <= arena->size && octets <= arena->size - start);
	arena->used = start + octets;
	return (uint8_t *)arena + start;
}

void *arena_take_array(struct arena *arena, size_t count, size_t size)
{
	size_t octets;

	assert(!__builtin_mul_overflow(count, size, &octets));
	return arena_take(arena, octets);
}

char *arena_take_text(struct arena *arena, const char *text, size_t len)
{
	const size_t start = arena->used;

	assert(start <= arena->size && len < arena->size - start);
	char *copy = (char *)arena + start;
	arena->used = start + len + 1;
	memcpy(copy, text, len);
	return copy; // the kernel's pages are zero, so the NUL is there
}
