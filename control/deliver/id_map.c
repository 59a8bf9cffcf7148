#include "deliver/id_map.h"

#include <assert.h>
#include <stdlib.h>

// Ids are counters with a boot number and a worker on top: mixed, so that neighbours do not cluster (the finaliser of MurmurHash3).
static size_t home(const struct id_map *map, uint64_t id)
{
	id ^= id >> 33;
	id *= UINT64_C(0xff51afd7ed558ccd);
	id ^= id >> 33;
	return (size_t)id & (map->size - 1);
}

static size_t probe(const struct id_map *map, uint64_t id)
{
	size_t i = home(map, id);

	while (map->used[i] && map->places[i].id != id)
		i = (i + 1) & (map->size - 1);
	return i;
}

struct id_map_place *id_map_find(const struct id_map *map, uint64_t id)
{
	size_t i;

	if (map->size == 0)
		return NULL;
	i = probe(map, id);
	return map->used[i] ? &map->places[i] : NULL;
}

static void resize(struct id_map *map, size_t size)
{
	struct id_map old = *map;

	*map = (struct id_map){.places = calloc(size, sizeof(*map->places)),
		.used = calloc(size, sizeof(*map->used)),
		.size = size,
		.count = old.count};
	assert(map->places != NULL && map->used != NULL);
	for (size_t i = 0; i < old.size; i++) {
		size_t to;

		if (!old.used[i])
			continue;
		to = probe(map, old.places[i].id);
		map->places[to] = old.places[i];
		map->used[to] = 1;
	}
	id_map_free(&old);
}

void id_map_put(struct id_map *map, uint64_t id, void *value)
{
	size_t i;

	if (map->count * 4 >= map->size * 3)
		resize(map, map->size == 0 ? 64 : map->size * 2);
	i = probe(map, id);
	map->count += !map->used[i];
	map->places[i] = (struct id_map_place){id, value};
	map->used[i] = 1;
}

void id_map_remove(struct id_map *map, uint64_t id)
{
	size_t mask = map->size - 1, gap, i;

	if (map->size == 0)
		return;
	gap = probe(map, id);
	if (!map->used[gap])
		return;
	map->count--;
	// Close the gap: move back whatever would no longer be found behind it.
	for (i = (gap + 1) & mask; map->used[i]; i = (i + 1) & mask) {
		size_t h = home(map, map->places[i].id);

		if (((i - h) & mask) < ((i - gap) & mask))
			continue;
		map->places[gap] = map->places[i];
		gap = i;
	}
	map->used[gap] = 0;
}

void id_map_free(struct id_map *map)
{
	free(map->places);
	free(map->used);
	*map = (struct id_map){0};
}
