// The hash of NICs: the published examples, and what the owner of a flow is to be.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/rss.h"

// The key and the examples of "Verifying the RSS Hash Calculation" (Microsoft).
static const uint8_t key[RSS_KEY_OCTETS] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41,
	0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
	0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01,
	0xfa};

static const struct {
	const char *src, *dst;
	uint16_t src_port, dst_port;
	uint32_t hash;
} examples[] = {
	{"66.9.149.187", "161.142.100.80", 2794, 1766, 0x51ccc178},
	{"199.92.111.2", "65.69.140.83", 14230, 4739, 0xc626b0ea},
	{"24.19.198.95", "12.22.207.184", 12898, 38024, 0x5c2b394a},
	{"38.27.205.30", "209.142.163.6", 48228, 2217, 0xafc7327f},
	{"153.39.163.191", "202.188.127.2", 44251, 1303, 0x10e828a2},
	{"3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x40207d3d},
	{"3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0xdde51bbf},
	{"3ffe:1900:4545:3:200:f8ff:fe21:67cf", "fe80::200:f8ff:fe21:67cf", 44251, 38024,
		0x02d1feef},
};

static struct rss rss;

static uint32_t hash_of(const char *src, const char *dst, uint16_t src_port, uint16_t dst_port)
{
	struct ip_addr s, d;

	assert_true(ip_addr_parse(src, &s) && ip_addr_parse(dst, &d));
	return rss_hash(&rss, &(struct rss_tuple){&s, &d, src_port, dst_port});
}

static void test_rss_hash_gives_the_published_examples(void **state)
{
	(void)state;
	rss_init(&rss, key);
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
		assert_int_equal(hash_of(examples[i].src, examples[i].dst, examples[i].src_port,
					 examples[i].dst_port),
			examples[i].hash);
}

// A NIC takes the low bits of the hash as an index of its table, whose entry i is ours i % 64.
static void test_rss_pick_agrees_with_a_table_of_any_size(void **state)
{
	(void)state;
	rss_init(&rss, key);
	for (unsigned size = 64; size <= 2048; size *= 2) {
		for (unsigned n = 1; n <= 32; n++) {
			for (uint16_t port = 1; port < 200; port++) {
				uint32_t hash = hash_of("192.0.2.1", "198.51.100.1", port, 25);
				unsigned entry = hash % size;

				assert_int_equal(rss_pick(hash, n), entry % RSS_TABLE_ENTRIES % n);
			}
		}
	}
}

static void test_rss_flows_are_spread_evenly(void **state)
{
	unsigned count[3] = {0};

	(void)state;
	rss_init(&rss, key);
	for (uint16_t port = 1; port <= 30000; port++)
		count[rss_pick(hash_of("192.0.2.1", "198.51.100.1", port, 25), 3)]++;
	for (int i = 0; i < 3; i++)
		assert_in_range(count[i], 9000, 11000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rss_hash_gives_the_published_examples),
		cmocka_unit_test(test_rss_pick_agrees_with_a_table_of_any_size),
		cmocka_unit_test(test_rss_flows_are_spread_evenly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
