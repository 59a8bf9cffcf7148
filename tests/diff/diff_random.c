#include "diff/diff_random.h"

#include <string.h>

enum {
	ISN = 1000000, // of the peer
	SEND_MOST = 1000,
	NEAR = 8000, // octets: inside every window there is
};

// SplitMix64.
static uint32_t any(struct diff_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)(z >> 16);
}

static uint32_t below(struct diff_random *r, uint32_t n)
{
	return any(r) % n;
}

static bool chance(struct diff_random *r, uint32_t percent)
{
	return below(r, 100) < percent;
}

void diff_random_begin(struct diff_random *r, uint64_t seed)
{
	*r = (struct diff_random){.state = seed, .next = ISN, .tsval = 5000};
	r->timestamps = chance(r, 50);
	r->calls = chance(r, 15);
}

void diff_random_hear(struct diff_random *r, const struct diff_outcome *heard)
{
	for (uint32_t i = 0; i < heard->count && i < DIFF_REPLIES; i++) {
		const struct diff_reply *reply = &heard->replies[i];
		uint32_t end = reply->seq + reply->octets +
			       ((reply->flags & (SEGMENT_SYN | SEGMENT_FIN)) != 0);

		if (reply->flags & SEGMENT_RST)
			continue;
		if (reply->flags & SEGMENT_ACK)
			r->next = reply->ack;
		if ((int32_t)(end - r->our_next) > 0)
			r->our_next = end;
	}
}

// Far enough from every edge of a window, or near enough to be in it.
static uint32_t stray(struct diff_random *r)
{
	uint32_t by;

	switch (below(r, 4)) {
	case 0:
		return 1;
	case 1:
		by = 1 + below(r, 10);
		break;
	case 2:
		by = 1 + below(r, NEAR);
		break;
	default:
		by = 10000000 + below(r, 1000000000);
		break;
	}
	return chance(r, 50) ? by : 0 - by;
}

static uint8_t flags(struct diff_random *r)
{
	static const uint8_t odd[] = {SEGMENT_RST, SEGMENT_RST | SEGMENT_ACK, SEGMENT_SYN,
		SEGMENT_SYN | SEGMENT_ACK, SEGMENT_FIN, SEGMENT_FIN | SEGMENT_ACK, SEGMENT_PSH, 0,
		SEGMENT_ACK | SEGMENT_URG, SEGMENT_SYN | SEGMENT_FIN, SEGMENT_SYN | SEGMENT_RST,
		SEGMENT_FIN | SEGMENT_RST};

	if (chance(r, 75))
		return SEGMENT_ACK | SEGMENT_PSH;
	if (chance(r, 30))
		return SEGMENT_FIN | SEGMENT_ACK;
	if (chance(r, 5))
		return (uint8_t)(any(r) & 0x3f);
	return odd[below(r, sizeof(odd))];
}

static uint32_t length(struct diff_random *r)
{
	if (chance(r, 40))
		return 0;
	return chance(r, 50) ? 1 + below(r, 20) : 1 + below(r, 1400);
}

static void segment(struct diff_random *r, struct diff_step *out)
{
	struct dialog_segment *in = &out->in;

	out->verb = DIFF_SEGMENT;
	in->s.flags = flags(r);
	in->s.payload_octets = length(r);
	memset(in->octets, 1, in->s.payload_octets);
	in->s.seq = r->next + (chance(r, 70) ? 0 : stray(r));
	in->s.ack = r->our_next;
	if (chance(r, 12))
		in->s.ack += stray(r);
	in->has = DIALOG_HAS_ACK;
	if (chance(r, 5)) {
		in->has |= DIALOG_HAS_WINDOW;
		in->s.window = (uint16_t)(chance(r, 50) ? 0 : any(r));
	}
	if (in->s.flags & SEGMENT_URG)
		in->s.urgent = (uint16_t)any(r);
	if (r->timestamps && !chance(r, 1)) {
		r->tsval += below(r, 2);
		in->s.options.has_timestamp = true;
		in->s.options.tsval = r->tsval - (chance(r, 5) ? 1 + below(r, 4000) : 0);
	}
}

static void open_handshake(struct diff_random *r, struct diff_step *out)
{
	struct segment_options *o = &out->in.s.options;

	out->verb = DIFF_SEGMENT;
	out->in.s.seq = r->next++;
	out->in.s.flags = SEGMENT_SYN;
	o->has_mss = chance(r, 80);
	o->mss = 1460;
	o->has_scale = chance(r, 50);
	o->scale = (uint8_t)below(r, 15);
	o->sack_permitted = chance(r, 50);
	o->has_timestamp = r->timestamps;
	o->tsval = r->tsval;
	if (r->calls) {
		out->in.s.flags |= SEGMENT_ACK;
		out->in.has = DIALOG_HAS_ACK;
		out->in.s.ack = 1;
	}
}

static void call(struct diff_random *r, struct diff_step *out)
{
	if (chance(r, 70)) {
		out->verb = DIFF_SEND;
		out->octets = 1 + below(r, SEND_MOST);
	} else {
		out->verb = (enum diff_verb)(DIFF_SHUTDOWN + below(r, 3));
	}
}

void diff_random_step(struct diff_random *r, struct diff_step *out)
{
	uint32_t n = r->steps++;

	memset(out, 0, sizeof(*out));
	if (n == 0 && r->calls)
		out->verb = DIFF_CONNECT;
	else if (n == (r->calls ? 1 : 0) && chance(r, 90))
		open_handshake(r, out);
	else if (n > 1 && chance(r, 12))
		call(r, out);
	else
		segment(r, out);
}
