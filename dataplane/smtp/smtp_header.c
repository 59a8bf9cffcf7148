#include "smtp/smtp_header.h"

#include <string.h>

// 0..8: so many octets of the name were matched from the start of the line.
static const char name[] = "received";

enum header_state {
	HEADER_NAME =
		sizeof(name) - 1, // the whole name was matched; blanks or the colon may follow
	HEADER_SKIP,              // this line is of no interest
	HEADER_EMPTY,             // CR at the start of a line
	HEADER_OVER,
};

static uint16_t header_next(uint16_t state, uint8_t c)
{
	if (state == HEADER_EMPTY)
		return c == '\n' ? HEADER_OVER : HEADER_SKIP;
	if (state == HEADER_NAME)
		return c == ' ' || c == '\t' ? HEADER_NAME : HEADER_SKIP;
	if (state == 0 && c == '\r')
		return HEADER_EMPTY;
	return (c | 0x20) == (uint8_t)name[state] ? (uint16_t)(state + 1) : HEADER_SKIP;
}

uint32_t smtp_header_count_received(uint16_t *state, struct slice octets)
{
	const uint8_t *at = octets.at, *end = octets.at + octets.len;
	uint32_t count = 0;

	while (at < end && *state != HEADER_OVER) {
		if (*state == HEADER_SKIP) {
			const uint8_t *lf = memchr(at, '\n', (size_t)(end - at));

			if (lf == NULL)
				return count;
			at = lf + 1;
			*state = 0;
			continue;
		}
		count += *state == HEADER_NAME && *at == ':';
		// A line that ends early is skipped like any other: its LF must be seen as one.
		if (*at == '\n' && *state != HEADER_EMPTY)
			*state = HEADER_SKIP;
		else
			*state = header_next(*state, *at++);
	}
	return count;
}
