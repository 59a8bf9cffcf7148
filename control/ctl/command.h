// command.h - the command line of posternctl as one request: verb, arguments, and where to take the answer from.
//
// Thread:  any. Memory: args is jansson's; texts borrow argv. Blocks: never.

#pragma once

#include <jansson.h>
#include <stdbool.h>

enum {
	COMMAND_WHY_MAX = 256,
};

struct command {
	const char *socket; // default /run/postern/control.sock
	const char *
		config_path; // --config: answer from this file, without a server; NULL: ask the server
	bool json, help, version;
	const char *verb;
	json_t *args; // as the control socket takes them; owned
};

// False: why says what is wrong. With help or version nothing else is looked at.
bool command_read(int argc, char **argv, struct command *command, char why[COMMAND_WHY_MAX]);
void command_free(struct command *command);

// What may be typed, one verb a line.
const char *command_usage(void);
