// A worker that does not move: its ring fills, what does not fit is dropped by name, and the other worker goes on.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "edge_rig.h"

static const char yaml[] =
	"dataplane: {workers: [0, 1], memory: 512MiB, huge_pages: no}\n"
	"ports: [{device: net_ring_rig, addresses: [10.12.170.5/16]}]\n"
	"routes: [{domains: [\"*\"], to: [\"127.0.0.1:25\"]}]\n"
	"virtual_servers: [{name: default, listen: [10.12.170.5], local_domains: [neulan.net]}]\n";

static void test_steering_full_ring_drops_and_the_other_worker_serves(void **state)
{
	struct rig *rig = rig_start_lame(yaml);
	struct segment s = {.dst_port = 25, .seq = 1, .window = 1000, .flags = SEGMENT_ACK};
	unsigned served = 0;

	(void)state;
	assert_true(ip_addr_parse("10.12.170.20", &s.src) && ip_addr_parse("10.12.170.5", &s.dst));
	for (uint16_t port = 1; port <= 4000; port++) {
		s.src_port = port;
		rig_inject_segment(rig, &s);
		if (port % 200 == 0)
			rig_run_ms(rig, 5);
	}
	rig_run_ms(rig, 100);
	assert_in_range(rig_drops(rig, DROP_RING_FULL), 500, 1500);
	// The hash is linear and its key random: neighbouring ports may all be the lame one's, addresses that differ in single bits
	// hardly.
	for (unsigned i = 0; i < 12 && served == 0; i++) {
		char from[IP_ADDR_TEXT_MAX];
		struct rig_client *c;

		snprintf(from, sizeof(from), "10.12.%u.%u", 170u ^ (i < 6 ? 0 : 1u << (i - 6)),
			20u ^ (1u << i % 6));
		c = rig_connect(rig, from, "10.12.170.5");
		served += rig_client_is_open(c) && strncmp(rig_say(c, "", "220"), "220", 3) == 0;
		rig_client_close(c);
	}
	assert_int_equal(served, 1);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steering_full_ring_drops_and_the_other_worker_serves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
