#include "net/tcp_header.h"

#include <assert.h>

#include "net/octets.h"

static void take_timestamp(const uint8_t *at, struct segment_options *o)
{
	o->has_timestamp = true;
	o->tsval = octets_get32(at + 2);
	o->tsecr = octets_get32(at + 6);
}

static void take_sacks(const uint8_t *at, uint8_t len, struct segment_options *o)
{
	o->sack_count = (uint8_t)((len - 2) / 8);
	if (o->sack_count > SEGMENT_SACKS)
		o->sack_count = SEGMENT_SACKS;
	for (size_t i = 0; i < o->sack_count; i++)
		o->sacks[i] = (struct segment_sack){
			octets_get32(at + 2 + 8 * i), octets_get32(at + 6 + 8 * i)};
}

// One option of len octets, len already within the header. A wrong length for a known kind is ignored
// like an unknown kind (RFC 9293 3.1: options may be of any length).
static void take_option(const uint8_t *at, uint8_t len, struct segment_options *o)
{
	if (at[0] == 2 && len == 4) {
		o->has_mss = true;
		o->mss = octets_get16(at + 2);
	} else if (at[0] == 3 && len == 3) {
		o->has_scale = true;
		o->scale = at[2] > 14 ? 14 : at[2];
	} else if (at[0] == 4 && len == 2) {
		o->sack_permitted = true;
	} else if (at[0] == 5 && len >= 10 && (len - 2) % 8 == 0) {
		take_sacks(at, len, o);
	} else if (at[0] == 8 && len == 10) {
		take_timestamp(at, o);
	}
}

static enum drop parse_options(const uint8_t *at, size_t octets, struct segment_options *o)
{
	size_t i = 0;

	while (i < octets && at[i] != 0) {
		if (at[i] == 1) {
			i++;
			continue;
		}
		if (i + 2 > octets || at[i + 1] < 2 || i + at[i + 1] > octets)
			return DROP_TCP_BAD; // length 0 or 1 would never end
		take_option(at + i, at[i + 1], o);
		i += at[i + 1];
	}
	return DROP_NONE;
}

enum drop tcp_header_parse(struct slice l4, struct segment *s)
{
	size_t header;

	if (l4.len < TCP_HEADER_OCTETS)
		return DROP_TCP_BAD;
	header = (size_t)(l4.at[12] >> 4) * 4;
	if (header < TCP_HEADER_OCTETS || header > l4.len)
		return DROP_TCP_BAD;
	*s = (struct segment){.src = s->src, .dst = s->dst, .ecn = s->ecn};
	s->src_port = octets_get16(l4.at);
	s->dst_port = octets_get16(l4.at + 2);
	s->seq = octets_get32(l4.at + 4);
	s->ack = octets_get32(l4.at + 8);
	s->flags = l4.at[13];
	s->accurate_ecn = (l4.at[12] & 1) != 0;
	s->window = octets_get16(l4.at + 14);
	s->urgent = octets_get16(l4.at + 18);
	s->payload_octets = (uint32_t)(l4.len - header);
	s->part_count = s->payload_octets != 0;
	s->parts[0] = (struct slice){l4.at + header, l4.len - header};
	if (s->src_port == 0)
		return DROP_TCP_BAD; // nothing can be sent back to port 0
	return parse_options(l4.at + TCP_HEADER_OCTETS, header - TCP_HEADER_OCTETS, &s->options);
}

static uint32_t put_sacks(uint8_t *at, const struct segment_options *o)
{
	at[0] = 1;
	at[1] = 1;
	at[2] = 5;
	at[3] = (uint8_t)(2 + 8 * o->sack_count);
	for (size_t i = 0; i < o->sack_count; i++) {
		octets_put32(at + 4 + 8 * i, o->sacks[i].left);
		octets_put32(at + 8 + 8 * i, o->sacks[i].right);
	}
	return 4u + 8u * o->sack_count;
}

// Options in the order and padding that Linux uses, so that nobody's parser sees something new. At most 40
// octets: with a timestamp three SACK blocks fit.
static uint32_t put_options(uint8_t *at, const struct segment_options *o)
{
	uint32_t n = 0;

	if (o->has_mss) {
		octets_put32(at, 2u << 24 | 4u << 16 | o->mss);
		n += 4;
	}
	// SACK-permitted stands where the timestamp's padding would.
	if (o->sack_permitted && !o->has_timestamp) {
		octets_put32(at + n, 0x01010402);
		n += 4;
	}
	if (o->has_timestamp) {
		octets_put32(at + n, o->sack_permitted ? 0x0402080a : 0x0101080a);
		octets_put32(at + n + 4, o->tsval);
		octets_put32(at + n + 8, o->tsecr);
		n += 12;
	}
	if (o->has_scale) {
		octets_put32(at + n, 0x01030300u | o->scale);
		n += 4;
	}
	assert(n + (o->sack_count != 0 ? 4u + 8u * o->sack_count : 0) <= 40);
	return o->sack_count != 0 ? n + put_sacks(at + n, o) : n;
}

uint32_t tcp_header_put(uint8_t *out, const struct segment *s)
{
	uint32_t header = TCP_HEADER_OCTETS + put_options(out + TCP_HEADER_OCTETS, &s->options);

	octets_put16(out, s->src_port);
	octets_put16(out + 2, s->dst_port);
	octets_put32(out + 4, s->seq);
	octets_put32(out + 8, s->ack);
	out[12] = (uint8_t)(header / 4 << 4);
	out[13] = s->flags;
	octets_put16(out + 14, s->window);
	octets_put16(out + TCP_HEADER_SUM_AT, 0);
	octets_put16(out + 18, s->urgent);
	return header;
}
