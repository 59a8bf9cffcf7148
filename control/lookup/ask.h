// ask.h - one question of lookup_record.h from its arrival to its answer: which DNS questions it takes, and what their answers mean.
//
// CLIENT: PTR, then for each name (ASK_NAMES at most) the addresses of the client's family; a name counts when one of them is the
// client's (forward confirmation). Any name confirmed: FOUND. None, and one of the steps failed: DEFER. Else NONE.
// POINTER: the same without the second step.
// MX: sorted by preference, equals in random order; no MX record but a name: the domain itself.
// HOST: AAAA and A; FOUND with what there is; NONE only when both say so.
//
// Thread:  the event loop of postern-lookup.
// Memory:  one object a question, until its answer.
// Blocks:  never.

#pragma once

#include "lookup/lookup_record.h"
#include "lookup/resolver.h"

enum {
	ASK_NAMES = 8, // PTR names that are looked at
};

struct ask;

// Called exactly once for each ask_start(), never before it returns; answer lives as long as the call.
typedef void ask_fn(void *user, const struct lookup_answer *answer);

struct ask_owner {
	struct resolver *resolver;
	ask_fn *answered;
	void *user;
};

// question is well-formed (ask_is_valid). random: orders MX hosts of equal preference.
struct ask *ask_start(
	const struct ask_owner *owner, const struct lookup_question *question, uint32_t random);

// Answer DEFER now; what still comes is not looked at.
void ask_give_up(struct ask *ask);

bool ask_is_valid(const struct lookup_question *question);
