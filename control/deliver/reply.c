#include "deliver/reply.h"

#include <stdbool.h>
#include <string.h>

void reply_init(struct reply *r)
{
	memset(r, 0, sizeof(*r));
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool code_parse(const struct reply *r, uint16_t *code)
{
	const char *l = r->line;

	if (r->line_octets < 3 || l[0] < '2' || l[0] > '5' || !is_digit(l[1]) || !is_digit(l[2]))
		return false;
	if (r->line_octets > 3 && l[3] != ' ' && l[3] != '-')
		return false;
	*code = (uint16_t)((l[0] - '0') * 100 + (l[1] - '0') * 10 + (l[2] - '0'));
	return true;
}

struct slice reply_line_text(const struct reply *r)
{
	size_t skip = r->line_octets > 4 ? 4 : r->line_octets;

	return (struct slice){(const uint8_t *)r->line + skip, r->line_octets - skip};
}

static void text_put(struct reply *r, const char *at, size_t octets)
{
	for (size_t i = 0; i < octets && r->text_octets < REPLY_TEXT_MAX - 1; i++) {
		char c = at[i];

		// What the server says ends up in logs and in DSNs: one line of printable text.
		r->text[r->text_octets++] = (char)(c < ' ' || c > '~' ? '?' : c);
	}
	r->text[r->text_octets] = '\0';
}

static void text_add_line(struct reply *r)
{
	struct slice text = reply_line_text(r);

	if (r->lines == 1)
		text_put(r, r->line, r->line_octets < 3 ? r->line_octets : 3);
	text_put(r, r->lines == 1 ? " " : " / ", r->lines == 1 ? 1 : 3);
	text_put(r, (const char *)text.at, text.len);
}

static enum reply_result line_end(struct reply *r)
{
	uint16_t code = 0;

	if (r->line_octets > 0 && r->line[r->line_octets - 1] == '\r')
		r->line_octets--;
	if (!code_parse(r, &code) || (r->lines > 0 && code != r->code))
		return REPLY_GARBAGE;
	r->code = code;
	if (++r->lines > REPLY_LINES_MAX)
		return REPLY_GARBAGE;
	text_add_line(r);
	r->is_line_taken = 1;
	r->is_begun = r->line_octets > 3 && r->line[3] == '-';
	return r->is_begun ? REPLY_LINE : REPLY_END;
}

static void line_begin(struct reply *r)
{
	r->is_line_taken = 0;
	r->line_octets = 0;
	if (r->is_begun)
		return;
	r->lines = 0;
	r->code = 0;
	r->text_octets = 0;
}

enum reply_result reply_take(struct reply *r, struct slice *in)
{
	const uint8_t *lf;
	size_t n;

	if (in->len == 0)
		return REPLY_MORE;
	if (r->is_line_taken)
		line_begin(r);
	lf = memchr(in->at, '\n', in->len);
	n = lf == NULL ? in->len : (size_t)(lf - in->at);
	// Room for the line and its LF: a server that never ends a line is not listened to for ever.
	if (n + 1 > (size_t)(REPLY_LINE_MAX - r->line_octets))
		return REPLY_GARBAGE;
	memcpy(r->line + r->line_octets, in->at, n);
	r->line_octets = (uint16_t)(r->line_octets + n);
	n += lf != NULL;
	in->at += n;
	in->len -= n;
	return lf == NULL ? REPLY_MORE : line_end(r);
}
