#include "smtp/smtp_body.h"

#include <emmintrin.h>
#include <string.h>

enum {
	STRIDE = 64, // octets looked at in one go: one bit each in a word
	STEPS = 32, // single steps before the next go, so that a body of nothing but exceptions does not pay for both each octet
};

enum fate {
	KEEP,
	LEAVE_OUT, // a dot, and what may follow the final one
	FAULT,
	END,
};

struct stride {
	__m128i a, b, c, d; // not an array: the compiler keeps these in registers
};

static struct stride stride_load(const uint8_t *at)
{
	const __m128i *from = (const __m128i *)(const void *)at;

	return (struct stride){_mm_loadu_si128(from), _mm_loadu_si128(from + 1),
		_mm_loadu_si128(from + 2), _mm_loadu_si128(from + 3)};
}

// The last few octets, padded with something that is no exception.
static struct stride stride_load_tail(const uint8_t *at, size_t len)
{
	uint8_t padded[STRIDE];

	memset(padded, 'x', sizeof(padded));
	memcpy(padded, at, len);
	return stride_load(padded);
}

static uint64_t part_equal(__m128i part, __m128i want)
{
	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(part, want));
}

// Bit i: octet i is c.
static uint64_t stride_equal(struct stride s, char c)
{
	const __m128i want = _mm_set1_epi8(c);

	return part_equal(s.a, want) | part_equal(s.b, want) << 16 | part_equal(s.c, want) << 32 |
	       part_equal(s.d, want) << 48;
}

// Octets from the front of in that may be copied as they are: no NUL, each CR with its LF behind it and each LF with its CR
// before it, no dot at the start of a line. state: LINE_START, TEXT or CR.
static size_t plain_run(uint8_t state, struct slice in)
{
	uint64_t after_cr = state == SMTP_BODY_CR, after_lf = state == SMTP_BODY_LINE_START;

	for (size_t done = 0; done < in.len; done += STRIDE) {
		size_t left = in.len - done;
		struct stride s = left >= STRIDE ? stride_load(in.at + done)
						 : stride_load_tail(in.at + done, left);
		uint64_t cr = stride_equal(s, '\r'), lf = stride_equal(s, '\n');
		uint64_t odd = stride_equal(s, '\0') | (lf ^ (cr << 1 | after_cr)) |
			       (stride_equal(s, '.') & (lf << 1 | after_lf));

		if (left < STRIDE)
			odd |= ~UINT64_C(0) << left;
		if (odd != 0)
			return done + (size_t)__builtin_ctzll(odd);
		after_cr = cr >> 63;
		after_lf = lf >> 63;
	}
	return in.len;
}

static uint8_t state_after(uint8_t last)
{
	if (last == '\r')
		return SMTP_BODY_CR;
	return last == '\n' ? SMTP_BODY_LINE_START : SMTP_BODY_TEXT;
}

static size_t plain_length(uint8_t state, struct slice in, size_t room)
{
	if (state >= SMTP_BODY_DOT)
		return 0;
	return plain_run(state, (struct slice){in.at, in.len < room ? in.len : room});
}

static void pass(uint8_t *state, struct slice *in, size_t octets)
{
	if (octets == 0)
		return;
	*state = state_after(in->at[octets - 1]);
	in->at += octets;
	in->len -= octets;
}

static enum fate fate_in_line(uint8_t *state, uint8_t c)
{
	bool at_start = *state == SMTP_BODY_LINE_START;

	*state = SMTP_BODY_TEXT;
	if (c == '\n' || c == '\0')
		return FAULT;
	if (c == '\r')
		*state = SMTP_BODY_CR;
	if (c != '.' || !at_start)
		return KEEP;
	*state = SMTP_BODY_DOT;
	return LEAVE_OUT;
}

// CR and something: only LF is right. A fault leaves the state as if the CR were text, since it ends no line.
static enum fate fate_after_cr(uint8_t *state, uint8_t c)
{
	bool was_dot = *state == SMTP_BODY_DOT_CR;

	if (c != '\n') {
		*state = c == '\r' ? SMTP_BODY_CR : SMTP_BODY_TEXT;
		return FAULT;
	}
	*state = was_dot ? SMTP_BODY_END : SMTP_BODY_LINE_START;
	return was_dot ? END : KEEP;
}

static enum fate fate_of(uint8_t *state, uint8_t c)
{
	if (*state == SMTP_BODY_CR || *state == SMTP_BODY_DOT_CR)
		return fate_after_cr(state, c);
	if (*state == SMTP_BODY_DOT && c == '\r') {
		*state = SMTP_BODY_DOT_CR;
		return LEAVE_OUT;
	}
	return fate_in_line(state, c);
}

// A few octets by the plain machine. What is written through out might be *state or *in as far as the compiler can tell, so it
// is copies of them that are stepped.
static enum smtp_body_found take_steps(uint8_t *state, struct slice *in, struct smtp_out *out)
{
	const uint8_t *at = in->at, *end = at + (in->len < STEPS ? in->len : STEPS);
	uint8_t *to = out->at + out->len, *full = out->at + out->cap, now = *state;
	enum fate fate = LEAVE_OUT;

	while (at < end && fate != FAULT && fate != END) {
		uint8_t next = now;

		fate = fate_of(&next, *at);
		if (fate == KEEP && to == full)
			break;
		if (fate == KEEP)
			*to++ = *at;
		now = next;
		at++;
	}
	*state = now;
	in->len -= (size_t)(at - in->at);
	in->at = at;
	out->len = (uint32_t)(to - out->at);
	if (fate == FAULT)
		return SMTP_BODY_FOUND_FAULT;
	if (fate == END)
		return SMTP_BODY_FOUND_END;
	return at < end ? SMTP_BODY_FOUND_FULL : SMTP_BODY_FOUND_MORE;
}

static void take_plain(uint8_t *state, struct slice *in, struct smtp_out *out)
{
	size_t run = plain_length(*state, *in, out->cap - out->len);

	if (run == 0)
		return;
	memcpy(out->at + out->len, in->at, run);
	out->len += (uint32_t)run;
	pass(state, in, run);
}

enum smtp_body_found smtp_body_take(uint8_t *state, struct slice *in, struct smtp_out *out)
{
	while (in->len > 0 && *state != SMTP_BODY_END) {
		enum smtp_body_found found;

		take_plain(state, in, out);
		found = take_steps(state, in, out);
		if (found != SMTP_BODY_FOUND_MORE)
			return found;
	}
	return *state == SMTP_BODY_END ? SMTP_BODY_FOUND_END : SMTP_BODY_FOUND_MORE;
}

static bool skip_steps(uint8_t *state, struct slice *in)
{
	size_t i = 0;
	uint8_t now = *state;
	bool fault = false;

	for (; i < STEPS && i < in->len && now != SMTP_BODY_END; i++)
		fault |= fate_of(&now, in->at[i]) == FAULT;
	*state = now;
	in->at += i;
	in->len -= i;
	return fault;
}

enum smtp_body_found smtp_body_skip(uint8_t *state, struct slice *in, bool *fault)
{
	while (in->len > 0 && *state != SMTP_BODY_END) {
		pass(state, in, plain_length(*state, *in, in->len));
		*fault |= skip_steps(state, in);
	}
	return *state == SMTP_BODY_END ? SMTP_BODY_FOUND_END : SMTP_BODY_FOUND_MORE;
}
