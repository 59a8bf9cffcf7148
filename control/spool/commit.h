// commit.h - the payload of a COMMIT record, from the request and the chunks seen (the way back: spool_message.h).
//
// Thread:  any.
// Memory:  from the allocator; the caller frees.
// Blocks:  never.

#pragma once

#include <stdint.h>

#include "base/err.h"
#include "spool/message_table.h"
#include "spool/spool_writer.h"

// ERR_NO_MEMORY: none, or more strings than LIMIT_SPOOL_ENVELOPE_OCTETS. ERR_SPOOL_CORRUPT: no recipients, or strings that a
// reader would not understand: such a commit must not be acknowledged. message: NULL when the body is empty.
MUST_CHECK enum err commit_payload(const struct spool_request *request,
	const struct open_message *message, int64_t wall_s, uint8_t **payload, uint32_t *octets);
