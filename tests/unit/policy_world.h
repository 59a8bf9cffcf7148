// policy_world.h - a configuration with random lists, for tests that compare lookups; header only, one copy a test.
//
// Random numbers are a fixed sequence, so a failure comes back.

#pragma once

#include <stdint.h>
#include <stdlib.h>

#include "config/address_key.h"
#include "config/config.h"

struct policy_world {
	struct config config;
	struct config_vserver vservers[3];
	uint64_t random;
};

static inline uint64_t policy_world_random(struct policy_world *world)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return world->random;
}

static inline struct config_prefix policy_world_prefix(address_key key, unsigned len)
{
	return (struct config_prefix){
		.addr = address_key_addr(key & ~address_key_host_mask(len)), .len = (uint8_t)len};
}

// spread: bits of v4 that vary; few make lists that nest and touch.
static inline struct config_prefix policy_world_v4(
	struct policy_world *world, unsigned spread, unsigned shortest)
{
	const uint32_t host = (uint32_t)policy_world_random(world) << (32 - spread);
	const unsigned len = shortest + (unsigned)(policy_world_random(world) % (33 - shortest));

	return policy_world_prefix(ADDRESS_KEY_V4_FIRST | host, 96 + len);
}

static inline struct config_prefix policy_world_v6(struct policy_world *world)
{
	const address_key key = (address_key)(policy_world_random(world) & 0xff00000000000003)
				<< 64;

	return policy_world_prefix(key, (unsigned)(policy_world_random(world) % 129));
}

static inline void policy_world_fill(
	struct policy_world *world, struct config_list *list, uint32_t count)
{
	list->mode = policy_world_random(world) % 2 ? CONFIG_LIST_ONLY : CONFIG_LIST_ALL_EXCEPT;
	list->prefixes = calloc(count, sizeof(list->prefixes[0]));
	list->prefix_count = count;
	for (uint32_t i = 0; i < count; i++) {
		list->prefixes[i] =
			i % 5 == 0 ? policy_world_v6(world) : policy_world_v4(world, 12, 0);
		list->prefixes[i].pos = (struct config_pos){i + 1, 1};
	}
}

static inline void policy_world_init(struct policy_world *world, uint64_t seed, uint32_t count)
{
	*world = (struct policy_world){.random = seed * 2654435761 + 88172645463325252};
	world->config.vservers = world->vservers;
	world->config.vserver_count = 3;
	world->config.dataplane.worker_count = 1;
	for (uint32_t v = 0; v < 3; v++) {
		world->vservers[v].name = "v";
		policy_world_fill(world, &world->vservers[v].connections, count);
		policy_world_fill(world, &world->vservers[v].relay, count);
	}
}

static inline void policy_world_free(struct policy_world *world)
{
	for (uint32_t v = 0; v < 3; v++) {
		free(world->vservers[v].connections.prefixes);
		free(world->vservers[v].relay.prefixes);
	}
}

// In the list or not, the slow and obvious way. A v6 prefix says nothing of v4.
static inline bool policy_world_listed(const struct config_list *list, address_key key)
{
	for (uint32_t i = 0; i < list->prefix_count; i++) {
		const address_key first = address_key_of(&list->prefixes[i].addr);
		const unsigned len = list->prefixes[i].len;

		if (address_key_covers(first, len, key) &&
			!(address_key_is_v4(key) && address_key_straddles(first, len)))
			return true;
	}
	return false;
}

// An address at the edge of a listed prefix, just outside, or anywhere.
static inline address_key policy_world_address(struct policy_world *world)
{
	const struct config_vserver *v = &world->vservers[policy_world_random(world) % 3];
	const struct config_list *list =
		policy_world_random(world) % 2 ? &v->connections : &v->relay;
	const struct config_prefix *p =
		&list->prefixes[policy_world_random(world) % list->prefix_count];
	const address_key first = address_key_of(&p->addr);

	switch (policy_world_random(world) % 6) {
	case 0:
		return first;
	case 1:
		return first - 1;
	case 2:
		return address_key_last(first, p->len);
	case 3:
		return address_key_last(first, p->len) + 1;
	case 4:
		return ADDRESS_KEY_V4_FIRST | (uint32_t)policy_world_random(world);
	default:
		return (address_key)policy_world_random(world) << 64 | policy_world_random(world);
	}
}
