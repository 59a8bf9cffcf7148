#include "smtp/smtp_line.h"

#include <string.h>

#include "base/limits.h"

// The first thing wrong with octets that hold no LF, or ERR_OK. A CR that ends them may still get its LF.
static enum err line_fault(struct slice octets)
{
	const uint8_t *cr = octets.len > 0 ? memchr(octets.at, '\r', octets.len) : NULL;
	size_t before = cr != NULL ? (size_t)(cr - octets.at) : octets.len;

	if (before > 0 && memchr(octets.at, '\0', before) != NULL)
		return ERR_LINE_NUL;
	return before + 1 < octets.len ? ERR_LINE_BARE_CR : ERR_OK;
}

// No LF in the window: wait for it, unless the window is full.
static enum err line_unended(struct slice window)
{
	TRY(line_fault(window));
	return window.len == LIMIT_COMMAND_READ_OCTETS ? ERR_LINE_TOO_LONG : ERR_MORE;
}

enum err smtp_line_take(struct slice *in, struct slice *line)
{
	struct slice window = {
		in->at, in->len < LIMIT_COMMAND_READ_OCTETS ? in->len : LIMIT_COMMAND_READ_OCTETS};
	const uint8_t *lf = window.len > 0 ? memchr(window.at, '\n', window.len) : NULL;
	size_t before;

	if (lf == NULL)
		return line_unended(window);
	before = (size_t)(lf - window.at);
	TRY(line_fault((struct slice){window.at, before}));
	if (before == 0 || lf[-1] != '\r')
		return ERR_LINE_BARE_LF;
	*line = (struct slice){window.at, before - 1};
	in->at += before + 1;
	in->len -= before + 1;
	return ERR_OK;
}
