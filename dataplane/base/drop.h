// drop.h - why a received packet went no further. Every packet is either handled or counted under
// exactly one reason (received = handled + sum of drops).
//
// Thread: any. Memory: none; counters live with each worker.

#pragma once

enum drop {
#define DROP(symbol, text) DROP_##symbol,
#include "base/drop.def"
#undef DROP
	DROP_COUNT
};

// Text for status and metrics; never NULL.
const char *drop_text(enum drop d);

// The symbol in lower case, for JSON keys and tests; never NULL.
const char *drop_name(enum drop d);
