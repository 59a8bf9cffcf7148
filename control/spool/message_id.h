// message_id.h - queue ids: 24 bits boot number of the spool, 6 bits worker, 34 bits counter; never used twice in the life of a spool.
//
// Thread: any. Memory: none.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	MESSAGE_ID_TEXT_MAX = 14,       // 13 characters and NUL
	MESSAGE_ID_WORKER_CONTROL = 63, // messages made here: DSNs
};

static inline uint64_t message_id_make(uint64_t boot, unsigned worker, uint64_t counter)
{
	return boot << 40 | (uint64_t)(worker & 63) << 34 | (counter & ((UINT64_C(1) << 34) - 1));
}

// 13 characters of 0-9 and A-V (base 32, RFC 4648 section 7), no vowel confusion to care about: it is only a name.
char *message_id_print(uint64_t id, char text[MESSAGE_ID_TEXT_MAX]);
// For tests and tools.
bool message_id_parse(const char *text, uint64_t *id);
