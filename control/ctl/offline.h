// offline.h - verbs that a configuration file answers without a server.
//
// Thread:  the only one of posternctl. Memory: the answer. Blocks: reads the file.

#pragma once

#include "ctl/answer.h"
#include "ctl/command.h"

// Always an answer; for a verb that needs the running server, exit 2 and a text that says so.
struct answer offline_ask(const struct command *command);
