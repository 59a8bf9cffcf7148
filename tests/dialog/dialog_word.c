#include "dialog/dialog_word.h"

#include <stdlib.h>
#include <string.h>

#include "dialog/dialog.h"

char *dialog_word(char **at)
{
	char *w = *at + strspn(*at, " \t");

	if (*w == '\0')
		return NULL;

	char *end = *w == '"' ? strchr(w + 1, '"') : w + strcspn(w, " \t");

	if (end == NULL)
		dialog_fail("text without an end");
	*at = end + (*end != '\0');
	*end = '\0';
	return w;
}

char *dialog_word_need(char **at)
{
	char *w = dialog_word(at);

	if (w == NULL)
		dialog_fail("line ends too early");
	return w;
}

uint32_t dialog_word_number(char **at)
{
	const char *w = dialog_word_need(at);
	char *end;
	unsigned long long n = strtoull(w, &end, 0);

	if (*end != '\0')
		dialog_fail("%s is no number", w);
	return (uint32_t)n;
}
