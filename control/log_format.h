// log_format.h - one decision as one line of text: W3C extended or JSON.
//
// Hostile octets never leave their field or their line. W3C: controls, space, '%', '"' and octets above 126 are %XX, nothing is "-", and a
// field that is "-" itself is %2D. JSON: controls, '"', '\' and octets above 126 are escapes, each octet by its number, so that a
// line is ASCII whatever was sent.
//
// Thread:  any.
// Memory:  the caller's.
// Blocks:  never.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/snapshot.h"
#include "dataplane/log_record.h"
#include "policy/policy.h"

enum {
	LOG_FORMAT_LINE_MAX = 16384, // no line is longer; what does not fit is cut inside its field
};

// What a record only has as numbers.
struct log_format_names {
	const char *vserver;
	const char *rule; // short name of what decided; "": nothing had to
	const char *file; // of the configuration; NULL: nothing was written there
	struct config_pos pos;
};

// Look a record up in the snapshot of its epoch. Strings live as long as the snapshot. rule_text is room for a rule's name.
struct log_format_names log_format_lookup(
	const struct snapshot *snapshot, const struct log_record *record, char rule_text[64]);

// A line with its newline, in out (LOG_FORMAT_LINE_MAX octets); its length.
size_t log_format_w3c(
	const struct log_record *record, const struct log_format_names *names, char *out);
size_t log_format_json(
	const struct log_record *record, const struct log_format_names *names, char *out);

// Lines that begin a file, or go on with it after a change. open_relay: the virtual server carries `open_relay: i-understand`.
size_t log_format_w3c_header(const char *vserver, bool open_relay, int64_t now_s, char *out);
size_t log_format_json_header(const char *vserver, bool open_relay, int64_t now_s, char *out);

// "N records were lost" as a line of its own.
size_t log_format_w3c_lost(uint64_t lost, int64_t now_s, char *out);
size_t log_format_json_lost(uint64_t lost, int64_t now_s, char *out);
