// lookup_record.h - questions to postern-lookup and its answers: fixed records on a seqpacket socket.
//
// The asker's token comes back with the answer; answers come in any order, exactly one for each question, within LOOKUP_ANSWER_S. A
// question of unknown form ends the link: its writer is broken.
//
// "Not known is not yes": LOOKUP_DEFER says that nothing was found out, LOOKUP_NONE that the name's owner says there is nothing.
//
// Thread: any. Memory: none.

#pragma once

#include <stdint.h>

#include "base/ip_addr.h"

enum {
	LOOKUP_NAME_OCTETS = 256, // a domain name in text form with its NUL
	LOOKUP_ITEMS = 16,
	LOOKUP_ANSWER_S = 20,
};

enum lookup_kind {
	LOOKUP_CLIENT =
		1, // address: its names by PTR, each confirmed by an A or AAAA that holds the address again
	LOOKUP_MX,   // name: the hosts that take its mail, best first (RFC 5321 section 5.1)
	LOOKUP_HOST, // name: its addresses, v6 first
	LOOKUP_POINTER, // address: its names by PTR alone; whoever has the reverse zone says what they are
};

enum lookup_status {
	LOOKUP_FOUND = 1,
	LOOKUP_NONE,    // there is no such name, or it has nothing of the kind
	LOOKUP_NULL_MX, // the domain takes no mail (RFC 7505)
	LOOKUP_DEFER,   // time-out, SERVFAIL, bogus signatures, too much to do
};

struct lookup_question {
	uint32_t kind;     // enum lookup_kind
	uint32_t reserved; // 0
	uint64_t token;
	struct ip_addr address;
	char name[LOOKUP_NAME_OCTETS];
};

struct lookup_item {
	struct ip_addr address;        // HOST
	uint16_t preference;           // MX
	char name[LOOKUP_NAME_OCTETS]; // CLIENT, MX: lower case, no final dot
};

struct lookup_answer {
	uint32_t kind, status;
	uint64_t token;
	uint32_t ttl_s;  // how long it may be believed; 0 with DEFER
	uint16_t count;  // items; with CLIENT the confirmed names only
	uint8_t secure;  // every step was signed and valid (DNSSEC)
	uint8_t partial; // CLIENT, FOUND: of other names nothing was found out
	uint8_t cut;     // CLIENT, POINTER: there are more names than were looked at
	uint8_t implicit; // MX: there is none, and the domain itself is the host (RFC 5321 section 5.1)
	struct lookup_item items[LOOKUP_ITEMS];
};
