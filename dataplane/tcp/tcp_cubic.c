#include "tcp/tcp_cubic.h"

enum {
	// beta_cubic is 0.7, alpha_cubic 3 * (1 - beta) / (1 + beta) = 9/17, C 0.4.
	BETA_TENTHS = 7,
	ALPHA_NUMERATOR = 9,
	ALPHA_DENOMINATOR = 17,
	T_MAX_MS =
		100000, // beyond that the cube would not fit, and the window has grown without bound long ago
	STEPS = 8, // updates in a round trip
};

// The largest r with r * r * r <= x.
static uint32_t cube_root(uint64_t x)
{
	uint64_t r = 0;

	for (int shift = 63; shift >= 0; shift -= 3) {
		r *= 2;

		uint64_t step = 3 * r * (r + 1) + 1;

		if (x >> shift >= step) {
			x -= step << shift;
			r++;
		}
	}
	return (uint32_t)r;
}

static void begin_epoch(struct tcp_cubic *c, uint32_t cwnd, const struct tcp_cubic_now *now)
{
	c->epoch_us = now->now_us | 1;
	c->w_est = cwnd;
	c->k_ms = 0;
	if (cwnd >= c->w_max) {
		c->w_max = cwnd;
		return;
	}
	// K = cbrt((w_max - cwnd) / C) in segments and seconds; 1 / C = 2.5.
	c->k_ms = cube_root((uint64_t)(c->w_max - cwnd) * 2500000000U / now->mss);
}

// W_cubic(t) = C * (t - K)^3 + w_max.
static uint32_t w_cubic(const struct tcp_cubic *c, uint32_t t_ms, uint32_t mss)
{
	uint64_t off_ms = t_ms < c->k_ms ? c->k_ms - t_ms : t_ms - c->k_ms;
	uint64_t w;

	if (off_ms > T_MAX_MS)
		off_ms = T_MAX_MS;
	w = off_ms * off_ms * off_ms / 2500 * mss / 1000000;
	if (t_ms < c->k_ms)
		return w < c->w_max ? c->w_max - (uint32_t)w : 0;
	w += c->w_max;
	return w < UINT32_MAX / 4 ? (uint32_t)w : UINT32_MAX / 4;
}

static void grow_estimate(
	struct tcp_cubic *c, uint32_t cwnd, uint32_t acked, const struct tcp_cubic_now *now)
{
	uint64_t more = (uint64_t)now->mss * acked / cwnd;

	// Once it has made good for the smaller cut it grows as Reno does.
	if (c->w_est < c->prior)
		more = more * ALPHA_NUMERATOR / ALPHA_DENOMINATOR;
	c->w_est += (uint32_t)more;
}

uint32_t tcp_cubic_grow(
	struct tcp_cubic *c, uint32_t cwnd, uint32_t acked, const struct tcp_cubic_now *now)
{
	uint32_t t_ms, target;

	c->credit += acked;
	if (c->epoch_us == 0)
		begin_epoch(c, cwnd, now);
	if (c->credit < cwnd / STEPS)
		return cwnd;
	acked = c->credit;
	c->credit = 0;
	grow_estimate(c, cwnd, acked, now);
	t_ms = (now->now_us - c->epoch_us) / 1000;
	if (w_cubic(c, t_ms, now->mss) < c->w_est)
		return c->w_est > cwnd ? c->w_est : cwnd;
	target = w_cubic(c, t_ms + now->srtt_us / 1000, now->mss);
	if (target > cwnd + cwnd / 2)
		target = cwnd + cwnd / 2;
	if (target <= cwnd)
		return cwnd;
	return cwnd + (uint32_t)((uint64_t)(target - cwnd) * acked / cwnd);
}

uint32_t tcp_cubic_cut(struct tcp_cubic *c, uint32_t cwnd, uint32_t in_flight, uint32_t mss)
{
	uint32_t ssthresh = (uint32_t)((uint64_t)in_flight * BETA_TENTHS / 10);

	// Fast convergence: a flow that gives way leaves room for the newcomer.
	c->prior = cwnd;
	c->w_max = cwnd < c->w_max ? (uint32_t)((uint64_t)cwnd * (10 + BETA_TENTHS) / 20) : cwnd;
	c->epoch_us = 0;
	c->credit = 0;
	return ssthresh > 2 * mss ? ssthresh : 2 * mss;
}

void tcp_cubic_pause(struct tcp_cubic *c)
{
	c->epoch_us = 0;
	c->credit = 0;
}
