// check.h - what values of a configuration say about each other: addresses, names, routes.
//
// Every check names the position of the later of two that do not agree, and the line of the other.
// A check is left out when what it depends on is itself wrong: one mistake, one message.
//
// Thread:  any; no globals.
// Memory:  the arena of the reader.
// Blocks:  never.

#pragma once

#include "config/reader.h"

void check_config(const struct config *config, struct reader *reader);
