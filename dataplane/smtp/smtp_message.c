#include "smtp/smtp_message.h"

#include <assert.h>

#include "smtp/smtp_body.h"
#include "smtp/smtp_header.h"

static_assert(SMTP_REPLY_COUNT <= UINT8_MAX, "a reply fits body_verdict");

void smtp_message_begin(struct smtp_transaction *txn)
{
	txn->body_state = SMTP_BODY_LINE_START;
	txn->body_verdict = SMTP_REPLY_NONE;
	txn->header_state = 0;
}

// How far body may be filled without passing the message size.
static uint32_t cap_by_size(
	const struct smtp_transaction *txn, uint32_t most, const struct smtp_out *body)
{
	uint32_t left = most > txn->body_octets ? most - txn->body_octets : 0;

	return body->cap - body->len < left ? body->cap : body->len + left;
}

static void count_added(struct smtp_transaction *txn, struct slice added)
{
	uint32_t lines =
		txn->received_lines + smtp_header_count_received(&txn->header_state, added);

	txn->received_lines = (uint16_t)(lines < UINT16_MAX ? lines : UINT16_MAX);
	txn->body_octets += (uint32_t)added.len;
}

// What is wrong with the message after one run, or NONE. The first thing wrong decides however the octets are split: the size
// bounds the run and a fault ends it, so a loop found in the run came before either; a fault overrides in skip_run().
static enum smtp_reply take_run(struct smtp_transaction *txn, const struct smtp_limits *limits,
	struct slice *in, struct smtp_out *body, enum smtp_body_found *found)
{
	struct smtp_out out = {body->at, body->len, cap_by_size(txn, limits->message_octets, body)};

	*found = smtp_body_take(&txn->body_state, in, &out);
	if (out.len > body->len)
		count_added(txn, (struct slice){body->at + body->len, out.len - body->len});
	body->len = out.len;
	if (*found == SMTP_BODY_FOUND_FAULT)
		return SMTP_REPLY_BODY_FRAMING;
	if (txn->received_lines > limits->received_lines)
		return SMTP_REPLY_MAIL_LOOP;
	return *found == SMTP_BODY_FOUND_FULL && out.len < body->cap ? SMTP_REPLY_TOO_BIG
								     : SMTP_REPLY_NONE;
}

// A message that is refused already is read to its true end: only then is it known where the next command begins.
static enum smtp_message_found skip_run(struct smtp_transaction *txn, struct slice *in)
{
	bool fault = false;
	enum smtp_body_found found = smtp_body_skip(&txn->body_state, in, &fault);

	if (fault)
		txn->body_verdict = SMTP_REPLY_BODY_FRAMING;
	return found == SMTP_BODY_FOUND_END ? SMTP_MESSAGE_FOUND_END : SMTP_MESSAGE_FOUND_MORE;
}

enum smtp_message_found smtp_message_take(struct smtp_transaction *txn,
	const struct smtp_limits *limits, struct slice *in, struct smtp_out *body)
{
	uint32_t before = body->len;
	enum smtp_body_found found;

	if (txn->body_verdict != SMTP_REPLY_NONE)
		return skip_run(txn, in);
	txn->body_verdict = (uint8_t)take_run(txn, limits, in, body, &found);
	if (txn->body_verdict != SMTP_REPLY_NONE) {
		body->len = before;
		return SMTP_MESSAGE_FOUND_BAD;
	}
	if (found == SMTP_BODY_FOUND_END)
		return SMTP_MESSAGE_FOUND_END;
	return found == SMTP_BODY_FOUND_FULL || body->len > before ? SMTP_MESSAGE_FOUND_ADDED
								   : SMTP_MESSAGE_FOUND_MORE;
}
