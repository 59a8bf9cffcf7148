// schema.h - the keys of the configuration as a table: what each is, its unit, default, range and when it takes effect.
//
// Thread:  any; constant.
// Memory:  none.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Maps of the file, with their path in messages and in the reference.
#define SCHEMA_SECTIONS(SECTION)                                                                   \
	SECTION(TOP, "")                                                                           \
	SECTION(DATAPLANE, "dataplane")                                                            \
	SECTION(CONTROL, "control")                                                                \
	SECTION(PORT, "ports[]")                                                                   \
	SECTION(ROUTE, "routes[]")                                                                 \
	SECTION(DELIVERY, "delivery")                                                              \
	SECTION(DNS, "dns")                                                                        \
	SECTION(VSERVER, "virtual_servers[]")                                                      \
	SECTION(CONNECTIONS, "virtual_servers[].connections")                                      \
	SECTION(RELAY, "virtual_servers[].relay")                                                  \
	SECTION(TLS, "virtual_servers[].tls")                                                      \
	SECTION(LOG, "virtual_servers[].log")                                                      \
	SECTION(GUARANTEE, "guarantees[]")                                                         \
	SECTION(GUARANTEED, "guarantees[].relays_without_login")                                   \
	SECTION(GUARANTEED_CONNECT, "guarantees[].connects")

enum schema_section {
#define SECTION(name, path) SCHEMA_SECTION_##name,
	SCHEMA_SECTIONS(SECTION)
#undef SECTION
		SCHEMA_SECTION_COUNT
};

// How a value is read, and what is said to be expected when it is something else altogether.
#define SCHEMA_TYPES(TYPE)                                                                         \
	TYPE(U16, "a number")                                                                      \
	TYPE(U32, "a number")                                                                      \
	TYPE(OCTETS32, "a size such as 50MiB")                                                     \
	TYPE(OCTETS64, "a size such as 512MiB")                                                    \
	TYPE(SECONDS, "a time such as 300s or 2d")                                                 \
	TYPE(CHOICE, "one of")                                                                     \
	TYPE(WORD, "a word")                                                                       \
	TYPE(NAME, "a word")                                                                       \
	TYPE(HOST, "a host name")                                                                  \
	TYPE(PATH, "a path")                                                                       \
	TYPE(LOCATED_PATH, "a path")                                                               \
	TYPE(LOG_FILE, "a path")                                                                   \
	TYPE(DEVICE, "a DPDK device")                                                              \
	TYPE(SOURCE, "an address")                                                                 \
	TYPE(UNDERSTOOD, "i-understand")                                                           \
	TYPE(AUTHENTICATED, "true or false")                                                       \
	TYPE(VLANS, "a VLAN number, or two such as [300, 7]")                                      \
	TYPE(LCORES, "a list of CPU numbers such as [1, 2]")                                       \
	TYPE(PREFIXES, "a list of prefixes such as [10.12.0.0/16]")                                \
	TYPE(ONLY, "a list of prefixes and names such as [10.12.0.0/16, .example.net]")            \
	TYPE(ALL_EXCEPT, "a list of prefixes and names such as [10.12.0.0/16, .example.net]")      \
	TYPE(NAMES, "a list of names such as [host.example.net]")                                  \
	TYPE(CONFIRM, "true or false")                                                             \
	TYPE(DOMAINS, "a list of domains such as [example.net]")                                   \
	TYPE(ROUTE_DOMAINS, "a list of domains such as [example.net]")                             \
	TYPE(LISTEN, "a list of addresses such as [10.12.170.5]")                                  \
	TYPE(INTERFACES, "a list of addresses such as [10.12.170.5/24]")                           \
	TYPE(GATEWAYS, "an address")                                                               \
	TYPE(HOPS, "a list of servers such as [\"10.12.170.30:25\"]")                              \
	TYPE(DNS_SERVERS, "a list of addresses such as [10.12.170.2]")                             \
	TYPE(GUARANTEED, "nobody or {only: [...]}")                                                \
	TYPE(MAP, "keys")                                                                          \
	TYPE(MAPS, "a list of maps (- key: value)")                                                \
	TYPE(LATER, "nothing")

enum schema_type {
#define TYPE(name, text) SCHEMA_##name,
	SCHEMA_TYPES(TYPE)
#undef TYPE
		SCHEMA_TYPE_COUNT
};

enum schema_apply {
	SCHEMA_RELOAD,
	SCHEMA_RESTART,
};

struct schema_row {
	const char *key, *unit, *preset, *sentence; // preset: the default; NULL: may be left out
	uint64_t least, most;
	size_t offset, count_offset,
		element_octets;             // in the struct of the section; MAPS: of one map
	enum schema_section section, child; // child: MAP, MAPS
	enum schema_type type;
	enum schema_apply apply;
};

enum {
	SCHEMA_ROWS_MOST = 128,
};

extern const struct schema_row schema_rows[];
extern const size_t schema_row_count;

const char *schema_section_path(enum schema_section section);
const char *schema_type_text(enum schema_type type);
bool schema_required(const struct schema_row *row);

// NULL: no such key in this section.
const struct schema_row *schema_find(enum schema_section section, const char *key);

// The key of this section that was probably meant, for a message; NULL: none is near.
const char *schema_nearest(enum schema_section section, const char *key);

// Number of the choice (units "a|b|c") that text is; -1: none.
int schema_choice(const struct schema_row *row, const char *text);
