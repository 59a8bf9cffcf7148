// server.h - ask the running server over its control socket.
//
// Thread:  the only one of posternctl. Memory: the answer. Blocks: until the server has answered, at most two minutes.

#pragma once

#include "ctl/answer.h"
#include "ctl/command.h"

// Always an answer: exit 2 and a text when there is no server or no sense in what it says.
struct answer server_ask(const struct command *command);
