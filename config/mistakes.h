// mistakes.h - what is wrong with a file: collected, sorted by position, then reported.
//
// Thread:  its owner.
// Memory:  grows to MISTAKES_KEPT; later ones are counted only, and the report says so.
// Blocks:  never.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

enum {
	MISTAKES_KEPT = 1000,
	MISTAKES_MESSAGE_OCTETS = 512, // longer ones are cut
	MISTAKES_QUOTE_OCTETS = 72,
};

struct mistake {
	struct config_pos pos;
	uint32_t order; // keeps those of one position as they came
	char message[MISTAKES_MESSAGE_OCTETS];
};

struct mistakes {
	struct mistake *list; // MISTAKES_KEPT, reserved by mistakes_init()
	uint32_t count;       // all that were found, also those not kept
};

// False: no memory.
bool mistakes_init(struct mistakes *mistakes);
void mistakes_free(struct mistakes *mistakes);

void mistakes_add(struct mistakes *mistakes, struct config_pos pos, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// In order of position.
void mistakes_report(
	struct mistakes *mistakes, const char *path, config_mistake_fn *fn, void *user);

// Text of the file for a message: in quotes, control characters replaced, long ones cut.
struct mistakes_quote {
	char text[MISTAKES_QUOTE_OCTETS];
};
struct mistakes_quote mistakes_quote(const char *text);
