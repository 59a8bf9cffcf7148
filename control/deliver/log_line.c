#include "deliver/log_line.h"

#include <stdarg.h>
#include <stdio.h>

void log_line(const char *format, ...)
{
	va_list args;

	flockfile(stderr);
	fputs("postern-deliver: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	fflush(stderr);
	funlockfile(stderr);
}

char *log_line_quote(const char *text, char out[LOG_LINE_QUOTED_MAX])
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	out[n++] = '"';
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		if (n + 6 > LOG_LINE_QUOTED_MAX)
			break;
		if (*c >= ' ' && *c <= '~' && *c != '"' && *c != '\\') {
			out[n++] = (char)*c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = digits[*c >> 4];
		out[n++] = digits[*c & 15];
	}
	out[n++] = '"';
	out[n] = '\0';
	return out;
}
