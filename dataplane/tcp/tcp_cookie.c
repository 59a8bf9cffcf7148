#include "tcp/tcp_cookie.h"

#include "base/limits.h"
#include "tcp/tcp_conn.h"

enum {
	CLASS_BITS = 3,
	CLASS_MASK = (1 << CLASS_BITS) - 1,
	NO_SCALE = 15,
	OPTION_SACK = 1 << 4,
	OPTION_ECN = 1 << 5,
	OPTION_MASK = (1 << 6) - 1,
};

// What links ask for: tunnels, DSL, v6 and v4 over Ethernet, jumbo frames. A peer gets the largest that is not beyond its own.
static const uint16_t classes[1 << CLASS_BITS] = {
	LIMIT_TCP_MSS_MIN, 536, 1220, 1360, 1400, 1440, 1460, 8940};

static uint32_t class_of(uint16_t mss)
{
	uint32_t class = CLASS_MASK;

	while (class > 0 && classes[class] > mss)
		class --;
	return class;
}

// The halves of a hash serve number and clock; neither tells anything about the other.
static uint32_t number(uint64_t hash, uint32_t class)
{
	return (uint32_t)hash ^ class;
}

static uint32_t offset(uint64_t hash)
{
	return (uint32_t)(hash >> 32);
}

static uint32_t options_of(const struct tcp_offer *offer)
{
	uint32_t bits = offer->flags & TCP_F_SCALE ? offer->scale : NO_SCALE;

	if (offer->flags & TCP_F_SACK)
		bits |= OPTION_SACK;
	if (offer->flags & TCP_F_ECN)
		bits |= OPTION_ECN;
	return bits;
}

struct tcp_cookie tcp_cookie_make(struct tcp_keys *keys, const struct segment *syn,
	const struct tcp_offer *offer, uint64_t now_us)
{
	struct tcp_tuple tuple = tcp_tuple_of_input(syn);
	uint64_t hash = tcp_tuple_hash(&tcp_key_cookie(keys, now_us)->now, &tuple, syn->seq);
	uint32_t clock = tcp_tuple_clock(now_us, offset(hash));
	uint32_t tsval = (clock & ~(uint32_t)OPTION_MASK) | options_of(offer);

	// Never ahead of the clock, or the first segment of the connection would be older than its SYN-ACK (PAWS).
	if ((int32_t)(tsval - clock) > 0)
		tsval -= OPTION_MASK + 1;
	return (struct tcp_cookie){number(hash, class_of(offer->mss)), tsval, offset(hash)};
}

// What came back in the timestamp. False: it is none of ours, or as old as no cookie may be.
static bool read_options(
	const struct segment *ack, uint32_t ts_offset, uint64_t now_us, struct tcp_offer *offer)
{
	uint32_t bits = ack->options.tsecr & OPTION_MASK;
	uint32_t age_ms = tcp_tuple_clock(now_us, ts_offset) - ack->options.tsecr;

	if (age_ms > 2U * LIMIT_TCP_COOKIE_KEY_S * 1000 + OPTION_MASK)
		return false;
	offer->flags = TCP_F_TIMESTAMPS;
	offer->scale = (uint8_t)(bits & NO_SCALE);
	if (offer->scale != NO_SCALE)
		offer->flags |= TCP_F_SCALE;
	if (bits & OPTION_SACK)
		offer->flags |= TCP_F_SACK;
	if (bits & OPTION_ECN)
		offer->flags |= TCP_F_ECN;
	return true;
}

bool tcp_cookie_read(struct tcp_keys *keys, const struct segment *ack, uint64_t now_us,
	struct tcp_offer *offer, struct tcp_cookie *cookie)
{
	const struct tcp_key_pair *pair = tcp_key_cookie(keys, now_us);
	struct tcp_tuple tuple = tcp_tuple_of_input(ack);
	uint32_t isn = ack->ack - 1;
	uint64_t hash = tcp_tuple_hash(&pair->now, &tuple, ack->seq - 1);

	if ((number(hash, 0) ^ isn) > CLASS_MASK)
		hash = tcp_tuple_hash(&pair->before, &tuple, ack->seq - 1);
	if ((number(hash, 0) ^ isn) > CLASS_MASK)
		return false;
	*cookie = (struct tcp_cookie){isn, ack->options.tsecr, offset(hash)};
	*offer = (struct tcp_offer){.mss = classes[number(hash, 0) ^ isn]};
	return !ack->options.has_timestamp || read_options(ack, offset(hash), now_us, offer);
}
