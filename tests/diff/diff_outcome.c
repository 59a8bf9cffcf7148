#include "diff/diff_outcome.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void diff_outcome_add(struct diff_outcome *out, const struct segment *s, uint32_t isn)
{
	const struct segment_options *o = &s->options;
	bool acks = (s->flags & SEGMENT_ACK) != 0;
	// A RST that refuses has the number it was asked about, or none.
	bool bare_reset = (s->flags & SEGMENT_RST) != 0 && acks && s->seq == 0;
	struct diff_reply r = {.flags = s->flags & (uint8_t)~SEGMENT_PSH,
		.seq = bare_reset ? 0 : s->seq - isn,
		.ack = acks ? s->ack : 0,
		.octets = s->payload_octets};

	r.options.has_mss = o->has_mss;
	r.options.has_scale = o->has_scale;
	r.options.has_timestamp = o->has_timestamp;
	r.options.sack_permitted = o->sack_permitted;
	// Linux has SACK blocks on RST as well; nobody reads them.
	r.options.sack_count = s->flags & SEGMENT_RST ? 0 : o->sack_count;
	memcpy(r.options.sacks, o->sacks, o->sack_count * sizeof(o->sacks[0]));
	if (out->count < DIFF_REPLIES)
		out->replies[out->count] = r;
	out->count++;
}

bool diff_outcome_reply_eq(const struct diff_reply *a, const struct diff_reply *b)
{
	const struct segment_options *x = &a->options, *y = &b->options;

	return a->flags == b->flags && a->seq == b->seq && a->ack == b->ack &&
	       a->octets == b->octets && x->has_mss == y->has_mss && x->has_scale == y->has_scale &&
	       x->has_timestamp == y->has_timestamp && x->sack_permitted == y->sack_permitted &&
	       x->sack_count == y->sack_count &&
	       memcmp(x->sacks, y->sacks, x->sack_count * sizeof(x->sacks[0])) == 0;
}

bool diff_outcome_eq(const struct diff_outcome *a, const struct diff_outcome *b)
{
	if (a->count != b->count || a->data_octets != b->data_octets || a->opened != b->opened ||
		a->peer_closed != b->peer_closed || a->broken != b->broken)
		return false;
	for (uint32_t i = 0; i < a->count && i < DIFF_REPLIES; i++)
		if (!diff_outcome_reply_eq(&a->replies[i], &b->replies[i]))
			return false;
	return true;
}

__attribute__((format(printf, 2, 3))) static void append(
	char text[DIFF_TEXT], const char *format, ...)
{
	size_t at = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + at, DIFF_TEXT - at, format, args);
	va_end(args);
}

static void print_reply(const struct diff_reply *r, char text[DIFF_TEXT])
{
	static const char letters[] = "FSRP.UEW";
	const struct segment_options *o = &r->options;
	char flags[9] = {0};
	size_t at = 0;

	for (size_t i = 0; i < 8; i++)
		if (r->flags & 1 << i)
			flags[at++] = letters[i];
	append(text, "[%s %u+%u", flags, r->seq, r->octets);
	if (r->flags & SEGMENT_ACK)
		append(text, " ack %u", r->ack);
	append(text, "%s%s%s%s", o->has_mss ? " mss" : "", o->has_scale ? " scale" : "",
		o->has_timestamp ? " ts" : "", o->sack_permitted ? " sackok" : "");
	for (uint8_t i = 0; i < o->sack_count; i++)
		append(text, "%s%u-%u", i == 0 ? " sack " : ",", o->sacks[i].left,
			o->sacks[i].right);
	append(text, "] ");
}

const char *diff_outcome_print(const struct diff_outcome *o, char text[DIFF_TEXT])
{
	text[0] = '\0';
	for (uint32_t i = 0; i < o->count && i < DIFF_REPLIES; i++)
		print_reply(&o->replies[i], text);
	if (o->count > DIFF_REPLIES)
		append(text, "... ");
	append(text, "%s", o->opened ? "opened " : "");
	if (o->data_octets > 0)
		append(text, "data %u ", o->data_octets);
	append(text, "%s%s", o->peer_closed ? "peer_closed " : "", o->broken ? "broken " : "");
	if (text[0] == '\0')
		append(text, "nothing");
	return text;
}
