// smtp_reply.h - every text this server says to a peer, in one table (smtp_reply.def).
//
// Thread: any. Memory: none; texts are constants, some with one %s argument.

#pragma once

#include <stdint.h>

#include "base/slice.h"

enum smtp_reply {
#define REPLY(symbol, code, enhanced, text) SMTP_REPLY_##symbol,
#include "smtp/smtp_reply.def"
#undef REPLY
	SMTP_REPLY_COUNT
};

// What the step writes into. The caller gives room and takes what is there; nothing is written past cap.
struct smtp_out {
	uint8_t *at;
	uint32_t len, cap; // octets
};

enum {
	SMTP_REPLY_MAX_OCTETS =
		1024, // room one step may need: the EHLO answer with a 255 octet name
};

uint16_t smtp_reply_code(enum smtp_reply reply);

// Append the reply with its CRLF. arg is put in place of %s, cut to what fits a reply line of 512 octets (RFC 5321
// 4.5.3.1.5), with control characters and octets above 126 replaced by '?'.
void smtp_reply_write(struct smtp_out *out, enum smtp_reply reply, struct slice arg);

// The same as one line of several ("250-"): another line of the same code must follow.
void smtp_reply_write_more(struct smtp_out *out, enum smtp_reply reply, struct slice arg);

// The text without CRLF for logs and explain, in text (cap octets, always ended by NUL).
void smtp_reply_print(char *text, uint32_t cap, enum smtp_reply reply, struct slice arg);
