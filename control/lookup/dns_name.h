// dns_name.h - domain names between wire and text form (RFC 1035 3.1), and the names of reverse zones.
//
// Thread: any. Memory: none.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ip_addr.h"
#include "base/slice.h"

enum {
	DNS_NAME_OCTETS = 256, // text form with its NUL
};

// An uncompressed name in wire form to lower-case text without final dot; "" is the root. False: cut short, too long, or with a character
// that no host name has (RFC 1123 2.1, and "_"): such a name is never put into a log line or a reply.
bool dns_name_read(struct slice wire, char text[DNS_NAME_OCTETS]);

// "4.3.2.1.in-addr.arpa" or 32 nibbles under ip6.arpa (RFC 3596 2.5).
void dns_name_of_address(const struct ip_addr *addr, char text[DNS_NAME_OCTETS]);
