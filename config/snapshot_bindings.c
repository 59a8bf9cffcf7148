#include "config/snapshot_bindings.h"

#include <assert.h>

struct snapshot_bindings {
	struct siphash_key key;
	uint32_t mask, free_count;
	struct snapshot_binding slots[];
};

static uint32_t slots_for(uint32_t count)
{
	uint32_t slots = 2;

	while (slots < 2 * (uint64_t)count)
		slots *= 2;
	return slots;
}

size_t snapshot_bindings_octets(uint32_t count)
{
	return sizeof(struct snapshot_bindings) +
	       slots_for(count) * sizeof(struct snapshot_binding) + ARENA_ALIGNMENT;
}

struct snapshot_bindings *snapshot_bindings_create(
	struct arena *arena, uint32_t count, struct siphash_key key)
{
	const uint32_t slots = slots_for(count);
	struct snapshot_bindings *bindings =
		arena_take(arena, sizeof(*bindings) + slots * sizeof(bindings->slots[0]));

	bindings->key = key;
	bindings->mask = slots - 1;
	bindings->free_count = slots - 1; // one stays free, so that every probe ends
	return bindings;
}

static uint32_t slot_of(const struct snapshot_bindings *bindings, const struct ip_addr *addr)
{
	uint32_t at = (uint32_t)siphash(&bindings->key, addr->octets, sizeof(addr->octets)) &
		      bindings->mask;

	while (bindings->slots[at].used && !ip_addr_eq(&bindings->slots[at].addr, addr))
		at = (at + 1) & bindings->mask;
	return at;
}

void snapshot_bindings_add(struct snapshot_bindings *bindings, struct snapshot_binding binding)
{
	struct snapshot_binding *slot = &bindings->slots[slot_of(bindings, &binding.addr)];

	if (slot->used)
		return;
	assert(bindings->free_count > 0);
	bindings->free_count--;
	*slot = binding;
	slot->used = true;
}

const struct snapshot_binding *snapshot_bindings_find(
	const struct snapshot_bindings *bindings, const struct ip_addr *addr)
{
	const struct snapshot_binding *slot = &bindings->slots[slot_of(bindings, addr)];

	return slot->used ? slot : NULL;
}
