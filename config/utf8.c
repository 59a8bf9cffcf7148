#include "config/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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

// C1 controls, U+2028 and U+2029: some programs see a line's end there and others do not.
static bool is_separator(const char *text, unsigned octets)
{
	return (octets == 2 && (uint8_t)text[0] == 0xc2 && (uint8_t)text[1] < 0xa0) ||
	       (octets == 3 && (memcmp(text, "\xe2\x80\xa8", 3) == 0 ||
				       memcmp(text, "\xe2\x80\xa9", 3) == 0));
}

unsigned utf8_take(const char *text, size_t left)
{
	const uint8_t first = (uint8_t)text[0];

	if (first == '\r')
		return left > 1 && text[1] == '\n';
	if (first < 0x80)
		return (first >= 0x20 && first != 0x7f) || first == '\t' || first == '\n';
	const unsigned octets = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (octets == 0 || first > 0xf4 || octets > left)
		return 0;
	for (unsigned i = 1; i < octets; i++) {
		if (!continues((uint8_t)text[i]))
			return 0;
	}
	if (!second_fits(first, (uint8_t)text[1]))
		return 0;
	return is_separator(text, octets) ? 0 : octets;
}
