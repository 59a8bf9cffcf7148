#include "config/snapshot_classes.h"

#include <assert.h>
#include <string.h>

static uint32_t slots_for(uint32_t most)
{
	uint32_t slots = 2;

	while (slots < 2 * (uint64_t)most)
		slots *= 2;
	return slots;
}

// One set more than the most, since the next is always being filled.
size_t snapshot_classes_octets(uint32_t most, uint32_t words)
{
	return ((size_t)most + 1) * words * sizeof(uint64_t) + slots_for(most) * sizeof(uint32_t) +
	       2 * (size_t)ARENA_ALIGNMENT;
}

void snapshot_classes_init(struct snapshot_classes *classes, struct arena *arena, uint32_t most,
	uint32_t words, struct siphash_key key)
{
	const uint32_t slots = slots_for(most);

	*classes = (struct snapshot_classes){
		.key = key, .words = words, .most = most, .mask = slots - 1};
	classes->sets = arena_take_array(arena, ((size_t)most + 1) * words, sizeof(uint64_t));
	classes->slots = arena_take_array(arena, slots, sizeof(uint32_t));
	(void)snapshot_classes_keep(classes);
}

uint64_t *snapshot_classes_next(struct snapshot_classes *classes)
{
	uint64_t *set = classes->sets + (size_t)classes->count * classes->words;

	memset(set, 0, classes->words * sizeof(uint64_t));
	return set;
}

uint32_t snapshot_classes_keep(struct snapshot_classes *classes)
{
	const size_t octets = classes->words * sizeof(uint64_t);
	const uint64_t *set = classes->sets + (size_t)classes->count * classes->words;
	uint32_t at = (uint32_t)siphash(&classes->key, set, octets) & classes->mask;

	for (; classes->slots[at] != 0; at = (at + 1) & classes->mask) {
		const uint32_t class = classes->slots[at] - 1;

		if (memcmp(classes->sets + (size_t) class * classes->words, set, octets) == 0)
			return class;
	}
	assert(classes->count < classes->most);
	classes->slots[at] = ++classes->count;
	return classes->count - 1;
}
