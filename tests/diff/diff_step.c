#include "diff/diff_step.h"

#include <stdio.h>
#include <string.h>

struct segment diff_step_segment(const struct diff_step *step, uint32_t isn, uint32_t tsval_last)
{
	struct segment s = step->in.s;

	if (!(step->in.has & DIALOG_HAS_WINDOW))
		s.window = 65535;
	if (step->in.has & DIALOG_HAS_ACK)
		s.ack += isn;
	if (s.options.has_timestamp && !(step->in.has & DIALOG_HAS_ECR))
		s.options.tsecr = tsval_last;
	for (uint8_t i = 0; i < s.options.sack_count; i++) {
		s.options.sacks[i].left += isn;
		s.options.sacks[i].right += isn;
	}
	s.part_count = s.payload_octets > 0;
	s.parts[0] = (struct slice){step->in.octets, s.payload_octets};
	return s;
}

static const char *print_segment(const struct diff_step *step, char text[DIALOG_SEGMENT_TEXT])
{
	static const char letters[] = "FSRP.UEW";
	const struct segment *s = &step->in.s;
	const struct segment_options *o = &s->options;
	size_t at = (size_t)snprintf(text, DIALOG_SEGMENT_TEXT, "< ");

	for (size_t i = 0; i < 8; i++)
		if (s->flags & 1 << i)
			text[at++] = letters[i];
	if (s->flags == 0)
		text[at++] = '-';
	at += (size_t)snprintf(
		text + at, DIALOG_SEGMENT_TEXT - at, " %u+%u", s->seq, s->payload_octets);
	if (step->in.has & DIALOG_HAS_ACK)
		at += (size_t)snprintf(
			text + at, DIALOG_SEGMENT_TEXT - at, " ack %d", (int32_t)s->ack);
	if (step->in.has & DIALOG_HAS_WINDOW)
		at += (size_t)snprintf(text + at, DIALOG_SEGMENT_TEXT - at, " win %u", s->window);
	if (o->has_mss)
		at += (size_t)snprintf(text + at, DIALOG_SEGMENT_TEXT - at, " mss %u", o->mss);
	if (o->has_scale)
		at += (size_t)snprintf(text + at, DIALOG_SEGMENT_TEXT - at, " scale %u", o->scale);
	if (o->has_timestamp)
		at += (size_t)snprintf(text + at, DIALOG_SEGMENT_TEXT - at, " ts %u", o->tsval);
	snprintf(text + at, DIALOG_SEGMENT_TEXT - at, "%s", o->sack_permitted ? " sackok" : "");
	return text;
}

const char *diff_step_print(const struct diff_step *step, char text[DIALOG_SEGMENT_TEXT])
{
	static const char *const verbs[] = {"", "connect", "send", "shutdown", "close", "abort"};

	if (step->verb == DIFF_SEGMENT)
		return print_segment(step, text);
	snprintf(text, DIALOG_SEGMENT_TEXT, "app %s", verbs[step->verb]);
	if (step->verb == DIFF_SEND)
		snprintf(text, DIALOG_SEGMENT_TEXT, "app send %u", step->octets);
	return text;
}
