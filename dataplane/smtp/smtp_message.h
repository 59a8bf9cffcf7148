// smtp_message.h - one message while it passes through a session in BODY: how large, how many hops, framed as it must be.
//
// Thread: the lcore that owns the session. Memory: none. Blocks: never.

#pragma once

#include "base/slice.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_transaction.h"

enum smtp_message_found {
	SMTP_MESSAGE_FOUND_MORE,  // *in is used up
	SMTP_MESSAGE_FOUND_ADDED, // body grew, or has no room for the next octet
	SMTP_MESSAGE_FOUND_BAD, // the message is refused from here on; body is as it was before the call
	SMTP_MESSAGE_FOUND_END,
};

// Forget what was known of the last message.
void smtp_message_begin(struct smtp_transaction *txn);

// Move a run of octets from the front of *in to the end of body. txn->body_verdict becomes the reply that refuses the message:
// BODY_FRAMING whenever a fault is in it, else TOO_BIG or MAIL_LOOP, whichever comes first. BAD is found once; after it octets
// are read only to find the end, and body is not touched.
enum smtp_message_found smtp_message_take(struct smtp_transaction *txn,
	const struct smtp_limits *limits, struct slice *in, struct smtp_out *body);
