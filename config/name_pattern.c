#include "config/name_pattern.h"

#include <ctype.h>
#include <hs/hs_compile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Without the slashes, and without anchors, which every expression has anyway.
struct body {
	const char *at;
	size_t len;
};

static bool is_escaped(struct body body, size_t at)
{
	size_t before = 0;

	while (before < at && body.at[at - 1 - before] == '\\')
		before++;
	return before % 2 == 1;
}

// text begins with a slash. len 0: there is no second one at its end, or nothing between them.
static struct body body_of(const char *text)
{
	const size_t len = strlen(text);
	struct body body = {text + 1, len < 3 || text[len - 1] != '/' ? 0 : len - 2};

	if (body.len > 1 && body.at[0] == '^') {
		body.at++;
		body.len--;
	}
	if (body.len > 1 && body.at[body.len - 1] == '$' && !is_escaped(body, body.len - 1))
		body.len--;
	return body;
}

// Of no name at all: /.*/ is any name, but who writes /a*/ has not meant what no name is.
static bool is_any(const struct name_tails *tails)
{
	for (uint32_t i = 0; i < tails->count; i++) {
		if (tails->list[i].len == 0 && !tails->list[i].whole)
			return true;
	}
	return false;
}

static const char *regex_refused(
	const char *text, const struct name_tails *tails, struct value_why *why)
{
	char expression[NAME_PATTERN_EXPRESSION_MAX];
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *error = NULL;
	bool empty;

	name_pattern_expression(text, expression);
	if (hs_expression_info(expression, HS_FLAG_CASELESS | HS_FLAG_ALLOWEMPTY, &info, &error) !=
		HS_SUCCESS) {
		(void)snprintf(why->text, sizeof(why->text), "is no regular expression: %s",
			error != NULL ? error->message : "unknown");
		(void)hs_free_compile_error(error);
		return why->text;
	}
	empty = info->min_width == 0 && !is_any(tails);
	free(info);
	return empty ? "matches an empty name: expected an expression that does not" : NULL;
}

static const char *regex_wrong(const char *text, struct value_why *why)
{
	const struct body body = body_of(text);
	struct name_tails tails;
	const char *wrong;

	if (body.len == 0)
		return "is no regular expression between slashes: expected such as "
		       "/web[0-9]+\\.example\\.net/";
	// Before Hyperscan sees it: what closes a group of its own would undo the anchors.
	wrong = name_tails_of(body.at, body.len, &tails);
	if (wrong != NULL) {
		(void)snprintf(why->text, sizeof(why->text), "as a regular expression %s", wrong);
		return why->text;
	}
	return regex_refused(text, &tails, why);
}

// "0x0a000001" is an address to many programs.
static bool ends_with_hex(const char *text)
{
	const char *dot = strrchr(text, '.');
	const char *last = dot == NULL ? text : dot + 1;

	return last[0] == '0' && (last[1] | 0x20) == 'x' &&
	       last[2 + strspn(last + 2, "0123456789abcdefABCDEF")] == '\0';
}

const char *name_pattern_wrong(const char *text, struct value_why *why)
{
	const char *wrong;

	if (strlen(text) > NAME_PATTERN_OCTETS)
		return "is longer than 512 characters";
	if (*text == '/')
		return regex_wrong(text, why);
	wrong = value_host(*text == '.' ? text + 1 : text);
	if (wrong == NULL && ends_with_hex(text))
		return "is an address or ends with a number: expected a name";
	return wrong;
}

void name_pattern_expression(const char *text, char out[NAME_PATTERN_EXPRESSION_MAX])
{
	size_t len = 0;

	if (*text == '/') {
		const struct body body = body_of(text);

		(void)snprintf(
			out, NAME_PATTERN_EXPRESSION_MAX, "^(?:%.*s)$", (int)body.len, body.at);
		return;
	}
	len += (size_t)snprintf(out, NAME_PATTERN_EXPRESSION_MAX, "^%s", *text == '.' ? ".+" : "");
	for (; *text != '\0'; text++) {
		if (*text == '.' || *text == '-')
			out[len++] = '\\';
		out[len++] = *text;
	}
	memcpy(out + len, "$", 2);
}

void name_pattern_tails(const char *text, struct name_tails *out)
{
	const size_t len = strlen(text);
	const size_t kept = len < NAME_TAILS_OCTETS ? len : NAME_TAILS_OCTETS;
	struct name_tail *tail = &out->list[0];

	if (*text == '/') {
		const struct body body = body_of(text);

		(void)name_tails_of(body.at, body.len, out);
		return;
	}
	out->count = 1;
	*tail = (struct name_tail){.len = (uint16_t)kept, .whole = *text != '.' && kept == len};
	for (size_t i = 0; i < kept; i++)
		tail->text[i] = (char)(tolower)((unsigned char)text[len - kept + i]);
}

bool name_pattern_has(const char *text, const char *other)
{
	const size_t len = strlen(other), tail = strlen(text);

	// ".a.example.net" is below ".example.net" as well.
	if (*text == '.' && *other != '/' && len > tail)
		return strcasecmp(other + len - tail, text) == 0;
	return strcasecmp(text, other) == 0;
}
