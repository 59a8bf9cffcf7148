#include "ctl/offline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/snapshot.h"
#include "control/explain.h"
#include "control/policy_diff.h"
#include "control/steering_report.h"
#include "control/who_can.h"

struct mistakes {
	FILE *out;
	json_t *list;
};

static void take_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	struct mistakes *mistakes = user;

	fprintf(mistakes->out, "%s:%u:%u: %s\n", path, pos.line, pos.column, message);
	json_array_append_new(mistakes->list,
		json_pack("{s:s, s:i, s:i, s:s}", "file", path, "line", (int)pos.line, "column",
			(int)pos.column, "message", message));
}

// NULL: answer holds the mistakes and this exit.
static struct config *load(const char *path, int exit_when_bad, struct answer *answer)
{
	struct mistakes mistakes = {.list = json_array()};
	struct config *config;
	size_t octets;

	mistakes.out = open_memstream(&answer->text, &octets);
	if (mistakes.out == NULL) {
		perror("posternctl");
		exit(2);
	}
	config = config_load(path, -1, take_mistake, &mistakes);
	fclose(mistakes.out);
	answer->exit = config == NULL ? exit_when_bad : 0;
	answer->data = json_pack("{s:o}", "mistakes", mistakes.list);
	return config;
}

static struct answer check(const struct command *command)
{
	struct answer answer = {0};
	struct config *config = load(command->config_path, 1, &answer);

	if (config != NULL)
		config_free(config);
	return answer;
}

// The configuration compiled; NULL: answer says why not. The snapshot borrows *config.
static struct snapshot *compile(const char *path, struct config **config, struct answer *answer)
{
	struct snapshot *snapshot;

	*config = load(path, 2, answer);
	if (*config == NULL)
		return NULL;
	answer_free(answer);
	*answer = (struct answer){.exit = 2};
	snapshot = snapshot_build(*config, 0);
	if (snapshot == NULL) {
		*answer = (struct answer){2, strdup("no memory"), json_object()};
		config_free(*config);
	}
	return snapshot;
}

static struct answer explain_file(const struct command *command)
{
	struct answer answer = {0};
	char why[EXPLAIN_WHY_MAX];
	struct config *config;
	struct snapshot *snapshot = compile(command->config_path, &config, &answer);

	if (snapshot == NULL)
		return answer;
	answer.data = explain(snapshot, command->args, why);
	if (answer.data != NULL)
		answer = (struct answer){0, explain_text(answer.data), answer.data};
	else
		answer = (struct answer){2, strdup(why), json_object()};
	snapshot_free(snapshot);
	config_free(config);
	return answer;
}

static struct answer who_can_file(const struct command *command, enum reach_right right)
{
	struct answer answer = {0};
	char why[WHO_CAN_WHY_MAX];
	struct config *config;
	struct snapshot *snapshot = compile(command->config_path, &config, &answer);

	if (snapshot == NULL)
		return answer;
	answer.data = who_can(snapshot, right, command->args, REACH_PREFIXES_OFFLINE, why);
	if (answer.data != NULL)
		answer = (struct answer){0, NULL, answer.data};
	else
		answer = (struct answer){2, strdup(why), json_object()};
	snapshot_free(snapshot);
	config_free(config);
	return answer;
}

static struct answer diff_files(const struct command *command)
{
	const char *path = json_string_value(json_object_get(command->args, "file"));
	struct answer answer = {0};
	struct config *old_config, *new_config;
	struct snapshot *old = compile(command->config_path, &old_config, &answer), *new;

	if (old == NULL)
		return answer;
	new = compile(path, &new_config, &answer);
	if (new != NULL) {
		answer.data = policy_diff(old, new, REACH_PREFIXES_OFFLINE);
		answer.exit = json_object_size(answer.data) > 0 ? 1 : 0;
		if (answer.data == NULL)
			answer = (struct answer){2, strdup("no memory"), json_object()};
		snapshot_free(new);
		config_free(new_config);
	}
	snapshot_free(old);
	config_free(old_config);
	return answer;
}

static struct answer steering_file(const struct command *command)
{
	struct answer answer = {0};
	char why[STEERING_REPORT_WHY_MAX];
	const char *nic = json_string_value(json_object_get(command->args, "nic"));
	struct config *config;
	struct snapshot *snapshot = compile(command->config_path, &config, &answer);

	if (snapshot == NULL)
		return answer;
	answer.data = steering_report(snapshot, nic, NULL, why);
	if (answer.data != NULL)
		answer = (struct answer){0, steering_report_text(answer.data), answer.data};
	else
		answer = (struct answer){2, strdup(why), json_object()};
	snapshot_free(snapshot);
	config_free(config);
	return answer;
}

struct answer offline_ask(const struct command *command)
{
	struct answer answer = {.exit = 2};

	if (strcmp(command->verb, "check") == 0)
		return check(command);
	if (strcmp(command->verb, "diff") == 0)
		return diff_files(command);
	if (strcmp(command->verb, "explain") == 0)
		return explain_file(command);
	if (strcmp(command->verb, "who-can-connect") == 0)
		return who_can_file(command, REACH_CONNECT);
	if (strcmp(command->verb, "who-can-relay") == 0)
		return who_can_file(command, REACH_RELAY);
	if (strcmp(command->verb, "steering") == 0)
		return steering_file(command);
	answer.data = json_object();
	if (asprintf(&answer.text, "%s needs the running server: leave --config out",
		    command->verb) < 0)
		answer.text = NULL;
	return answer;
}
