// guard_names.h - name entries in the eyes of the guard: how far below the public suffixes they reach, and what was guaranteed of them.
//
// A relay list may name hosts and domains of somebody; it may not name what anybody can have. An entry reaches too far when some name
// it matches is no name below a domain that somebody has registered: decided on the ends that all its names have
// (name_tails.h), so what is let through is safe, and a regular expression that hides its end from us is refused.
//
// Thread:  any; no globals.
// Memory:  none.
// Blocks:  never.

#pragma once

#include "config/reader.h"

// Every name of every relay list; not of virtual servers with open_relay: i-understand.
void guard_names_check(const struct config *config, struct mistakes *mistakes);

// Names of a list of the virtual server that its guarantee does not allow.
void guard_names_promise(const struct config_guarantee *guarantee,
	const struct config_list *allowed, const struct config_list *by, struct mistakes *mistakes);

// Special names that no registry gives out (RFC 6761, RFC 6762, and "internal").
bool guard_names_is_special(const char *name);

// For tests: whether the entry reaches below a public suffix further than one registered domain.
bool guard_names_is_wide(const char *text);
