// answer.h - an answer for the operator, from the server or from a file, and how it is printed.
//
// Text that came over the network is part of answers (addresses, replies), so control characters never reach the terminal.
//
// Thread:  any. Memory: data is jansson's, text malloc'd. Blocks: printing.

#pragma once

#include <jansson.h>
#include <stdbool.h>

struct answer {
	int exit;
	char *text;
	json_t *data;
};

void answer_free(struct answer *answer);

// Exit status for main.
int answer_print(const struct answer *answer, const char *verb, bool json);
