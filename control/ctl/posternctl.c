// posternctl - asks and steers a running Postern, or checks a configuration (posternctl.1).

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/policy_diff.h"
#include "control/who_can.h"
#include "ctl/answer.h"
#include "ctl/command.h"
#include "ctl/offline.h"
#include "ctl/server.h"

// "no" is an answer as well: refuse and defer of explain.
static void count_verdict(struct answer *answer)
{
	const char *verdict = json_string_value(json_object_get(answer->data, "verdict"));

	if (answer->exit == 0 && verdict != NULL && strcmp(verdict, "accept") != 0)
		answer->exit = 1;
}

// Proofs can be large: their text is made here, when it is wanted, and not sent as well.
static void write_text(struct answer *answer, const struct command *command)
{
	char *text = NULL;

	if (command->json || answer->exit == 2)
		return;
	if (strcmp(command->verb, "who-can-connect") == 0)
		text = who_can_text(answer->data, REACH_CONNECT);
	else if (strcmp(command->verb, "who-can-relay") == 0)
		text = who_can_text(answer->data, REACH_RELAY);
	else if (strcmp(command->verb, "diff") == 0)
		text = policy_diff_text(answer->data);
	if (text == NULL)
		return;
	free(answer->text);
	answer->text = text;
}

static int run(const struct command *command)
{
	struct answer answer;
	int status;

	if (command->config_path != NULL) {
		answer = offline_ask(command);
	} else if (strcmp(command->verb, "check") == 0) {
		fputs("posternctl: check needs --config FILE\n", stderr);
		return 2;
	} else {
		answer = server_ask(command);
	}
	count_verdict(&answer);
	write_text(&answer, command);
	status = answer_print(&answer, command->verb, command->json);
	answer_free(&answer);
	return status;
}

int main(int argc, char **argv)
{
	char why[COMMAND_WHY_MAX];
	struct command command;
	int status = 0;

	if (!command_read(argc, argv, &command, why)) {
		fprintf(stderr, "posternctl: %s\n", why);
		status = 2;
	} else if (command.help) {
		fputs(command_usage(), stdout);
	} else if (command.version) {
		puts("posternctl " POSTERN_VERSION);
	} else {
		status = run(&command);
	}
	command_free(&command);
	return status;
}
