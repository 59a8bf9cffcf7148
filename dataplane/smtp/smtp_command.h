// smtp_command.h - one command line: its verb, and the grammar of what follows it (RFC 5321 section 4.1).
//
// Thread: any. Memory: none; results point into the line. Blocks: never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "smtp/smtp_reply.h"
#include "smtp/smtp_session.h"

struct smtp_command {
	enum smtp_event event;   // SMTP_EV_COUNT: not a command of this server, say refusal
	enum smtp_reply refusal; // UNKNOWN_COMMAND, NOT_IMPLEMENTED, or HTTP (the session must end)
	struct slice arg;        // behind the verb and one space, without blanks at its end
};

// line without CRLF. Verbs are recognised in any case.
struct smtp_command smtp_command_parse(struct slice line);

// Whether arg may follow the verb of ev: a name for EHLO and HELO, nothing for STARTTLS, RSET, DATA and QUIT, something for VRFY.
// MAIL and RCPT have functions of their own.
bool smtp_command_has_arg_for(enum smtp_event ev, struct slice arg);

// What a client may call itself: letters, digits and "-._:[]", so that Received: can print it. Up to LIMIT_DOMAIN_OCTETS.
bool smtp_command_is_name_octet(uint8_t c);

// "FROM:<path> [SIZE=n] [BODY=7BIT|8BITMIME]" into txn: sender, size_declared, body_8bit. NONE, or the refusal:
// SYNTAX, BAD_SENDER, BAD_PARAMETER (RFC 5321 4.1.1.11), TOO_BIG (SIZE above size_max, RFC 1870).
enum smtp_reply smtp_command_read_mail(
	struct slice arg, uint32_t size_max, struct smtp_transaction *txn);

// "TO:<path>" into rcpt. NONE, or the refusal: SYNTAX, BAD_RCPT, RCPT_FORM (*form says which), BAD_PARAMETER: no RCPT
// parameter is known yet.
enum smtp_reply smtp_command_read_rcpt(
	struct slice arg, struct smtp_path *rcpt, enum smtp_address_form *form);
