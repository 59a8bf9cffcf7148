// The whole edge with IPv6 addresses over a ring port, two workers behind one queue: sessions, policy, our addresses on the link,
// disputes about them.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "edge_rig.h"
#include "net/arp.h"
#include "net/checksum.h"
#include "net/dad.h"
#include "net/mld.h"
#include "net/nd.h"
#include "tests/addr.h"

static struct rig *rig;

// Two addresses that others have: .99 and ::99.
static const char yaml[] =
	"dataplane: {workers: [0, 1], memory: 512MiB, huge_pages: no}\n"
	"ports:\n"
	"  - device: net_ring_rig\n"
	"    addresses: [10.12.170.5/24, 10.12.170.99/24, \"2001:db8:12::5/64\", "
	"\"2001:db8:12::74/64\", \"2001:db8:12::76/64\", \"2001:db8:12::99/64\"]\n"
	"    gateway: [\"fe80::1\", 10.12.170.1]\n"
	"own_networks: [10.12.0.0/16, \"2001:db8:12::/48\"]\n"
	"routes:\n"
	"  - {domains: [\"*\"], to: [\"127.0.0.1:25\"]}\n"
	"virtual_servers:\n"
	"  - name: relay\n"
	"    listen: [\"[2001:db8:12::74]:25\"]\n"
	"    local_domains: [neulan.net]\n"
	"    connections: {only: [\"2001:db8:12::/48\"], refuse: reset}\n"
	"    relay: {only: [\"2001:db8:12::20\", \"2001:db8:12:8::/64\"]}\n"
	"  - {name: polite, listen: \"2001:db8:12::76\", local_domains: [neulan.net],\n"
	"     max_connections_per_client: 2}\n"
	"  - {name: rest, listen: all-unassigned, local_domains: [neulan.net]}\n";

enum { STRAY_PORT = 1235 };

enum { AT_4, AT_4_TAKEN, AT_REST, AT_RELAY, AT_POLITE, AT_TAKEN, AT_LINK_LOCAL, ADDRESSES };

static const char *const texts[ADDRESSES] = {"10.12.170.5", "10.12.170.99", "2001:db8:12::5",
	"2001:db8:12::74", "2001:db8:12::76", "2001:db8:12::99", ""};

// What the edge said about its own addresses.
static struct heard {
	unsigned probes[ADDRESSES], announcements[ADDRESSES], answers[ADDRESSES];
	unsigned unicast_asks;
	bool last_answer_overrides;
	unsigned strayed, link_local_resets;
} heard;

static struct ip_addr own_link_local(void)
{
	struct mac mac = rig_port_mac(rig);
	struct ip_addr a = {{0xfe, 0x80, [11] = 0xff, 0xfe}};

	memcpy(a.octets + 8, mac.octets, 3);
	a.octets[8] ^= 2;
	memcpy(a.octets + 13, mac.octets + 3, 3);
	return a;
}

static int place_of(const struct ip_addr *a)
{
	struct ip_addr link_local = own_link_local();

	for (int i = 0; i < AT_LINK_LOCAL; i++) {
		struct ip_addr own = addr(texts[i]);

		if (ip_addr_eq(a, &own))
			return i;
	}
	return ip_addr_eq(a, &link_local) ? AT_LINK_LOCAL : -1;
}

static void hear_arp(const struct frame *f)
{
	struct arp arp;
	struct ip_addr target;
	int i;

	assert_int_equal(arp_parse(f, &arp), DROP_NONE);
	target = ip_addr_from_v4(arp.target);
	i = place_of(&target);
	if (i < 0)
		heard.unicast_asks += (f->dst_mac.octets[0] & 1) == 0 && arp.request;
	else if (arp.sender == 0)
		heard.probes[i]++;
	else
		heard.announcements[i] += arp.sender == arp.target;
}

static void hear_nd(const struct frame *f)
{
	struct nd nd;
	int i;

	assert_int_equal(nd_parse(f, &nd), DROP_NONE);
	i = place_of(&nd.target);
	if (i < 0) {
		heard.unicast_asks += (f->dst_mac.octets[0] & 1) == 0;
		return;
	}
	if (nd.solicitation)
		heard.probes[i] += nd_is_probe(f, &nd) && nd.has_nonce;
	else if (f->ip.dst.octets[0] == 0xff)
		heard.announcements[i] += nd.overrides;
	else
		heard.answers[i]++;
	if (!nd.solicitation)
		heard.last_answer_overrides = nd.overrides;
}

static void hear(void *user, const struct frame *f)
{
	(void)user;
	if (f->kind == FRAME_ARP)
		hear_arp(f);
	else if (f->kind == FRAME_ND)
		hear_nd(f);
	else if (f->kind == FRAME_TCP) {
		heard.strayed += f->tcp.dst_port == STRAY_PORT;
		heard.link_local_resets +=
			(f->tcp.flags & SEGMENT_RST) != 0 && place_of(&f->tcp.src) == AT_LINK_LOCAL;
	}
}

static uint8_t state_of(int place)
{
	return atomic_load(&rig_edge(rig)->links[0].addresses[place].state);
}

static void advertise(const char *target, bool overrides)
{
	uint8_t frame[ND_FRAME_OCTETS_MAX];
	struct nd_advert advert = {
		.mac = rig_host_mac(), .target = addr(target), .overrides = overrides};

	rig_inject(rig, frame, nd_build_advert(frame, &advert));
}

static void claim_v4(const char *target)
{
	uint8_t frame[ARP_FRAME_OCTETS];
	struct ip_addr a = addr(target);

	rig_inject(rig, frame,
		arp_build_request(frame, &(struct arp_ask){.sender_mac = rig_host_mac(),
						 .sender = ip_addr_v4(&a),
						 .target = ip_addr_v4(&a)}));
}

static void solicit(const char *target, const struct ip_addr *from, const uint8_t *nonce)
{
	uint8_t frame[ND_FRAME_OCTETS_MAX];
	struct nd_solicit what = {.src_mac = rig_host_mac(), .src = *from, .target = addr(target)};

	if (nonce != NULL)
		memcpy(what.nonce, nonce, sizeof(what.nonce));
	rig_inject(rig, frame, nd_build_solicit(frame, &what));
}

// Drive the link until a counter of ours, or one of the edge, is there; what comes late on a slow machine is waited for.
static void wait_for(const unsigned *counter, unsigned least)
{
	for (int i = 0; i < 500 && *counter < least; i++)
		rig_run_ms(rig, 10);
	assert_true(*counter >= least);
}

static void wait_for_drop(enum drop why, uint64_t count)
{
	for (int i = 0; i < 500 && rig_drops(rig, why) < count; i++)
		rig_run_ms(rig, 10);
	assert_int_equal(rig_drops(rig, why), count);
}

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

// ---- In the first second, in which all addresses are probed

static void test_address_that_others_have_is_taken(void **state)
{
	(void)state;
	// Again and again, so that a slow machine does not miss the time of the probes.
	for (int i = 0;
		i < 200 && (state_of(AT_TAKEN) != DAD_TAKEN || state_of(AT_4_TAKEN) != DAD_TAKEN);
		i++) {
		advertise("2001:db8:12::99", true);
		claim_v4("10.12.170.99");
		rig_run_ms(rig, 5);
	}
	assert_int_equal(state_of(AT_TAKEN), DAD_TAKEN);
	assert_int_equal(state_of(AT_4_TAKEN), DAD_TAKEN);
	assert_int_equal(atomic_load(&rig_edge(rig)->links[0].addresses[AT_TAKEN].other_mac),
		edge_mac(rig_host_mac().octets));
}

static void test_address_is_used_while_it_is_probed(void **state)
{
	struct ip_addr host = addr("2001:db8:12::20");
	struct rig_client *c;

	(void)state;
	solicit("2001:db8:12::5", &host, NULL); // as a host does that wants to connect
	wait_for(&heard.answers[AT_REST], 1);
	if (state_of(AT_REST) == DAD_PROBING) // else this machine is too slow to see it
		assert_false(heard.last_answer_overrides); // RFC 4429 3.3
	c = rig_connect(rig, "2001:db8:12::20", "2001:db8:12::5");
	assert_true(rig_client_is_open(c));
	rig_client_close(c);
}

// ---- After it

static void test_addresses_are_probed_and_announced(void **state)
{
	(void)state;
	rig_run_ms(rig, 4000);
	for (int i = 0; i < ADDRESSES; i++) {
		bool v4 = i <= AT_4_TAKEN;
		bool taken = i == AT_TAKEN || i == AT_4_TAKEN;

		if (heard.probes[i] != (v4 ? 3 : 1) && !taken)
			fail_msg("address %d: %u probes", i, heard.probes[i]);
		if (heard.announcements[i] != (taken ? 0 : 2))
			fail_msg("address %d: %u announcements", i, heard.announcements[i]);
		if (!taken)
			assert_int_equal(state_of(i), DAD_OWNED);
	}
}

static void test_taken_address_answers_nothing_over_v6(void **state)
{
	struct ip_addr host = addr("2001:db8:12::20");
	uint64_t before = rig_drops(rig, DROP_IP_TAKEN);
	struct rig_client *c;

	(void)state;
	solicit("2001:db8:12::99", &host, NULL);
	c = rig_connect(rig, "2001:db8:12::20", "2001:db8:12::99");
	assert_false(rig_client_is_open(c));
	assert_false(rig_client_was_reset(c));
	assert_int_equal(heard.answers[AT_TAKEN], 0);
	assert_true(rig_drops(rig, DROP_IP_TAKEN) > before);
	rig_client_close(c);
}

static void test_taken_address_is_used_over_v4(void **state)
{
	struct rig_client *c = rig_connect(rig, "10.12.170.20", "10.12.170.99");

	(void)state;
	assert_true(rig_client_is_open(c));
	rig_client_close(c);
}

static void test_own_address_is_defended(void **state)
{
	static const uint8_t nonce[ND_NONCE_OCTETS] = {1};
	const struct ip_addr nobody = {{0}};
	unsigned before = heard.announcements[AT_RELAY], before4 = heard.announcements[AT_4];

	(void)state;
	solicit("2001:db8:12::74", &nobody, nonce); // another machine starts with it
	wait_for(&heard.announcements[AT_RELAY],
		before + 1);                // RFC 4862 5.4.3: it hears that it is taken
	advertise("2001:db8:12::74", true); // and uses it all the same
	claim_v4("10.12.170.5");
	claim_v4("10.12.170.5");
	wait_for(&heard.announcements[AT_RELAY], before + 2);
	wait_for(&heard.announcements[AT_4], before4 + 1);
	rig_run_ms(rig, 100);
	assert_int_equal(heard.announcements[AT_4], before4 + 1); // once in ten seconds
	assert_int_equal(state_of(AT_RELAY), DAD_OWNED);
	assert_int_equal(atomic_load(&rig_edge(rig)->links[0].addresses[AT_4].conflicts), 2);
}

static struct rig_client *greeted(const char *from, const char *to)
{
	struct rig_client *c = rig_connect(rig, from, to);

	assert_true(rig_client_is_open(c));
	assert_true(starts(rig_say(c, "", "220"), "220 "));
	assert_true(starts(rig_say(c, "EHLO client.example\r\n", "250"), "250-"));
	return c;
}

static void test_session_v6_listed_address_relays_and_its_neighbour_does_not(void **state)
{
	static const struct {
		const char *from, *says;
	} clients[] = {
		{"2001:db8:12::20", "250 2.1.5"},
		{"2001:db8:12:8::1:15", "250 2.1.5"}, // behind the router
		{"2001:db8:12::21", "550 5.7.1 Unable to relay for bob@example.org"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		struct rig_client *c = greeted(clients[i].from, "2001:db8:12::74");

		assert_true(
			starts(rig_say(c, "MAIL FROM:<form@neulan.net>\r\n", "250"), "250 2.1.0"));
		assert_true(
			starts(rig_say(c, "RCPT TO:<bob@example.org>\r\n", i == 2 ? "550" : "250"),
				clients[i].says));
		assert_true(starts(rig_say(c, "QUIT\r\n", "221"), "221"));
		rig_client_close(c);
	}
}

static void test_syn_v6_outside_is_reset(void **state)
{
	uint64_t before = rig_drops(rig, DROP_CONN_REFUSED);
	struct rig_client *c = rig_connect(rig, "2001:db8:ffff::7", "2001:db8:12::74");

	(void)state;
	assert_true(rig_client_was_reset(c));
	assert_int_equal(rig_drops(rig, DROP_CONN_REFUSED), before + 1);
	rig_client_close(c);
}

// A client has a /64 at its command: all of it counts as one.
static void test_connections_of_a_64_count_together(void **state)
{
	struct rig_client *held[5];
	bool refused = false;

	(void)state;
	// Counted per worker: with two workers the fifth is over the limit of two wherever it lands.
	for (int i = 0; i < 5; i++) {
		char from[IP_ADDR_TEXT_MAX];

		snprintf(from, sizeof(from), "2001:db8:77:1:%x::1", i + 1);
		held[i] = rig_connect(rig, from, "2001:db8:12::76");
		rig_run_ms(rig, 50);
		refused = refused || strstr(rig_say(held[i], "", ""), "421") != NULL;
	}
	assert_true(refused);
	for (int i = 0; i < 5; i++)
		rig_client_close(held[i]);
}

static void test_syn_v6_without_a_place_is_answered_by_its_name(void **state)
{
	struct segment s = {.src = addr("2001:db8:12::20"),
		.dst = addr("2001:db8:12::1234"),
		.src_port = 1234,
		.dst_port = 25,
		.flags = SEGMENT_SYN,
		.window = 1000};
	uint64_t not_ours = rig_drops(rig, DROP_IP_NOT_OURS), port = rig_drops(rig, DROP_TCP_PORT);

	(void)state;
	rig_inject_segment(rig, &s);
	s.dst = addr("2001:db8:12::5");
	s.dst_port = 26;
	rig_inject_segment(rig, &s);
	s.dst = own_link_local();
	s.src = addr("fe80::77");
	s.dst_port = 25;
	rig_inject_segment(rig, &s); // reset from the same port
	wait_for_drop(DROP_IP_NOT_OURS, not_ours + 1);
	wait_for_drop(DROP_TCP_PORT, port + 2);
	wait_for(&heard.link_local_resets, 1);
}

static void test_frames_for_other_stations_are_dropped_by_name(void **state)
{
	uint8_t frame[2048];
	struct segment s = {.src = addr("2001:db8:12::20"),
		.dst = addr("2001:db8:12::5"),
		.src_port = STRAY_PORT,
		.dst_port = 25,
		.flags = SEGMENT_SYN,
		.window = 1000};
	struct frame_route route = {.src_mac = rig_host_mac(), .sums = FRAME_SUMS_SOFTWARE};
	uint64_t before = rig_drops(rig, DROP_ETH_ADDRESS);
	static const struct mac macs[] = {
		{{2, 9, 9, 9, 9, 9}}, {{0x33, 0x33, 0, 0, 0, 1}}, {{255, 255, 255, 255, 255, 255}}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		route.dst_mac = macs[i];
		rig_inject(rig, frame, frame_build(&s, &route, frame, sizeof(frame)));
	}
	route.dst_mac = rig_port_mac(rig);
	route.src_mac.octets[0] |= 1; // from a group: an answer would go to all of it
	rig_inject(rig, frame, frame_build(&s, &route, frame, sizeof(frame)));
	wait_for_drop(DROP_ETH_ADDRESS, before + 4);
	assert_int_equal(heard.strayed, 0); // other connections may still be talking
}

static void inject_icmp6(uint8_t type, uint8_t hop_limit)
{
	uint8_t frame[ND_FRAME_OCTETS_MAX], *icmp = frame + 14 + 40;
	struct nd_solicit what = {.src_mac = rig_host_mac(),
		.src = addr("fe80::1"),
		.target = addr("2001:db8:12::5")};
	struct ip_addr group = nd_solicited_node(&what.target);
	uint32_t n = nd_build_solicit(frame, &what);
	uint64_t sum = checksum_pseudo(&what.src, &group, IP_PROTOCOL_ICMP6, (uint16_t)(n - 54));
	uint16_t folded;

	frame[14 + 7] = hop_limit;
	icmp[0] = type;
	memset(icmp + 2, 0, 2);
	folded = (uint16_t)~checksum_fold(checksum_add(sum, icmp, n - 54));
	memcpy(icmp + 2, &folded, 2);
	rig_inject(rig, frame, n);
}

static void test_icmp6_that_is_not_wanted_has_its_name(void **state)
{
	uint64_t ignored = rig_drops(rig, DROP_ND_IGNORED), icmp = rig_drops(rig, DROP_ICMP_BAD),
		 nd = rig_drops(rig, DROP_ND_BAD);

	struct ip_addr host = addr("2001:db8:12::20");

	(void)state;
	inject_icmp6(134, 255);          // a router advertisement
	inject_icmp6(135, 254);          // a question from beyond a router
	solicit("ff02::1", &host, NULL); // for a group
	wait_for_drop(DROP_ND_IGNORED, ignored + 1);
	wait_for_drop(DROP_ICMP_BAD, icmp + 1);
	wait_for_drop(DROP_ND_BAD, nd + 1);
}

static uint8_t gateway_state(int i)
{
	return atomic_load(&rig_edge(rig)->links[0].gateways[i].state);
}

static void test_gateways_are_known_without_traffic(void **state)
{
	(void)state;
	rig_run_ms(rig, 200);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(gateway_state(i), EDGE_GATEWAY_REACHABLE);
		assert_int_equal(atomic_load(&rig_edge(rig)->links[0].gateways[i].mac),
			edge_mac(rig_host_mac().octets));
	}
}

// An attacker says the gateway is at his: it is asked at the old place, and what it answers stays.
static void test_gateway_is_not_moved_by_a_spoofed_advertisement(void **state)
{
	uint8_t frame[ND_FRAME_OCTETS_MAX];
	struct nd_advert lie = {
		.mac = {{2, 6, 6, 6, 6, 6}}, .target = addr("fe80::1"), .overrides = true};
	unsigned before = heard.unicast_asks;

	(void)state;
	for (int i = 0; i < 20; i++) {
		rig_inject(rig, frame, nd_build_advert(frame, &lie));
		rig_run_ms(rig, 10);
	}
	rig_run_ms(rig, 300);
	assert_true(heard.unicast_asks > before);
	assert_int_equal(gateway_state(0), EDGE_GATEWAY_REACHABLE);
	assert_int_equal(atomic_load(&rig_edge(rig)->links[0].gateways[0].mac),
		edge_mac(rig_host_mac().octets));
}

static void test_everything_is_accounted_for(void **state)
{
	(void)state;
	rig_run_ms(rig, 200);
	rig_stop(rig);
	assert_int_equal(rig_received(rig), rig_accounted(rig));
}

static int start(void **state)
{
	(void)state;
	rig = rig_start(yaml);
	rig_watch(rig, hear, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_free(rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_that_others_have_is_taken),
		cmocka_unit_test(test_address_is_used_while_it_is_probed),
		cmocka_unit_test(test_addresses_are_probed_and_announced),
		cmocka_unit_test(test_taken_address_answers_nothing_over_v6),
		cmocka_unit_test(test_taken_address_is_used_over_v4),
		cmocka_unit_test(test_own_address_is_defended),
		cmocka_unit_test(test_session_v6_listed_address_relays_and_its_neighbour_does_not),
		cmocka_unit_test(test_syn_v6_outside_is_reset),
		cmocka_unit_test(test_connections_of_a_64_count_together),
		cmocka_unit_test(test_syn_v6_without_a_place_is_answered_by_its_name),
		cmocka_unit_test(test_frames_for_other_stations_are_dropped_by_name),
		cmocka_unit_test(test_icmp6_that_is_not_wanted_has_its_name),
		cmocka_unit_test(test_gateways_are_known_without_traffic),
		cmocka_unit_test(test_gateway_is_not_moved_by_a_spoofed_advertisement),
		cmocka_unit_test(test_everything_is_accounted_for),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
