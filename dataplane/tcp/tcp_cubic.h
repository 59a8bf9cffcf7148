// tcp_cubic.h - how a congestion window grows and is cut by CUBIC (RFC 9438): numbers in, numbers out.
//
// Thread: any. Memory: the caller's. Cost: O(1), some divisions and a cube root an eighth of a round trip.

#pragma once

#include <stdint.h>

// Octets, milliseconds. All zero before the first cut.
struct tcp_cubic {
	uint32_t w_max;    // window before the last cut, or less by fast convergence
	uint32_t prior;    // window before the last cut
	uint32_t w_est;    // what Reno would have by now
	uint32_t k_ms;     // from the beginning of the epoch to w_max
	uint32_t epoch_us; // when this epoch began; 0: with the next growth
	uint32_t credit;   // octets acknowledged and not yet turned into window
};

struct tcp_cubic_now {
	uint32_t mss, srtt_us, now_us;
};

// RFC 9438 4.2 to 4.5: acked octets were acknowledged in congestion avoidance. Returns the new window.
uint32_t tcp_cubic_grow(
	struct tcp_cubic *c, uint32_t cwnd, uint32_t acked, const struct tcp_cubic_now *now);

// RFC 9438 4.6, 4.7: a congestion event; in_flight is what the cut is taken from. Returns ssthresh.
uint32_t tcp_cubic_cut(struct tcp_cubic *c, uint32_t cwnd, uint32_t in_flight, uint32_t mss);

// RFC 9438 5.8: the window was not used, so the time does not count.
void tcp_cubic_pause(struct tcp_cubic *c);
