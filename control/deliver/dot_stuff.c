#include "deliver/dot_stuff.h"

#include <string.h>

static size_t run_length(struct slice in)
{
	size_t i = 0;

	while (i < in.len && in.at[i] != '\r' && in.at[i] != '\n')
		i++;
	return i;
}

// One line end at the front of in: 1 octet taken, 0 or 2 written.
static size_t line_end(struct dot_stuff *s, uint8_t c, uint8_t *out)
{
	if (c == '\n' && s->at == DOT_STUFF_AFTER_CR) {
		s->at = DOT_STUFF_LINE_START;
		return 0;
	}
	s->at = c == '\r' ? DOT_STUFF_AFTER_CR : DOT_STUFF_LINE_START;
	out[0] = '\r';
	out[1] = '\n';
	return 2;
}

size_t dot_stuff(struct dot_stuff *s, struct slice in, uint8_t *out)
{
	uint8_t *to = out;

	while (in.len > 0) {
		size_t n = run_length(in);

		if (n == 0) {
			to += line_end(s, in.at[0], to);
			n = 1;
		} else {
			if (s->at != DOT_STUFF_IN_LINE && in.at[0] == '.')
				*to++ = '.';
			memcpy(to, in.at, n);
			to += n;
			s->at = DOT_STUFF_IN_LINE;
		}
		in.at += n;
		in.len -= n;
	}
	return (size_t)(to - out);
}

size_t dot_stuff_end(const struct dot_stuff *s, uint8_t out[DOT_STUFF_END_MAX])
{
	size_t n = 0;

	if (s->at == DOT_STUFF_IN_LINE) {
		out[n++] = '\r';
		out[n++] = '\n';
	}
	out[n++] = '.';
	out[n++] = '\r';
	out[n++] = '\n';
	return n;
}
