#include "tcp/tcp_key.h"

#include "base/limits.h"

enum use { USE_TABLE, USE_WIRE, USE_COOKIE };

static struct siphash_key derive(const struct siphash_key *secret, enum use use, uint64_t period)
{
	uint64_t in[3] = {period, use, 0};
	struct siphash_key key = {.k0 = siphash(secret, in, sizeof(in))};

	in[2] = 1;
	key.k1 = siphash(secret, in, sizeof(in));
	return key;
}

void tcp_key_init(struct tcp_keys *keys, const struct siphash_key *secret)
{
	*keys = (struct tcp_keys){.secret = *secret, .table = derive(secret, USE_TABLE, 0)};
}

// The key before is made anew as well: the stack may have slept through more than one period.
static void turn(struct tcp_keys *keys, struct tcp_key_pair *pair, enum use use, uint64_t now_us)
{
	uint64_t life_us =
		1000000ULL * (use == USE_COOKIE ? LIMIT_TCP_COOKIE_KEY_S : LIMIT_TCP_WIRE_KEY_S);
	uint64_t period = now_us / life_us;

	pair->now = derive(&keys->secret, use, period);
	pair->before = derive(&keys->secret, use, period - 1);
	pair->from_us = period * life_us;
	pair->until_us = pair->from_us + life_us;
}

const struct tcp_key_pair *tcp_key_wire(struct tcp_keys *keys, uint64_t now_us)
{
	if (now_us >= keys->wire.until_us)
		turn(keys, &keys->wire, USE_WIRE, now_us);
	return &keys->wire;
}

const struct tcp_key_pair *tcp_key_cookie(struct tcp_keys *keys, uint64_t now_us)
{
	if (now_us >= keys->cookie.until_us)
		turn(keys, &keys->cookie, USE_COOKIE, now_us);
	return &keys->cookie;
}
