// admin_request.h - octets from the control socket to a verb with arguments, and back. Trusts no octet.
//
// Thread:  any.
// Memory:  jansson's, bounded by the size of the request.
// Blocks:  never.

#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/slice.h"

enum {
	ADMIN_REQUEST_VERB_MAX = 32, // octets of a verb with its NUL
	ADMIN_REQUEST_DEPTH = 8,     // of nesting in the arguments; more is refused unparsed
	ADMIN_REQUEST_WHY_MAX = 256,
};

struct admin_request {
	char verb[ADMIN_REQUEST_VERB_MAX]; // [a-z-]+
	json_t *args;                      // an object, maybe empty; owned
};

// One line without its newline. False: why, and nothing to free.
bool admin_request_parse(
	struct slice line, struct admin_request *request, char why[ADMIN_REQUEST_WHY_MAX]);
void admin_request_free(struct admin_request *request);

// The response as one line with its newline, malloc'd; NULL: no memory. exit: 0 done, 1 no or difference, 2 not understood. text may be
// NULL, data too (then it is {}); data is taken over. Octets of text that are no UTF-8 are shown as '?'.
char *admin_request_response(int exit, const char *text, json_t *data);
