// Fragments of what is larger than its path: what is cut is put together to the same.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "net/cut.h"
#include "net/reassembly.h"

enum { MOST = 8192 };

static uint8_t payload[MOST], packet[MOST];

static void account(void *user, enum drop why, uint32_t fragments)
{
	(void)user;
	(void)fragments;
	assert_int_equal(why, DROP_NONE);
}

static struct reassembly *make(void)
{
	struct reassembly_config config = {
		.packet_octets = MOST, .key = {1, 2}, .account = account};
	void *memory = aligned_alloc(64, reassembly_octets(&config));

	memset(memory, 0, reassembly_octets(&config));
	return reassembly_init(memory, &config);
}

static struct ip_fields fields(bool v4)
{
	struct ip_fields ip = {.protocol = v4 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_ICMP6,
		.hop_limit = IP_HOP_LIMIT,
		.may_be_cut = true,
		.fragment.id = 0xbeef};

	assert_true(ip_addr_parse(v4 ? "10.12.170.5" : "2001:db8::5", &ip.src));
	assert_true(ip_addr_parse(v4 ? "198.51.100.7" : "2001:db8:1::7", &ip.dst));
	return ip;
}

static void parse(struct slice octets, struct ip_packet *ip)
{
	enum drop why =
		octets.at[0] >> 4 == 4 ? ip_parse_v4(octets, false, ip) : ip_parse_v6(octets, ip);

	assert_int_equal(why, DROP_NONE);
	assert_true(ip->is_fragment);
}

// Returns into how many pieces.
static unsigned there_and_back(bool v4, uint32_t octets, uint32_t mtu)
{
	const struct cut cut = {.ip = fields(v4), .mtu = mtu};
	struct reassembly *r = make();
	struct reassembly_packet whole;
	unsigned pieces = 0;
	bool done = false;

	for (uint32_t offset = 0; offset < octets; pieces++) {
		uint32_t n =
			cut_put(&cut, (struct slice){payload, octets}, offset, packet, &offset);
		struct reassembly_fragment f;
		struct ip_packet ip;

		assert_true(n <= mtu && !done);
		parse((struct slice){packet, n}, &ip);
		f = (struct reassembly_fragment){.src = ip.src,
			.dst = ip.dst,
			.id = ip.fragment.id,
			.offset = ip.fragment.offset,
			.more = ip.fragment.more,
			.protocol = ip.protocol,
			.hop_limit = ip.hop_limit,
			.data = ip.l4};
		done = reassembly_add(r, &f, 0, &whole);
	}
	assert_true(done);
	assert_int_equal(whole.id, 0xbeef);
	assert_int_equal(whole.protocol, cut.ip.protocol);
	assert_int_equal(whole.data.len, octets);
	assert_memory_equal(whole.data.at, payload, octets);
	free(r);
	return pieces;
}

static void test_cut_of_any_length_is_put_together_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	for (int v4 = 0; v4 < 2; v4++) {
		assert_int_equal(there_and_back(v4, 4008, 1500), 3);
		assert_int_equal(there_and_back(v4, MOST, 1500), 6);
		for (uint32_t octets = 1481; octets < 2000; octets += 7)
			(void)there_and_back(v4, octets, 1280 + octets % 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_of_any_length_is_put_together_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
