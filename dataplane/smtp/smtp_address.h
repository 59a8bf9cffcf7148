// smtp_address.h - reverse-path and forward-path: grammar, form, and the parts that routing looks at.
//
// A recipient is judged as the address that will be routed, so whatever another server could route a second time
// (percent, bang, source route, quoted at, double at, encapsulated, literal) is told apart here and refused at RCPT.
//
// Thread: any. Memory: none. Blocks: never. Cost: O(length).

#pragma once

#include <stdint.h>

#include "base/limits.h"
#include "base/slice.h"

// What the form of an address is. A recipient is accepted when PLAIN or POSTMASTER, a sender when PLAIN, NULL_PATH or
// ENCAPSULATED: bounces of forwarded mail come from SRS and IMCEA senders, and no sender is ever routed by us.
#define SMTP_ADDRESS_FORMS(FORM)                                                                   \
	FORM(PLAIN, "plain")                                                                       \
	FORM(NULL_PATH, "null")                                                                    \
	FORM(POSTMASTER, "postmaster without domain")                                              \
	FORM(SYNTAX, "syntax error")                                                               \
	FORM(TOO_LONG, "too long")                                                                 \
	FORM(UNQUALIFIED, "no domain")                                                             \
	FORM(PERCENT, "percent routing")                                                           \
	FORM(BANG, "bang routing")                                                                 \
	FORM(SOURCE_ROUTE, "source route")                                                         \
	FORM(QUOTED_AT, "quoted at sign or routing character in the local part")                   \
	FORM(DOUBLE_AT, "more than one at sign")                                                   \
	FORM(ENCAPSULATED, "encapsulated address")                                                 \
	FORM(LITERAL, "address literal or numeric domain")                                         \
	FORM(DOMAIN, "domain is not a valid host name")                                            \
	FORM(TRAILING_DOT, "trailing dot")                                                         \
	FORM(CONTROL, "control character")                                                         \
	FORM(NOT_ASCII, "octets above 127 without SMTPUTF8")                                       \
	FORM(SEVERAL, "several addresses")

enum smtp_address_form {
#define FORM(name, text) SMTP_ADDRESS_##name,
	SMTP_ADDRESS_FORMS(FORM)
#undef FORM
		SMTP_ADDRESS_FORM_COUNT
};

// One address: text as given (without <>), local part and domain inside it; domain in lower case, without final dot.
// <postmaster> has an empty domain. The null sender has len 0.
struct smtp_path {
	uint16_t len, local_len, domain_at, domain_len;
	uint8_t text[LIMIT_PATH_OCTETS];
};

// Read "<...>" at the start of in (RFC 5321 4.1.2). On PLAIN, NULL_PATH, POSTMASTER and ENCAPSULATED *path is filled and
// *rest is what follows the '>': nothing, or a space and parameters. On every other form *path and *rest are untouched.
enum smtp_address_form smtp_address_parse(
	struct slice in, struct smtp_path *path, struct slice *rest);

const char *smtp_address_form_text(enum smtp_address_form form);
