#include "config/utf8.h"

#include <stdbool.h>
#include <stdint.h>

static bool continues(uint8_t octet)
{
	return (octet & 0xc0) == 0x80;
}

// Limits of the second octet keep out overlong forms, surrogates and what lies above U+10FFFF.
static bool second_fits(uint8_t first, uint8_t second)
{
	switch (first) {
	case 0xe0:
		return second >= 0xa0;
	case 0xed:
		return second <= 0x9f;
	case 0xf0:
		return second >= 0x90;
	case 0xf4:
		return second <= 0x8f;
	default:
		return true;
	}
}

unsigned utf8_take(const char *text, size_t left)
{
	const uint8_t first = (uint8_t)text[0];

	if (first < 0x80)
		return (first >= 0x20 && first != 0x7f) || first == '\t' || first == '\n' ||
		       first == '\r';
	const unsigned octets = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (octets == 0 || first > 0xf4 || octets > left)
		return 0;
	for (unsigned i = 1; i < octets; i++) {
		if (!continues((uint8_t)text[i]))
			return 0;
	}
	if (!second_fits(first, (uint8_t)text[1]))
		return 0;
	return first == 0xc2 && (uint8_t)text[1] < 0xa0 && (uint8_t)text[1] != 0x85 ? 0 : octets;
}
