#include "smtp/smtp_reply.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum {
	LINE_MAX_OCTETS = 512, // with CRLF, RFC 5321 4.5.3.1.5
};

struct row {
	uint16_t code;
	const char *enhanced, *text;
};

// One line while it is written. What does not fit is left out.
struct line {
	char *at;
	uint32_t len, cap; // octets
};

static const struct row rows[SMTP_REPLY_COUNT] = {
#define REPLY(symbol, code, enhanced, text) [SMTP_REPLY_##symbol] = {(code), (enhanced), (text)},
#include "smtp/smtp_reply.def"
#undef REPLY
};

static void put_octet(struct line *line, char c)
{
	if (line->len < line->cap)
		line->at[line->len++] = c;
}

static void put_text(struct line *line, const char *text, size_t octets)
{
	for (size_t i = 0; i < octets; i++)
		put_octet(line, text[i]);
}

// What the peer gave must not write lines of its own into our replies or logs. keep: octets that must still fit behind it.
static void put_arg(struct line *line, struct slice arg, size_t keep)
{
	for (size_t i = 0; i < arg.len && line->len + keep < line->cap; i++) {
		char c = (char)arg.at[i];

		if (c < ' ' || c > '~')
			c = '?';
		put_octet(line, c);
	}
}

static void put_code(struct line *line, uint16_t code)
{
	put_octet(line, (char)('0' + code / 100));
	put_octet(line, (char)('0' + code / 10 % 10));
	put_octet(line, (char)('0' + code % 10));
}

static void put_row(struct line *line, enum smtp_reply reply, struct slice arg, char separator)
{
	const struct row *row = &rows[reply];
	const char *hole = strstr(row->text, "%s");

	put_code(line, row->code);
	put_octet(line, separator);
	put_text(line, row->enhanced, strlen(row->enhanced));
	if (row->enhanced[0] != '\0')
		put_octet(line, ' ');
	if (hole == NULL) {
		put_text(line, row->text, strlen(row->text));
		return;
	}
	put_text(line, row->text, (size_t)(hole - row->text));
	put_arg(line, arg, strlen(hole + 2));
	put_text(line, hole + 2, strlen(hole + 2));
}

static void write_line(
	struct smtp_out *out, enum smtp_reply reply, struct slice arg, char separator)
{
	char text[LINE_MAX_OCTETS];
	struct line line = {text, 0, LINE_MAX_OCTETS - 2};

	put_row(&line, reply, arg, separator);
	line.cap = LINE_MAX_OCTETS;
	put_text(&line, "\r\n", 2);
	assert(out->cap - out->len >= line.len);
	memcpy(out->at + out->len, text, line.len);
	out->len += line.len;
}

uint16_t smtp_reply_code(enum smtp_reply reply)
{
	assert(reply < SMTP_REPLY_COUNT);
	return rows[reply].code;
}

void smtp_reply_write(struct smtp_out *out, enum smtp_reply reply, struct slice arg)
{
	assert(reply > SMTP_REPLY_NONE && reply < SMTP_REPLY_COUNT);
	write_line(out, reply, arg, ' ');
}

void smtp_reply_write_more(struct smtp_out *out, enum smtp_reply reply, struct slice arg)
{
	assert(reply > SMTP_REPLY_NONE && reply < SMTP_REPLY_COUNT);
	write_line(out, reply, arg, '-');
}

void smtp_reply_print(char *text, uint32_t cap, enum smtp_reply reply, struct slice arg)
{
	struct line line = {text, 0, cap - 1};

	assert(cap > 0 && reply < SMTP_REPLY_COUNT);
	if (reply != SMTP_REPLY_NONE)
		put_row(&line, reply, arg, ' ');
	text[line.len] = '\0';
}
