#include "config/mistakes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool mistakes_init(struct mistakes *mistakes)
{
	*mistakes = (struct mistakes){.list = malloc(MISTAKES_KEPT * sizeof(struct mistake))};
	return mistakes->list != NULL;
}

void mistakes_free(struct mistakes *mistakes)
{
	free(mistakes->list);
	mistakes->list = NULL;
}

void mistakes_add(struct mistakes *mistakes, struct config_pos pos, const char *format, ...)
{
	const uint32_t order = mistakes->count++;

	if (order >= MISTAKES_KEPT)
		return;
	struct mistake *mistake = &mistakes->list[order];
	va_list arguments;

	mistake->pos = pos;
	mistake->order = order;
	va_start(arguments, format);
	(void)vsnprintf(mistake->message, sizeof(mistake->message), format, arguments);
	va_end(arguments);
}

static int compare(const void *left, const void *right)
{
	const struct mistake *a = left, *b = right;

	if (a->pos.line != b->pos.line)
		return a->pos.line < b->pos.line ? -1 : 1;
	if (a->pos.column != b->pos.column)
		return a->pos.column < b->pos.column ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void mistakes_report(struct mistakes *mistakes, const char *path, config_mistake_fn *fn, void *user)
{
	const uint32_t kept = mistakes->count < MISTAKES_KEPT ? mistakes->count : MISTAKES_KEPT;
	char more[80];

	qsort(mistakes->list, kept, sizeof(mistakes->list[0]), compare);
	for (uint32_t i = 0; i < kept; i++)
		fn(user, path, mistakes->list[i].pos, mistakes->list[i].message);
	if (kept == mistakes->count)
		return;
	(void)snprintf(
		more, sizeof(more), "%u more mistakes are not shown", mistakes->count - kept);
	fn(user, path, mistakes->list[kept - 1].pos, more);
}

struct mistakes_quote mistakes_quote(const char *text)
{
	static const char cut[] = "...\"";
	struct mistakes_quote quote = {"\""};
	size_t at = 1;

	for (; *text != '\0'; text++) {
		if (at + sizeof(cut) >= sizeof(quote.text)) {
			memcpy(quote.text + at, cut, sizeof(cut));
			return quote;
		}
		const unsigned char octet = (unsigned char)*text;

		quote.text[at++] = (char)(octet >= 0x20 && octet < 0x7f ? octet : '?');
	}
	quote.text[at++] = '"';
	quote.text[at] = '\0';
	return quote;
}
