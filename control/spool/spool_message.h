// spool_message.h - COMMIT records taken apart.
//
// Thread:  any.
// Memory:  one piece from the allocator for each message; spool_message_free() (spool_reader.h).
// Blocks:  never.

#pragma once

#include "base/err.h"
#include "base/slice.h"
#include "spool/spool_reader.h"

// record is the valid header of a COMMIT. ERR_SPOOL_CORRUPT: the payload contradicts itself; ERR_NO_MEMORY.
MUST_CHECK enum err spool_message_parse(
	const struct spool_record *record, struct slice payload, struct spool_message **message);
