#include "octets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

size_t octets_count(const struct octets *o)
{
	return o->end - o->begin;
}

void octets_append(struct octets *o, const void *at, size_t count)
{
	if (count == 0)
		return;
	if (o->begin > 0) {
		memmove(o->at, o->at + o->begin, o->end - o->begin);
		o->end -= o->begin;
		o->begin = 0;
	}
	if (o->room - o->end < count) {
		o->room = 2 * (o->end + count);
		o->at = realloc(o->at, o->room);
		assert(o->at != NULL);
	}
	memcpy(o->at + o->end, at, count);
	o->end += count;
}

const uint8_t *octets_first(const struct octets *o)
{
	return o->at + o->begin;
}

void octets_drop(struct octets *o, size_t count)
{
	assert(count <= octets_count(o));
	o->begin += count;
}

void octets_free(struct octets *o)
{
	free(o->at);
	*o = (struct octets){0};
}
