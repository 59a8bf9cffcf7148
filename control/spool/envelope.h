// envelope.h - the strings of a COMMIT: u16 little-endian length and octets each: sender, vserver, fqdn, client, helo,
// account, then per recipient u16 flags (0) and a string.
//
// Thread:  writing: the lcore that owns the message. Reading: any.
// Memory:  writing: buffers from the caller's take(), never the allocator. Reading: borrows the input.
// Blocks:  never.

#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "spool/spool_writer.h"

enum {
	ENVELOPE_STRINGS = 6, // before the recipients
};

// One new buffer; octets and next are set here. NULL: none left.
typedef struct spool_buf *envelope_take_fn(void *user);

// The chain built so far is in first also after an error: the caller gives it back.
struct envelope_writer {
	struct spool_buf *first, *last;
	envelope_take_fn *take;
	void *user;
	uint32_t octets;
};

void envelope_begin(struct envelope_writer *writer, envelope_take_fn *take, void *user);

// Append one string. ERR_NO_MEMORY: take() gave nothing, or the envelope would pass LIMIT_SPOOL_ENVELOPE_OCTETS.
// Strings must have no NUL inside (the spooler refuses such an envelope: ERR_SPOOL_CORRUPT).
MUST_CHECK enum err envelope_put(struct envelope_writer *writer, const void *octets, uint16_t len);
MUST_CHECK enum err envelope_put_rcpt(
	struct envelope_writer *writer, const void *octets, uint16_t len);

// Octets of a whole chain, and a copy of them into to.
uint64_t envelope_octets(const struct spool_buf *chain);
void envelope_copy(const struct spool_buf *chain, uint8_t *to);

// Take one string, or one recipient, off the front of in. ERR_SPOOL_CORRUPT: cut short, a NUL inside, or unknown flags.
MUST_CHECK enum err envelope_take(struct slice *in, struct slice *string);
MUST_CHECK enum err envelope_take_rcpt(struct slice *in, struct slice *string);

// The whole of in is an envelope with so many recipients.
MUST_CHECK enum err envelope_check(struct slice in, uint32_t rcpt_count);
