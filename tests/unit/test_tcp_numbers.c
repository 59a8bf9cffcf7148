// What strangers see of our keys: initial sequence numbers, SYN cookies and timestamp clocks must look like noise, whatever is varied
// by the one who asks, and must say nothing about those of another tuple, of another key or after a restart.
//
// Everything is asked for by SYNs, as a stranger would; the samples are fixed, and so are the results.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "tcp/tcp.h"

enum {
	SAMPLES = 1 << 16,
	SIGMAS =
		6, // 1700 figures are looked at; noise passes 6 once in a million tries of all of them
};

static struct segment answer;

static void emit(void *user, const struct segment *s)
{
	(void)user;
	answer = *s;
}

static const struct tcp_app app = {.accept = NULL};
static const struct tcp_env env = {emit};

static struct tcp_stack *start(struct siphash_key secret, bool cookies)
{
	struct tcp_stack_config config = {
		.app = &app, .env = &env, .conns = 16, .blocks = 4, .mss = 1460, .secret = secret};
	size_t octets = (tcp_stack_octets(&config) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, octets);
	struct tcp_stack *stack;

	memset(memory, 0, octets);
	stack = tcp_stack_init(memory, &config, 1000000);
	tcp_stack_set_cookies(stack, cookies);
	return stack;
}

enum which { NUMBER, CLOCK };

struct source {
	struct siphash_key secret;
	bool cookies, v6;
	enum which which;
	void (*vary)(struct segment *syn, uint32_t i);
	uint64_t now_us;
};

static struct segment syn_of(const struct source *source, uint32_t i)
{
	struct segment syn = {.src = ip_addr_from_v4(0xc0000201),
		.dst = ip_addr_from_v4(0x0a0caa05),
		.src_port = 1024,
		.dst_port = 25,
		.seq = 7,
		.flags = SEGMENT_SYN,
		.options = {.has_timestamp = true, .has_mss = true, .mss = 1460}};

	if (source->v6) {
		assert_true(ip_addr_parse("2001:db8::1", &syn.src));
		assert_true(ip_addr_parse("2001:db8:12::5", &syn.dst));
	}
	source->vary(&syn, i);
	return syn;
}

static void vary_port(struct segment *syn, uint32_t i)
{
	syn->src_port = (uint16_t)i;
}

static void vary_address(struct segment *syn, uint32_t i)
{
	syn->src.octets[15] = (uint8_t)i;
	syn->src.octets[14] = (uint8_t)(i >> 8);
}

// Only cookies hang on it.
static void vary_peer_number(struct segment *syn, uint32_t i)
{
	syn->seq = i;
}

// Pairs that differ in one bit of port or address: 2i and 2i + 1.
static void vary_one_bit(struct segment *syn, uint32_t i)
{
	uint32_t bit = (i / 2) % 32, flip = i % 2;

	vary_port(syn, i / 64 * 37);
	if (bit < 16)
		syn->src_port ^= (uint16_t)(flip << bit);
	else
		syn->src.octets[12 + (bit - 16) / 8] ^= (uint8_t)(flip << bit % 8);
}

static void sample(const struct source *source, uint32_t *out)
{
	struct tcp_stack *stack = start(source->secret, source->cookies);

	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct segment syn = syn_of(source, i), reset = syn;

		assert_int_equal(tcp_input(stack, &syn, true, source->now_us), DROP_NONE);
		tcp_flush(stack, source->now_us);
		assert_int_equal(answer.flags, SEGMENT_SYN | SEGMENT_ACK);
		out[i] = source->which == NUMBER ? answer.seq : answer.options.tsval;
		// No slot may be kept, or cookies would take over.
		reset.flags = SEGMENT_RST;
		reset.seq++;
		(void)tcp_input(stack, &reset, true, source->now_us);
		assert_int_equal(tcp_conn_count(stack), 0);
	}
	free(stack);
}

// ---- Statistics

static void holds(double off, double sigma, const char *what)
{
	if (fabs(off) > SIGMAS * sigma)
		fail_msg("%s is off by %.1f standard deviations", what, off / sigma);
}

// Chi-square of 256 cells has mean 255 and variance 510.
static void octets_are_even(const uint32_t *x, uint32_t bits)
{
	for (uint32_t shift = 0; shift < bits; shift += 8) {
		uint32_t cells[256] = {0};
		double chi = 0, expected = SAMPLES / 256.0;

		for (uint32_t i = 0; i < SAMPLES; i++)
			cells[x[i] >> shift & 255]++;
		for (uint32_t c = 0; c < 256; c++)
			chi += (cells[c] - expected) * (cells[c] - expected) / expected;
		holds(chi - 255, sqrt(510), "an octet's distribution");
	}
}

static void bits_are_even(const uint32_t *x, const char *what)
{
	for (uint32_t bit = 0; bit < 32; bit++) {
		uint32_t ones = 0;

		for (uint32_t i = 0; i < SAMPLES; i++)
			ones += x[i] >> bit & 1;
		holds(ones - SAMPLES / 2.0, sqrt(SAMPLES / 4.0), what);
	}
}

static void bits_are_independent(const uint32_t *x)
{
	for (uint32_t a = 0; a < 32; a++) {
		for (uint32_t b = a + 1; b < 32; b++) {
			uint32_t differ = 0;

			for (uint32_t i = 0; i < SAMPLES; i++)
				differ += (x[i] >> a ^ x[i] >> b) & 1;
			holds(differ - SAMPLES / 2.0, sqrt(SAMPLES / 4.0), "a pair of bits");
		}
	}
}

// How a nibble follows upon the one before: 256 cells again.
static void serial_is_even(const uint32_t *x)
{
	for (uint32_t shift = 0; shift < 32; shift += 4) {
		uint32_t cells[256] = {0};
		double chi = 0, expected = (SAMPLES - 1) / 256.0;

		for (uint32_t i = 1; i < SAMPLES; i++)
			cells[(x[i - 1] >> shift & 15) << 4 | (x[i] >> shift & 15)]++;
		for (uint32_t c = 0; c < 256; c++)
			chi += (cells[c] - expected) * (cells[c] - expected) / expected;
		holds(chi - 255, sqrt(510), "a nibble's successor");
	}
}

static void is_noise(const uint32_t *x)
{
	octets_are_even(x, 32);
	bits_are_even(x, "a bit");
	bits_are_independent(x);
	serial_is_even(x);
}

static void steps_are_noise(const uint32_t *x, uint32_t *scratch)
{
	for (uint32_t i = 0; i < SAMPLES; i++)
		scratch[i] = x[(i + 1) % SAMPLES] - x[i];
	octets_are_even(scratch, 32);
	bits_are_even(scratch, "a bit of a step");
}

static uint32_t x[SAMPLES], y[SAMPLES];

// Both samples: what one says about the other.
static void differ_by_noise(void)
{
	for (uint32_t i = 0; i < SAMPLES; i++)
		y[i] ^= x[i];
	is_noise(y);
}

// ---- Tests

static void test_tcp_numbers_are_noise_whatever_is_varied(void **state)
{
	static void (*const vary[])(struct segment *, uint32_t) = {
		vary_port, vary_address, vary_peer_number};
	struct source s = {.secret = {1, 2}, .now_us = 1000000};

	(void)state;
	for (int family = 0; family < 2; family++) {
		for (size_t i = 0; i < 3; i++) {
			s.v6 = family != 0;
			s.vary = vary[i];
			s.cookies = true;
			sample(&s, x);
			is_noise(x);
			steps_are_noise(x, y);
			if (vary[i] == vary_peer_number)
				continue;
			s.cookies = false;
			sample(&s, x);
			is_noise(x);
			steps_are_noise(x, y);
		}
	}
}

static void test_tcp_numbers_one_bit_of_the_tuple_changes_half_of_theirs(void **state)
{
	struct source s = {.secret = {1, 2}, .now_us = 1000000, .vary = vary_one_bit};

	(void)state;
	for (int cookies = 0; cookies < 2; cookies++) {
		s.cookies = cookies != 0;
		sample(&s, x);
		for (uint32_t i = 0; i < SAMPLES; i++)
			y[i] = x[i] ^ x[i ^ 1];
		bits_are_even(y, "a bit after a bit");
	}
}

static void test_tcp_numbers_of_another_start_say_nothing(void **state)
{
	struct source s = {.now_us = 1000000, .vary = vary_port};

	(void)state;
	for (int cookies = 0; cookies < 2; cookies++) {
		s.cookies = cookies != 0;
		s.secret = (struct siphash_key){1, 2};
		sample(&s, x);
		s.secret.k1 = 3;
		sample(&s, y);
		differ_by_noise();
	}
}

static void test_tcp_numbers_of_another_key_say_nothing(void **state)
{
	struct source s = {.secret = {1, 2}, .vary = vary_port};

	(void)state;
	for (int cookies = 0; cookies < 2; cookies++) {
		uint64_t life_us =
			1000000ULL * (cookies ? LIMIT_TCP_COOKIE_KEY_S : LIMIT_TCP_WIRE_KEY_S);

		s.cookies = cookies != 0;
		s.now_us = life_us - 1;
		sample(&s, x);
		s.now_us = life_us;
		sample(&s, y);
		differ_by_noise();
	}
}

// The clock's value is noise from tuple to tuple; the lowest bits of a cookie's carry the options as they are.
static void test_tcp_numbers_clocks_do_not_tell_how_long_we_are_up(void **state)
{
	struct source s = {.secret = {1, 2}, .now_us = 1000000, .vary = vary_port, .which = CLOCK};

	(void)state;
	sample(&s, x);
	is_noise(x);
	s.cookies = true;
	sample(&s, y);
	for (uint32_t i = 0; i < SAMPLES; i++)
		y[i] >>= 6;
	octets_are_even(y, 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_numbers_are_noise_whatever_is_varied),
		cmocka_unit_test(test_tcp_numbers_one_bit_of_the_tuple_changes_half_of_theirs),
		cmocka_unit_test(test_tcp_numbers_of_another_start_say_nothing),
		cmocka_unit_test(test_tcp_numbers_of_another_key_say_nothing),
		cmocka_unit_test(test_tcp_numbers_clocks_do_not_tell_how_long_we_are_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
