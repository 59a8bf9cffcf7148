// smtp_received.h - the trace header this server puts before each message (RFC 5321 section 4.4).
//
// Thread:  any. Memory: none. Blocks: never. Clock: the time is an argument.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"
#include "smtp/smtp_reply.h"

struct smtp_received {
	struct slice
		helo; // as the client gave it; printed with octets outside its grammar replaced by '?'
	struct ip_addr client;
	struct slice client_name; // confirmed name; empty: none ("unknown")
	struct slice account;     // empty: not logged in; cut to 128 octets
	const char *fqdn;
	const char *vserver;
	const char *queue_id;
	const char *tls_version, *tls_cipher; // NULL: it came in the clear
	bool esmtp;
	int64_t unix_s;         // UTC
	struct slice only_rcpt; // empty unless the message has exactly one recipient
};

enum {
	SMTP_RECEIVED_MAX_OCTETS = 2048, // of one header; with that much room writing cannot fail
};

// Append the header, folded, with CRLFs. False: it did not fit into out, and nothing was written.
bool smtp_received_write(struct smtp_out *out, const struct smtp_received *r);
