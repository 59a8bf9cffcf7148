#include "config/snapshot_bindings.h"

#include <assert.h>
#include <string.h>

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

// Strangers only ask for addresses that are ours, so it is the configuration that says where they collide: two multiplications do, and
// a flood asks twice for each packet.
static uint32_t hash(const struct siphash_key *key, const struct ip_addr *addr)
{
	uint64_t high, low;

	memcpy(&high, addr->octets, sizeof(high));
	memcpy(&low, addr->octets + sizeof(high), sizeof(low));
	low = (low ^ key->k0) * UINT64_C(0x9e3779b97f4a7c15);
	low ^= low >> 32;
	return (uint32_t)((((high ^ key->k1) + low) * UINT64_C(0xd6e8feb86659fd93)) >> 32);
}

static uint32_t slot_of(const struct snapshot_bindings *bindings, const struct ip_addr *addr)
{
	uint32_t at = hash(&bindings->key, addr) & bindings->mask;

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
