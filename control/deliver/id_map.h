// id_map.h - message ids to pointers: open addressing, linear probing, grows by doubling.
//
// Thread: one. Memory: 17 octets for each place, three quarters of them used at most. Blocks: never.
// A key may have a NULL value; whether it is there is what id_map_find() says.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_map_place {
	uint64_t id;
	void *value;
};

struct id_map {
	struct id_map_place *places;
	uint8_t *used;
	size_t size, count; // size: power of two, or 0
};

// The place of id, or NULL. Valid until the next put or remove.
struct id_map_place *id_map_find(const struct id_map *map, uint64_t id);
void id_map_put(struct id_map *map, uint64_t id, void *value);
void id_map_remove(struct id_map *map, uint64_t id);
void id_map_free(struct id_map *map);
