#include "diff/diff_rule.h"

#include <stdbool.h>
#include <stddef.h>

struct difference {
	const struct diff_step *steps;
	uint32_t count;
	const struct diff_outcome *kernel, *ours;
};

static const struct diff_step *last(const struct difference *d)
{
	return &d->steps[d->count - 1];
}

static bool arrived(const struct difference *d, uint8_t mask, uint8_t flags)
{
	return last(d)->verb == DIFF_SEGMENT && (last(d)->in.s.flags & mask) == flags;
}

static bool was_called(const struct difference *d, enum diff_verb verb)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->steps[i].verb == verb)
			return true;
	return false;
}

// Every reply has these flags.
static bool all_are(const struct diff_outcome *o, uint8_t mask, uint8_t flags)
{
	for (uint32_t i = 0; i < o->count && i < DIFF_REPLIES; i++)
		if ((o->replies[i].flags & mask) != flags)
			return false;
	return o->count > 0;
}

// Linux counts a segment as arrived only as a whole.
static bool piece_in_sack(const struct difference *d)
{
	return arrived(d, SEGMENT_ACK, SEGMENT_ACK) && last(d)->in.s.options.sack_count > 0 &&
	       d->kernel->count == 0 && all_are(d->ours, SEGMENT_ACK, SEGMENT_ACK);
}

static bool late_data(const struct difference *d)
{
	return was_called(d, DIFF_CLOSE) && all_are(d->kernel, SEGMENT_RST, SEGMENT_RST) &&
	       all_are(d->ours, SEGMENT_RST, SEGMENT_RST);
}

static bool orphan(const struct difference *d)
{
	return was_called(d, DIFF_CLOSE);
}

static bool crossed_syn(const struct difference *d)
{
	return was_called(d, DIFF_CONNECT) && arrived(d, SEGMENT_SYN | SEGMENT_ACK, SEGMENT_SYN) &&
	       all_are(d->kernel, SEGMENT_SYN, SEGMENT_SYN) &&
	       all_are(d->ours, SEGMENT_SYN, SEGMENT_SYN);
}

static bool other_syn(const struct difference *d)
{
	return arrived(d, SEGMENT_SYN | SEGMENT_RST, SEGMENT_SYN) &&
	       all_are(d->kernel, SEGMENT_RST, SEGMENT_RST) &&
	       all_are(d->ours, SEGMENT_SYN | SEGMENT_RST, 0);
}

static bool syn_ack_octets(const struct difference *d)
{
	return arrived(d, SEGMENT_SYN | SEGMENT_ACK, SEGMENT_SYN | SEGMENT_ACK) &&
	       d->kernel->opened && d->ours->opened &&
	       (last(d)->in.s.payload_octets > 0 || last(d)->in.s.flags & SEGMENT_FIN);
}

static bool is_early_call(const struct diff_step *step)
{
	return step->verb == DIFF_SEND || step->verb == DIFF_SHUTDOWN;
}

static bool call_before_open(const struct difference *d)
{
	bool early = false;

	for (uint32_t i = 0; i < d->count; i++)
		early |= is_early_call(&d->steps[i]);
	return d->steps[0].verb == DIFF_CONNECT && early &&
	       (d->ours->opened ||
		       (is_early_call(last(d)) && d->kernel->count == 0 && d->ours->count == 0));
}

// Data on both sides, from the same number on.
static bool segmentation(const struct difference *d)
{
	const struct diff_outcome *a = d->kernel, *b = d->ours;
	uint8_t control = SEGMENT_RST | SEGMENT_SYN;

	return all_are(a, control, 0) && all_are(b, control, 0) &&
	       a->replies[0].seq == b->replies[0].seq && a->replies[0].octets > 0 &&
	       b->replies[0].octets > 0;
}

static bool small_window(const struct difference *d)
{
	for (uint32_t i = 0; i < d->count; i++) {
		const struct diff_step *step = &d->steps[i];

		if (step->verb == DIFF_SEGMENT && (step->in.has & DIALOG_HAS_WINDOW) &&
			step->in.s.window < 3000)
			return d->kernel->count == 0 || d->ours->count == 0;
	}
	return false;
}

static bool mss_zero(const struct difference *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->steps[i].in.s.options.has_mss && d->steps[i].in.s.options.mss == 0)
			return true;
	return false;
}

// The latest before the last step; 0: none.
static uint32_t timestamp_seen(const struct difference *d)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i + 1 < d->count; i++) {
		const struct segment_options *o = &d->steps[i].in.s.options;

		if (d->steps[i].verb == DIFF_SEGMENT && o->has_timestamp && seen < o->tsval)
			seen = o->tsval;
	}
	return seen;
}

static bool paws_by_one(const struct difference *d)
{
	const struct segment_options *o = &last(d)->in.s.options;
	uint32_t behind = timestamp_seen(d) - o->tsval;

	return last(d)->verb == DIFF_SEGMENT && o->has_timestamp &&
	       (behind == 1 || behind == 0x80000000 || behind == 0x7fffffff);
}

static bool acks_before_isn(const struct diff_step *step)
{
	return step->verb == DIFF_SEGMENT && (step->in.s.flags & SEGMENT_ACK) &&
	       (int32_t)step->in.s.ack < 1;
}

// Now, or before: its octets wait behind a hole here and not there.
static bool ack_before_isn(const struct difference *d)
{
	if (acks_before_isn(last(d)))
		return true;
	for (uint32_t i = 0; i < d->count; i++)
		if (acks_before_isn(&d->steps[i]) && segment_len(&d->steps[i].in.s) > 0)
			return d->kernel->data_octets != d->ours->data_octets ||
			       d->kernel->peer_closed != d->ours->peer_closed;
	return false;
}

static bool abort_when_closing(const struct difference *d)
{
	return last(d)->verb == DIFF_ABORT && was_called(d, DIFF_SHUTDOWN) &&
	       d->kernel->count == 0 && all_are(d->ours, SEGMENT_RST, SEGMENT_RST);
}

// FIN with or before octets that were here, behind which or in whose place it would stand.
static bool fin_against_octets(const struct difference *d)
{
	bool fin = false;

	for (uint32_t i = 0; i < d->count; i++)
		fin |= d->steps[i].verb == DIFF_SEGMENT && (d->steps[i].in.s.flags & SEGMENT_FIN);
	return fin && (d->kernel->peer_closed != d->ours->peer_closed ||
			      d->kernel->data_octets != d->ours->data_octets);
}

// Now, or before: what it brought, octets or ACK, has been missing here since.
static bool no_timestamp(const struct difference *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->steps[i].verb == DIFF_SEGMENT && !d->steps[i].in.s.options.has_timestamp &&
			!(d->steps[i].in.s.flags & (SEGMENT_RST | SEGMENT_SYN)))
			return timestamp_seen(d) != 0;
	return false;
}

static bool octets_behind_fin(const struct difference *d)
{
	return last(d)->verb == DIFF_SEGMENT && last(d)->in.s.payload_octets > 0 &&
	       d->kernel->count == 1 && d->ours->count == 0 &&
	       (d->kernel->broken || d->kernel->replies[0].ack ==
					     last(d)->in.s.seq + segment_len(&last(d)->in.s));
}

static bool ack_before_sequence(const struct difference *d)
{
	return arrived(d, SEGMENT_RST | SEGMENT_ACK, SEGMENT_ACK) &&
	       all_are(d->kernel, SEGMENT_RST, SEGMENT_RST) && d->kernel->replies[0].ack == 0 &&
	       !d->kernel->broken && all_are(d->ours, SEGMENT_RST | SEGMENT_SYN, 0);
}

// All the same but for the SACK blocks, and FIN has come.
static bool fin_in_sack(const struct difference *d)
{
	struct diff_outcome a = *d->kernel, b = *d->ours;
	bool fin = false;

	for (uint32_t i = 0; i < DIFF_REPLIES; i++)
		a.replies[i].options.sack_count = b.replies[i].options.sack_count = 0;
	for (uint32_t i = 0; i < d->count; i++)
		fin |= d->steps[i].verb == DIFF_SEGMENT && (d->steps[i].in.s.flags & SEGMENT_FIN);
	return fin && diff_outcome_eq(&a, &b);
}

static bool timestamp_not_agreed(const struct difference *d)
{
	struct diff_outcome a = *d->kernel;

	for (uint32_t i = 0; i < DIFF_REPLIES; i++)
		a.replies[i].options.has_timestamp = false;
	return last(d)->in.s.options.has_timestamp && diff_outcome_eq(&a, d->ours);
}

static bool old_timestamp_on_rst(const struct difference *d)
{
	const struct segment_options *o = &last(d)->in.s.options;

	return arrived(d, SEGMENT_RST, SEGMENT_RST) && o->has_timestamp &&
	       o->tsval < timestamp_seen(d) && d->kernel->count == 0;
}

// It ended the handshake here and not there, and the peer goes on.
static bool after_old_timestamp_on_rst(const struct difference *d)
{
	for (uint32_t i = d->count - 1; i > 0; i--) {
		const struct difference before = {d->steps, i, d->kernel, d->ours};
		const struct segment_options *o = &last(&before)->in.s.options;

		if (arrived(&before, SEGMENT_RST, SEGMENT_RST) && o->has_timestamp &&
			o->tsval < timestamp_seen(&before))
			return true;
	}
	return false;
}

// a is b with one more bare ACK in front.
static bool has_ack_more(const struct diff_outcome *a, const struct diff_outcome *b)
{
	struct diff_outcome rest = *a;

	if (a->count == 0 || a->count > DIFF_REPLIES || a->replies[0].octets > 0 ||
		a->replies[0].flags != SEGMENT_ACK)
		return false;
	rest.count--;
	for (uint32_t i = 0; i < rest.count; i++)
		rest.replies[i] = a->replies[i + 1];
	return b->count > 0 && diff_outcome_eq(&rest, b);
}

static bool duplicate_rides(const struct difference *d)
{
	const struct diff_reply *kernel = d->kernel->replies, *ours = d->ours->replies;

	return d->kernel->count > 0 && d->ours->count > 1 && ours[0].octets == 0 &&
	       ours[0].flags == SEGMENT_ACK && ours[1].seq == kernel[0].seq &&
	       ours[1].flags == kernel[0].flags &&
	       (kernel[0].octets > 0 || kernel[0].flags & SEGMENT_FIN);
}

static bool ack_first(const struct difference *d)
{
	return has_ack_more(d->kernel, d->ours);
}

static bool soon_again(const struct difference *d)
{
	return was_called(d, DIFF_CONNECT) && d->kernel->count == d->ours->count + 1 &&
	       d->kernel->replies[d->ours->count].flags == SEGMENT_SYN;
}

static bool syn_fin_in_time_wait(const struct difference *d)
{
	return arrived(d, SEGMENT_SYN | SEGMENT_FIN, SEGMENT_SYN | SEGMENT_FIN) &&
	       d->kernel->count == 0 && all_are(d->ours, SEGMENT_SYN | SEGMENT_RST, 0);
}

static bool paws_bare_ack(const struct difference *d)
{
	return arrived(d, SEGMENT_RST | SEGMENT_SYN | SEGMENT_FIN, 0) && timestamp_seen(d) != 0 &&
	       last(d)->in.s.payload_octets == 0 &&
	       (int32_t)(last(d)->in.s.options.tsval - timestamp_seen(d)) < 0 &&
	       d->ours->count == 0;
}

static bool no_ack_flag(const struct difference *d)
{
	return arrived(d, SEGMENT_RST | SEGMENT_SYN | SEGMENT_ACK, 0) && d->kernel->count == 0;
}

static bool lone_duplicates(const struct difference *d)
{
	return arrived(d, SEGMENT_SYN | SEGMENT_RST | SEGMENT_ACK, SEGMENT_ACK) &&
	       d->kernel->count == 0 && d->ours->count == 1 && d->ours->replies[0].octets > 0;
}

// An old segment that ends where ours begins: here only answered (not even that on RST), there looked at.
static bool touches_the_edge(const struct difference *d)
{
	uint32_t end = last(d)->in.s.seq + segment_len(&last(d)->in.s);
	const struct diff_reply *kernel = d->kernel->replies, *ours = d->ours->replies;

	if (last(d)->verb != DIFF_SEGMENT || d->ours->count > 1 || d->kernel->count > 1)
		return false;
	if (d->kernel->count == 0)
		return d->ours->count == 1 && ours[0].flags == SEGMENT_ACK && ours[0].ack == end;
	return kernel[0].flags == SEGMENT_ACK && kernel[0].ack == end &&
	       (d->ours->count == 0 || ours[0].options.sack_count > 0);
}

// Everything but the number of bare ACKs, and the peer's window was small once.
static bool number_at_the_edge(const struct difference *d)
{
	struct diff_outcome a = *d->kernel;

	for (uint32_t i = 0; i < a.count && i < DIFF_REPLIES; i++)
		if (a.replies[i].flags == SEGMENT_ACK && a.replies[i].octets == 0)
			a.replies[i].seq = d->ours->replies[i].seq;
	for (uint32_t i = 0; i < d->count; i++)
		if ((d->steps[i].in.has & DIALOG_HAS_WINDOW) && d->steps[i].in.s.window < 3000)
			return diff_outcome_eq(&a, d->ours);
	return false;
}

// The peer closed, then RST with the number of its FIN.
static bool rst_at_fin(const struct difference *d)
{
	return arrived(d, SEGMENT_RST, SEGMENT_RST) && d->kernel->broken && !d->ours->broken;
}

static const struct rule {
	bool (*explains)(const struct difference *d);
	const char *text;
} rules[] = {
	{late_data, "RST for data after close: ours has the next number, Linux that of the ACK; "
		    "both end the peer's side"},
	{orphan, "a closed socket in FIN-WAIT-2 is a stub in Linux, which answers SYN, RST and "
		 "ACKs otherwise; ours goes on as before"},
	{crossed_syn, "SYN-ACK to a SYN that crossed ours: we offer only what it offered (RFC 7323 "
		      "2.2, 3.2), Linux all"},
	{other_syn, "another SYN in SYN-RECEIVED: Linux gives the handshake up with RST, we "
		    "challenge (a blind SYN would end it)"},
	{syn_ack_octets, "octets and FIN on SYN-ACK: we take them (RFC 9293 3.10.7.3), Linux waits "
			 "for them to come again"},
	{call_before_open,
		"calls in SYN-SENT: a socket refuses data and breaks at shutdown, ours queues and "
		"aborts (RFC 9293 3.10.2)"},
	{paws_by_one, "PAWS: Linux tolerates a timestamp older by one, and exactly half way round"},
	{ack_before_isn,
		"an ACK older than our first number: Linux knows how much was ever sent, we "
		"the largest window only (RFC 5961 5.2)"},
	{mss_zero, "an MSS of 0: Linux takes it for none, we for the least"},
	{segmentation,
		"the same octets cut otherwise: Linux sends at most half a window at once and "
		"keeps room for SACK"},
	{small_window, "a window too small for a segment: how long to wait for a larger one"},
	{touches_the_edge, "a segment that ends at the next number is old (RFC 9293 3.10.7.4, RFC "
			   "5961 3.2), for Linux it is in the window"},
	{number_at_the_edge, "an ACK after the peer shrank its window: SND.NXT (RFC 9293 "
			     "3.10.7.4), Linux takes the edge"},
	{rst_at_fin,
		"RST with the number of the peer's FIN: Linux obeys, for middleboxes; we go by RFC "
		"5961 3.2"},
	{abort_when_closing, "abort when both FINs are on their way: Linux says nothing (RFC 9293 "
			     "3.10.5), our RST spares the peer its retransmissions"},
	{fin_against_octets, "FIN in front of octets that are here: for us the first stands, for "
			     "Linux the last"},
	{no_timestamp, "a segment without timestamp after both agreed on them: no segment of ours "
		       "(RFC 7323 3.2), Linux takes it"},
	{octets_behind_fin,
		"octets behind the peer's FIN: dropped (RFC 9293 3.10.7.4), Linux resets "
		"when they begin before it"},
	{ack_before_sequence,
		"SYN-RECEIVED: we look at numbers and timestamps before the ACK, Linux "
		"after"},
	{piece_in_sack, "SACK blocks for parts of segments: what is between them leaves again at "
			"once, Linux "
			"takes no notice"},
	{fin_in_sack, "SACK blocks: Linux counts FIN as an octet"},
	{timestamp_not_agreed,
		"Linux begins to send timestamps in TIME-WAIT when the peer does, agreed or not"},
	{old_timestamp_on_rst,
		"RST with an old timestamp: RFC 7323 5.2 exempts it from PAWS, Linux ignores it"},
	{after_old_timestamp_on_rst, "what comes after such a RST"},
	{duplicate_rides,
		"an ACK for a segment behind a hole rides on data in Linux; ours leaves alone, "
		"or it is no duplicate (RFC 5681 2)"},
	{ack_first, "ours rides on what the window lets go, Linux sends the ACK first"},
	{soon_again, "our SYN again after a bad ACK: Linux sends it within milliseconds, we after "
		     "the RTO"},
	{syn_fin_in_time_wait, "SYN with FIN in TIME-WAIT: Linux gives the wait up and drops the "
			       "SYN, we challenge"},
	{paws_bare_ack,
		"a bare ACK with an old timestamp: Linux answers, for us it was only overtaken"},
	{no_ack_flag, "no ACK flag and outside the window: answered (RFC 9293 3.10.7.4, first), "
		      "Linux drops "
		      "it unseen"},
	{lone_duplicates,
		"three duplicate ACKs with fewer segments in flight: Linux disbelieves them"},
};

int diff_rule_of(const struct diff_step *steps, uint32_t count, const struct diff_outcome *kernel,
	const struct diff_outcome *ours)
{
	const struct difference d = {steps, count, kernel, ours};

	for (int i = 0; i < diff_rule_count(); i++)
		if (rules[i].explains(&d))
			return i;
	return -1;
}

int diff_rule_count(void)
{
	return (int)(sizeof(rules) / sizeof(rules[0]));
}

const char *diff_rule_text(int rule)
{
	return rules[rule].text;
}
