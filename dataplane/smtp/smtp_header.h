// smtp_header.h - counts the trace fields of a message's header as it passes by, for loop detection (RFC 5321 section 6.3).
//
// Thread: any. Memory: none. Blocks: never. Cost: O(octets) until the first empty line, then nothing.

#pragma once

#include <stdint.h>

#include "base/slice.h"

// How many lines "Received:" (RFC 5322 3.6.7, also with blanks before the colon) begin in octets. Folded lines are not
// counted, nor anything after the first empty line. *state is 0 at the start of a message, and carried from piece to piece.
// Octets are those after dot-unstuffing, with CRLF line ends.
uint32_t smtp_header_count_received(uint16_t *state, struct slice octets);
