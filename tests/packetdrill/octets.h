// octets.h - a queue of octets: what arrived and was not read.
//
// Thread: any, with the lock of the world. Memory: grows; the window bounds it. Blocks: never.

#pragma once

#include <stddef.h>
#include <stdint.h>

struct octets {
	uint8_t *at;
	size_t begin, end, room;
};

size_t octets_count(const struct octets *o);
void octets_append(struct octets *o, const void *at, size_t count);

// The first of them; as many as octets_count().
const uint8_t *octets_first(const struct octets *o);
void octets_drop(struct octets *o, size_t count);
void octets_free(struct octets *o);
