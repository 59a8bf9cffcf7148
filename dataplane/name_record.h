// name_record.h - questions of a worker about its clients' names, and the answers: fixed records in two rings between it and the
// control thread (control/name_link.h), which speaks with postern-lookup.
//
// Several sessions of one client wait for one answer, so a question names the entry of the worker's table that it is for, and the entry's
// serial number; the sessions that wait are named there by (connection index, generation).
//
// Thread: written by one, read by the other. Memory: by value.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"

enum {
	NAME_RECORD_NAMES = 8,          // of a client; more are cut
	NAME_RECORD_TEXT_OCTETS = 1000, // of all of them, each with a NUL; more are cut
};

enum name_status {
	NAME_FAILED, // nothing was found out
	NAME_NONE,   // no name, or none that is confirmed
	NAME_FOUND,
};

struct name_question {
	struct ip_addr address;
	uint32_t entry, serial;
	bool plain; // forward_confirm: false
	uint8_t reserved[7];
};

struct name_answer {
	uint32_t entry, serial;
	uint32_t ttl_s;
	uint8_t status;                     // enum name_status
	uint8_t count;                      // names in text
	uint8_t partial;                    // there may be others, of which nothing was found out
	uint8_t cut;                        // there are more
	char text[NAME_RECORD_TEXT_OCTETS]; // lower case, characters of host names only
};
