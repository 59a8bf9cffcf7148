// admin_verb.h - what the verbs of the control socket do.
//
// Thread:  the control thread.
// Memory:  the answer is the caller's.
// Blocks:  reload and diff compile, proofs pass over all lists: seconds with a million entries. Everything else returns at once.

#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "control/admin.h"
#include "control/deliver_link.h"

struct admin_answer {
	int exit;     // 0 done, 1 no, 2 not understood
	char *text;   // malloc'd or NULL
	json_t *data; // owned or NULL
};

// answer: text and data are the callee's.
typedef void admin_verb_reloaded_fn(void *user, struct admin_answer *answer);

struct admin_call {
	const struct admin_parts *parts;
	json_t *args; // not changed, but jansson walks no const object
	// For verbs the deliverer answers: handed to deliver_link_ask().
	deliver_link_answer_fn *later;
	admin_verb_reloaded_fn *reloaded; // the end of a reload
	void *later_user;                 // of both
	struct admin_verb_reload *reload; // set when call->reloaded will be called
	struct admin_answer answer;
};

// True: call->answer holds the answer. False: call->later or call->reloaded will be called; what is in call->answer.data already is to be put
// together with the deliverer's data by admin_verb_merge().
bool admin_verb_run(struct admin_call *call, const char *verb);

// later_user is gone: the reload goes on and tells nobody.
void admin_verb_forget(struct admin_verb_reload *reload);

// Add data (may be NULL: the deliverer did not answer) to the values of `get`; the text for people, malloc'd.
char *admin_verb_merge(json_t *values, json_t *data);
