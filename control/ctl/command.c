#include "ctl/command.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NAMES_MAX = 9,
};

// One verb: positional arguments in order (the first least of them needed) and options with a value.
struct verb {
	const char *name;
	unsigned least;
	const char *positions[3];
	const char *options[NAMES_MAX];
	const char *usage;
};

#define QUEUE_OPTIONS                                                                              \
	{                                                                                          \
		"id", "sender", "recipient", "client", "vserver", "limit"                          \
	}

static const struct verb verbs[] = {
	{"status", 0, {NULL}, {NULL}, "status"},
	{"check", 0, {NULL}, {NULL}, "check"},
	{"diff", 1, {"file"}, {NULL}, "diff NEW"},
	{"explain", 0, {NULL},
		{"vserver", "client", "name", "peer", "account", "sender", "recipient"},
		"explain --vserver V --client IP [--name N] [--tls] [--peer P] [--account A] "
		"[--sender X] "
		"[--recipient Y]"},
	{"get", 0, {"name"}, {NULL}, "get [NAME]"},
	{"log", 1, {"command"}, {NULL}, "log reopen"},
	{"queue", 1, {"command", "id"}, QUEUE_OPTIONS,
		"queue list|show|count|hold|release|retry|delete|bounce [ID|all] [--sender A] "
		"[--recipient A] "
		"[--client IP] [--vserver V] [--limit N]"},
	{"reload", 0, {"file"}, {NULL}, "reload [FILE]"},
	{"set", 2, {"name", "value"}, {NULL}, "set NAME VALUE"},
	{"steering", 0, {NULL}, {"nic"}, "steering [--nic KIND]"},
	{"stop", 0, {NULL}, {NULL}, "stop"},
	{"vserver", 1, {"command", "name"}, {NULL}, "vserver list|start|stop|pause|drain [NAME]"},
	{"who-can-connect", 0, {NULL}, {"vserver"}, "who-can-connect [--vserver V]"},
	{"who-can-relay", 0, {NULL}, {"vserver"}, "who-can-relay [--vserver V]"},
};

enum {
	VERBS = sizeof(verbs) / sizeof(verbs[0]),
};

const char *command_usage(void)
{
	static char text[4096];
	int used = snprintf(text, sizeof(text),
		"usage: posternctl [--socket S] [--config F] [--json] VERB ...\n\n"
		"  --socket S   control socket of the running server (/run/postern/control.sock)\n"
		"  --config F   answer from this file without a server: check, diff, explain,\n"
		"               steering, who-can-connect, who-can-relay\n"
		"  --json       print JSON\n"
		"  --help, --version\n\nverbs:\n");

	for (size_t i = 0; i < VERBS && used < (int)sizeof(text); i++)
		used += snprintf(
			text + used, sizeof(text) - (size_t)used, "  %s\n", verbs[i].usage);
	if (used < (int)sizeof(text))
		snprintf(text + used, sizeof(text) - (size_t)used,
			"\nExit: 0 done, 1 no (explain: refuse or defer; check: mistakes) or a "
			"difference, "
			"2 usage or connection. See posternctl(1).\n");
	return text;
}

struct reading {
	struct command *command;
	const struct verb *verb;
	unsigned positions;
	char *why;
};

static bool fail(const struct reading *r, const char *what, const char *text)
{
	snprintf(r->why, COMMAND_WHY_MAX, "%.160s: %s", what, text);
	// A script may have made the argument of what a stranger wrote.
	for (char *at = r->why; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	}
	return false;
}

// The server has a working directory of its own.
static json_t *value_of(const char *name, const char *text)
{
	char *path = strcmp(name, "file") == 0 ? realpath(text, NULL) : NULL;
	json_t *value = json_string(path != NULL ? path : text);

	free(path);
	return value;
}

static bool put(const struct reading *r, const char *name, const char *text)
{
	json_t *value = value_of(name, text);
	char *end;

	if (value != NULL && strcmp(name, "limit") == 0) {
		json_decref(value);
		value = json_integer(strtol(text, &end, 10));
		if (*text == '\0' || *end != '\0') {
			json_decref(value);
			return fail(r, text, "expected a number");
		}
	}
	if (value == NULL)
		return fail(r, name, "the value is no UTF-8");
	if (json_object_get(r->command->args, name) != NULL) {
		json_decref(value);
		return fail(r, name, "given twice");
	}
	json_object_set_new(r->command->args, name, value);
	return true;
}

static bool take_word(struct reading *r, const char *word)
{
	const char *name;

	if (r->command->verb == NULL) {
		for (size_t i = 0; i < VERBS && r->verb == NULL; i++)
			r->verb = strcmp(verbs[i].name, word) == 0 ? &verbs[i] : NULL;
		r->command->verb = word;
		return r->verb != NULL || fail(r, word, "unknown verb (--help lists them)");
	}
	assert(r->verb != NULL); // or the verb had been refused
	name = r->positions < 3 ? r->verb->positions[r->positions] : NULL;
	r->positions++;
	if (name == NULL)
		return fail(r, word, "one argument too many");
	return put(r, name, word);
}

static bool take_option(const struct reading *r, const char *name, const char *value)
{
	for (size_t i = 0; r->verb != NULL && i < NAMES_MAX && r->verb->options[i] != NULL; i++)
		if (strcmp(r->verb->options[i], name) == 0)
			return put(r, name, value);
	return fail(r, name, "unknown option here (options of a verb stand behind it)");
}

// Options without a value. True: it was one.
static bool take_flag(const struct reading *r, const char *name)
{
	struct command *command = r->command;

	if (strcmp(name, "json") == 0)
		command->json = true;
	else if (strcmp(name, "help") == 0)
		command->help = true;
	else if (strcmp(name, "version") == 0)
		command->version = true;
	else if (strcmp(name, "tls") == 0 && r->verb != NULL &&
		 strcmp(r->verb->name, "explain") == 0)
		json_object_set_new(command->args, "tls", json_true());
	else
		return false;
	return true;
}

// "--name value" or "--name=value"; *next is moved over a value that was used.
static bool take_dashed(struct reading *r, char **argv, int argc, int *next)
{
	const char *text = argv[*next] + 2, *equals = strchr(text, '=');
	char name[64];
	const char *value;

	snprintf(name, sizeof(name), "%.*s",
		equals != NULL ? (int)(equals - text) : (int)strlen(text), text);
	if (equals == NULL && take_flag(r, name))
		return true;
	if (equals == NULL && *next + 1 >= argc)
		return fail(r, name, "needs a value, or is unknown");
	value = equals != NULL ? equals + 1 : argv[++*next];
	if (strcmp(name, "socket") == 0)
		r->command->socket = value;
	else if (strcmp(name, "config") == 0)
		r->command->config_path = value;
	else
		return take_option(r, name, value);
	return true;
}

bool command_read(int argc, char **argv, struct command *command, char why[COMMAND_WHY_MAX])
{
	struct reading r = {.command = command};

	r.why = why;
	*command = (struct command){.socket = "/run/postern/control.sock", .args = json_object()};
	for (int i = 1; i < argc; i++) {
		bool good = strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0'
				    ? take_dashed(&r, argv, argc, &i)
				    : take_word(&r, argv[i]);

		if (!good)
			return false;
		if (command->help || command->version)
			return true;
	}
	if (r.verb == NULL)
		return fail(&r, "no verb", "--help lists them");
	if (r.positions < r.verb->least)
		return fail(&r, r.verb->usage, "something is missing");
	return true;
}

void command_free(struct command *command)
{
	json_decref(command->args);
	command->args = NULL;
}
