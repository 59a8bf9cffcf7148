// value.h - single values as an operator writes them: numbers with units, addresses, prefixes, domains.
//
// Every reader answers NULL, or what is wrong and what was expected, for the message behind the position and the quoted text.
// The answer may be in why (for messages that repeat a part of the value) or be constant.
//
// Thread:  any; no globals.
// Memory:  none of its own.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"

enum {
	VALUE_PREFIX_TEXT_MAX = IP_ADDR_TEXT_MAX + 4, // octets with the final NUL
};

// The answer of all readers for what is planned and not built.
#define VALUE_LATER "not supported by this version yet: remove it"

struct value_why {
	char text[160];
};

const char *value_number(const char *text, uint64_t *out);
const char *value_octets(const char *text, uint64_t *out);   // "65536", "64KiB", "512MiB", "2GiB"
const char *value_duration(const char *text, uint64_t *out); // seconds: "300s", "5m", "12h", "2d"
const char *value_bool(const char *text, bool *out);         // "true", "false"

// Whether a text is meant as a name or a /regex/, and not as an address.
bool value_looks_like_name(const char *text);

// One address, v4 or v6.
const char *value_address(const char *text, struct ip_addr *out);

// An address or a subnet, v4 or v6. len as in struct config_prefix. Host bits are a mistake unless host is wanted (the address
// of an interface, where the length must be written). When the answer is why->text, *addr and *len are what was meant.
const char *value_prefix(
	const char *text, struct ip_addr *addr, uint8_t *len, struct value_why *why);
const char *value_interface(
	const char *text, struct ip_addr *addr, uint8_t *len, struct value_why *why);

// "10.12.8.0/24"; an address alone without its length.
char *value_prefix_print(const struct ip_addr *addr, uint8_t len, char out[VALUE_PREFIX_TEXT_MAX]);

// HOST, HOST:PORT, [V6], [V6]:PORT. *host and *host_len are the part of text without port and brackets.
const char *value_endpoint(const char *text, const char **host, size_t *host_len, uint16_t *port);

// A host name: letters, digits and hyphens in labels; no address, no final
// dot. International names are written as A-labels.
const char *value_host(const char *text);

// The same, or ".example.net" for any name below, or "*". Lower case is up to the caller.
const char *value_domain(const char *text);

// A word for names of virtual servers: letters, digits, ".", "-", "_", beginning with a letter or digit.
const char *value_word(const char *text);
