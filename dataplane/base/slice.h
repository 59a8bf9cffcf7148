// slice.h - a borrowed run of octets. A slice never owns what it points at.
//
// Thread: any. Memory: none of its own.

#pragma once

#include <stddef.h>
#include <stdint.h>

struct slice {
	const uint8_t *at;
	size_t len; // octets
};
