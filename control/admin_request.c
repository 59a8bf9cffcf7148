#include "control/admin_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(char why[ADMIN_REQUEST_WHY_MAX], const char *text)
{
	snprintf(why, ADMIN_REQUEST_WHY_MAX, "%s", text);
	return false;
}

// jansson follows nesting by recursion up to 2048 levels; nobody needs more than a few. Brackets inside strings do not count.
static bool is_shallow(struct slice line)
{
	bool in_string = false;
	int depth = 0;

	for (size_t i = 0; i < line.len; i++) {
		uint8_t c = line.at[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && (c == '}' || c == ']'))
			depth--;
		if (depth > ADMIN_REQUEST_DEPTH)
			return false;
	}
	return true;
}

static bool take_verb(const json_t *root, struct admin_request *request)
{
	const char *verb = json_string_value(json_object_get(root, "verb"));

	if (verb == NULL || verb[0] == '\0' || strlen(verb) >= ADMIN_REQUEST_VERB_MAX ||
		strspn(verb, "abcdefghijklmnopqrstuvwxyz-") != strlen(verb))
		return false;
	memcpy(request->verb, verb, strlen(verb) + 1);
	return true;
}

static bool take(json_t *root, struct admin_request *request, char why[ADMIN_REQUEST_WHY_MAX])
{
	json_t *args = json_object_get(root, "args");

	if (!json_is_object(root))
		return fail(why, "a request is {\"verb\": ..., \"args\": {...}}");
	if (!take_verb(root, request))
		return fail(why, "verb: expected a name of small letters");
	if (args != NULL && !json_is_object(args))
		return fail(why, "args: expected an object");
	if (json_object_size(root) != (args != NULL ? 2 : 1))
		return fail(why, "a request has verb and args and nothing else");
	request->args = args != NULL ? json_incref(args) : json_object();
	return request->args != NULL || fail(why, "no memory");
}

bool admin_request_parse(
	struct slice line, struct admin_request *request, char why[ADMIN_REQUEST_WHY_MAX])
{
	json_error_t error;
	json_t *root;
	bool good;

	memset(request, 0, sizeof(*request));
	if (!is_shallow(line))
		return fail(why, "nested too deep");
	root = json_loadb((const char *)line.at, line.len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL) {
		snprintf(why, ADMIN_REQUEST_WHY_MAX, "not JSON: %s at octet %d", error.text,
			error.position);
		return false;
	}
	good = take(root, request, why);
	json_decref(root);
	return good;
}

void admin_request_free(struct admin_request *request)
{
	json_decref(request->args);
	request->args = NULL;
}

static json_t *text_json(const char *text)
{
	json_t *string = json_string(text);
	char *printable;

	if (string != NULL)
		return string;
	printable = strdup(text);
	if (printable == NULL)
		return json_string("");
	for (char *c = printable; *c != '\0'; c++)
		if ((unsigned char)*c > 126)
			*c = '?';
	string = json_string(printable);
	free(printable);
	return string;
}

char *admin_request_response(int exit, const char *text, json_t *data)
{
	json_t *root = json_pack("{s:b, s:i, s:o, s:o}", "ok", exit == 0, "exit", exit, "text",
		text_json(text == NULL ? "" : text), "data", data == NULL ? json_object() : data);
	char *line, *longer;
	size_t len;

	if (root == NULL)
		return NULL;
	line = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(root);
	if (line == NULL)
		return NULL;
	len = strlen(line);
	longer = realloc(line, len + 2);
	if (longer == NULL) {
		free(line);
		return NULL;
	}
	memcpy(longer + len, "\n", 2);
	return longer;
}
