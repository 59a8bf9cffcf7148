// Neighbours and the addresses of a port: states, times, who may displace whom.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net/iface.h"
#include "net/neigh.h"
#include "tests/addr.h"

static const struct mac mac_a = {{2, 0, 0, 0, 0, 0xa}}, mac_b = {{2, 0, 0, 0, 0, 0xb}};
static const struct siphash_key table_key = {1, 2};
static struct neigh_table table;
static uint64_t now;

// The n-th of a /64 that goes on and on.
static struct neigh_key scanned(uint32_t n)
{
	struct neigh_key key = {.addr = addr("2001:db8:12::")};

	memcpy(key.addr.octets + 12, &n, 4);
	return key;
}

static struct neigh_key host(void)
{
	return (struct neigh_key){.addr = addr("2001:db8:12::20")};
}

static struct neigh_key router(void)
{
	return (struct neigh_key){.addr = addr("10.12.170.1")};
}

static int start(void **state)
{
	(void)state;
	neigh_init(&table, &table_key);
	now = 1000000;
	return 0;
}

static void *learn(struct neigh_key key, struct mac mac, bool solicited)
{
	struct neigh_word word = {
		.key = key, .mac = mac, .has_mac = true, .overrides = true, .solicited = solicited};

	return neigh_learn(&table, &word, now);
}

static void hear_question(struct neigh_key key, struct mac mac)
{
	struct neigh_word word = {
		.key = key, .mac = mac, .has_mac = true, .overrides = true, .asks_us = true};

	assert_null(neigh_learn(&table, &word, now));
}

static enum neigh_state state_of(struct neigh_key key)
{
	const struct neigh *n = neigh_look(&table, &key);

	return n != NULL ? (enum neigh_state)n->state : NEIGH_FREE;
}

static bool mac_is(struct neigh_key key, struct mac mac)
{
	struct neigh_answer answer = neigh_use(&table, &key, now);

	return answer.known && memcmp(answer.mac.octets, mac.octets, 6) == 0;
}

// One thing is due, and nothing else.
static struct neigh_ask due(void)
{
	struct neigh_ask asks[4];

	assert_int_equal(neigh_poll(&table, now, asks, 4), 1);
	return asks[0];
}

static void nothing_due(void)
{
	struct neigh_ask asks[4];

	assert_int_equal(neigh_poll(&table, now, asks, 4), 0);
}

// ---- RFC 4861 7.3

static void test_neigh_unknown_is_asked_for_and_its_frame_waits(void **state)
{
	struct neigh_key key = host(), elsewhere = host();
	struct neigh_answer answer = neigh_use(&table, &key, now);
	int first, second;

	(void)state;
	elsewhere.nic_port = 1;
	assert_true(!answer.known && answer.ask);
	assert_null(neigh_leave(&table, &key, &first));
	answer = neigh_use(&table, &key, now);
	assert_true(!answer.known && !answer.ask);
	assert_ptr_equal(neigh_leave(&table, &key, &second), &first);
	assert_null(learn(elsewhere, mac_a, true)); // another link's
	assert_int_equal(state_of(key), NEIGH_INCOMPLETE);
	assert_ptr_equal(learn(key, mac_a, true), &second);
	assert_int_equal(state_of(key), NEIGH_REACHABLE);
	assert_true(mac_is(key, mac_a));
	nothing_due();
}

static void test_neigh_silence_is_asked_three_times_and_given_up(void **state)
{
	struct neigh_key key = host();
	struct neigh_ask ask;
	int frame;

	(void)state;
	assert_true(neigh_use(&table, &key, now).ask); // the first
	assert_null(neigh_leave(&table, &key, &frame));
	for (int i = 0; i < 2; i++) {
		now += NEIGH_RETRANS_US - 1;
		nothing_due();
		now++;
		ask = due();
		assert_int_equal(ask.kind, NEIGH_ASK_ALL);
		assert_true(ip_addr_eq(&ask.key.addr, &key.addr) && ask.frame == NULL);
	}
	now += NEIGH_RETRANS_US;
	ask = due();
	assert_int_equal(ask.kind, NEIGH_GIVE_UP);
	assert_ptr_equal(ask.frame, &frame);
	assert_int_equal(state_of(key), NEIGH_FREE);
	now += 1000 * NEIGH_RETRANS_US;
	nothing_due();
}

static void test_neigh_in_use_is_probed_and_stays(void **state)
{
	struct neigh_key key = host();
	struct neigh_ask ask;

	(void)state;
	(void)neigh_use(&table, &key, now);
	assert_null(learn(key, mac_a, true));
	now += NEIGH_REACHABLE_US / 2 - 1;
	assert_true(mac_is(key, mac_a));
	assert_int_equal(state_of(key), NEIGH_REACHABLE);
	now += NEIGH_REACHABLE_US + 1;
	assert_true(mac_is(key, mac_a));
	assert_int_equal(state_of(key), NEIGH_DELAY);
	now += NEIGH_DELAY_US;
	ask = due();
	assert_int_equal(ask.kind, NEIGH_ASK_ONE);
	assert_memory_equal(ask.mac.octets, mac_a.octets, 6);
	assert_true(mac_is(key, mac_a)); // used while it is asked
	assert_null(learn(key, mac_a, true));
	assert_int_equal(state_of(key), NEIGH_REACHABLE);
	nothing_due();
}

static void test_neigh_gone_while_in_use_is_forgotten(void **state)
{
	struct neigh_key key = host();

	(void)state;
	hear_question(key, mac_a);
	assert_int_equal(state_of(key), NEIGH_STALE);
	assert_true(mac_is(key, mac_a));
	now += NEIGH_DELAY_US;
	for (int i = 0; i < NEIGH_TRIES; i++, now += NEIGH_RETRANS_US)
		assert_int_equal(due().kind, NEIGH_ASK_ONE);
	assert_int_equal(due().kind, NEIGH_GIVE_UP);
	assert_int_equal(state_of(key), NEIGH_FREE);
}

static void test_neigh_idle_is_left_alone(void **state)
{
	struct neigh_key key = host();

	(void)state;
	hear_question(key, mac_a);
	now += 3600ull * 1000000;
	nothing_due();
	assert_true(mac_is(key, mac_a));
}

// RFC 4861 7.2.5: what an advertisement does to an entry that has an address already.
static void test_neigh_other_mac_by_the_override_flag(void **state)
{
	struct neigh_key key = host();
	struct neigh_word word = {.key = key, .mac = mac_b, .has_mac = true};

	(void)state;
	(void)neigh_use(&table, &key, now);
	assert_null(learn(key, mac_a, true));
	assert_null(neigh_learn(&table, &word, now)); // no override: doubt, no change
	assert_int_equal(state_of(key), NEIGH_STALE);
	assert_true(mac_is(key, mac_a));
	word.overrides = true;
	assert_null(neigh_learn(&table, &word, now));
	assert_int_equal(state_of(key), NEIGH_STALE);
	assert_true(mac_is(key, mac_b));
	word.solicited = true;
	assert_null(neigh_learn(&table, &word, now));
	assert_int_equal(state_of(key), NEIGH_REACHABLE);
}

static void test_neigh_answer_without_a_mac_completes_nothing(void **state)
{
	struct neigh_key key = host();
	struct neigh_word word = {.key = key, .solicited = true, .overrides = true};

	(void)state;
	(void)neigh_use(&table, &key, now);
	assert_null(neigh_learn(&table, &word, now));
	assert_int_equal(state_of(key), NEIGH_INCOMPLETE);
	assert_null(learn(key, mac_a, false));
	assert_int_equal(state_of(key), NEIGH_STALE);
	assert_null(neigh_learn(&table, &word, now)); // but confirms a known one
	assert_int_equal(state_of(key), NEIGH_REACHABLE);
}

static void test_neigh_postponed_question_is_not_counted(void **state)
{
	struct neigh_key key = host();
	unsigned asked = 0;

	(void)state;
	assert_true(neigh_use(&table, &key, now).ask);
	for (int i = 0; i < 20; i++, now += 100000) {
		neigh_postpone(&table, &key, now);
		now += 100000;
		assert_int_equal(due().kind, NEIGH_ASK_ALL);
	}
	now += NEIGH_RETRANS_US;
	while (due().kind == NEIGH_ASK_ALL) {
		asked++;
		now += NEIGH_RETRANS_US;
	}
	assert_int_equal(asked, 2);
}

// ---- Strangers

static void test_neigh_unasked_word_makes_no_entry(void **state)
{
	(void)state;
	assert_null(learn(host(), mac_a, true));
	assert_int_equal(state_of(host()), NEIGH_FREE);
}

static void test_neigh_scan_is_bounded_and_displaces_nobody(void **state)
{
	struct neigh_key key = host();
	unsigned asked = 0, waiting = 0;

	(void)state;
	(void)neigh_use(&table, &key, now);
	assert_null(learn(key, mac_a, true));
	for (uint32_t i = 0; i < 100000; i++, now += 10) {
		struct neigh_key stranger = scanned(0x1000 + i);

		asked += neigh_use(&table, &stranger, now).ask;
		waiting += neigh_leave(&table, &stranger, &now) == NULL;
	}
	assert_int_equal(asked, NEIGH_INCOMPLETE_MAX);
	assert_int_equal(waiting, NEIGH_INCOMPLETE_MAX);
	assert_true(mac_is(key, mac_a));
}

// Questions from addresses that are made up fill places, but not those of hosts that have answered and are in use.
static void test_neigh_invented_questions_displace_no_confirmed_one(void **state)
{
	enum { GOOD = 300 };
	unsigned kept = 0;

	(void)state;
	for (uint32_t i = 0; i < GOOD; i++) {
		struct neigh_key key = scanned(i);

		(void)neigh_use(&table, &key, now);
		if (i % 100 == 0)
			now += NEIGH_RETRANS_US / 10;
		assert_null(learn(key, mac_a, true));
	}
	for (uint32_t i = 0; i < 200000; i++)
		hear_question(scanned(0x10000 + i), mac_b);
	for (uint32_t i = 0; i < GOOD; i++)
		kept += mac_is(scanned(i), mac_a);
	assert_int_equal(kept, GOOD);
	hear_question(scanned(0x9000000), mac_b); // and a newcomer still gets one
	assert_true(mac_is(scanned(0x9000000), mac_b));
}

// ---- Gateways

static void pin_router(void)
{
	struct neigh_key key = router();

	neigh_pin(&table, &key, now);
	assert_int_equal(due().kind, NEIGH_ASK_ALL);
	assert_null(learn(key, mac_a, true));
	assert_int_equal(state_of(key), NEIGH_REACHABLE);
}

static void test_neigh_gateway_is_watched_without_traffic(void **state)
{
	struct neigh_key key = router();

	(void)state;
	pin_router();
	now += NEIGH_REACHABLE_US * 3 / 2;
	for (int i = 0; i < NEIGH_TRIES; i++, now += NEIGH_RETRANS_US)
		assert_int_equal(due().kind, NEIGH_ASK_ONE);
	for (int i = 0; i < NEIGH_TRIES; i++, now += NEIGH_RETRANS_US)
		assert_int_equal(due().kind, NEIGH_ASK_ALL);
	assert_false(neigh_look(&table, &key)->silent);
	assert_int_equal(due().kind, NEIGH_ASK_ALL); // and so on, for ever
	assert_true(neigh_look(&table, &key)->silent);
	now += NEIGH_GATEWAY_RETRY_US - 1;
	nothing_due();
	now++;
	assert_int_equal(due().kind, NEIGH_ASK_ALL);
	assert_null(learn(key, mac_b, true));
	assert_true(mac_is(key, mac_b));
}

static void test_neigh_gateway_frame_does_not_wait_for_ever(void **state)
{
	struct neigh_key key = router();
	struct neigh_ask ask;
	int frame;

	(void)state;
	neigh_pin(&table, &key, now);
	(void)due();
	assert_null(neigh_leave(&table, &key, &frame));
	for (int i = 0; i < NEIGH_TRIES; i++) {
		now += NEIGH_RETRANS_US;
		ask = due();
	}
	assert_ptr_equal(ask.frame, &frame);
}

static void test_neigh_gateway_has_its_place_whatever_comes(void **state)
{
	(void)state;
	pin_router();
	for (uint32_t i = 0; i < 100000; i++) {
		struct neigh_key stranger = scanned(i);

		hear_question(scanned(0x100000 + i), mac_b);
		(void)neigh_use(&table, &stranger, now);
	}
	assert_true(mac_is(router(), mac_a));
}

// Somebody says with all flags that the gateway is at his: the old one is asked first, and keeps its place when it answers.
static void test_neigh_gateway_that_answers_is_not_moved_by_others(void **state)
{
	struct neigh_ask ask;

	(void)state;
	pin_router();
	for (int i = 0; i < 50; i++) {
		assert_null(learn(router(), mac_b, i % 2 == 0));
		hear_question(router(), mac_b);
		ask = due();
		assert_int_equal(ask.kind, NEIGH_ASK_ONE);
		assert_memory_equal(ask.mac.octets, mac_a.octets, 6);
		assert_true(mac_is(router(), mac_a));
		assert_null(learn(router(), mac_a, true)); // the true one answers
		assert_int_equal(state_of(router()), NEIGH_REACHABLE);
	}
}

static void test_neigh_gateway_that_is_silent_is_followed_within_a_second(void **state)
{
	uint64_t began = now;

	(void)state;
	pin_router();
	assert_null(learn(
		router(), mac_b, false)); // a standby has taken over, with a MAC address of its own
	for (int i = 0; i < NEIGH_TRIES; i++, now += NEIGH_VERIFY_US) {
		assert_int_equal(due().kind, NEIGH_ASK_ONE);
		assert_null(learn(router(), mac_b, false)); // impatience changes nothing
	}
	assert_int_equal(due().kind, NEIGH_ASK_ALL);
	assert_null(learn(router(), mac_b, true));
	assert_true(mac_is(router(), mac_b));
	assert_true(now - began < 1000000);
}

// ---- The addresses of a port

static void test_iface_next_hop_is_on_link_or_the_gateway_of_the_family(void **state)
{
	struct iface iface = {.mac = mac_a, .address_count = 2};
	struct ip_addr near4 = addr("10.12.170.32"), far4 = addr("8.8.8.8"),
		       near6 = addr("2001:db8:12::20"), far6 = addr("2001:db8:13::1"),
		       ours = addr("fe80::ff:fe00:a"), odd = addr("10.12.171.1");

	(void)state;
	iface.addresses[0] = (struct iface_addr){addr("10.12.170.5"), 120};
	iface.addresses[1] = (struct iface_addr){addr("2001:db8:12::5"), 47};
	iface_add_link_local(&iface);
	assert_int_equal(iface.address_count, 3);
	assert_true(iface_has(&iface, &ours)); // 02:00:00:00:00:0a, the universal bit turned over
	assert_ptr_equal(iface_next_hop(&iface, &near4), &near4);
	assert_ptr_equal(iface_next_hop(&iface, &near6), &near6);
	assert_ptr_equal(iface_next_hop(&iface, &far6), &far6); // 12 and 13 are one /47
	iface.addresses[1].len = 64;
	assert_null(iface_next_hop(&iface, &far4));
	assert_null(iface_next_hop(&iface, &far6));
	assert_null(iface_next_hop(&iface, &odd));
	iface.gateways[0] = addr("fe80::1");
	iface.gateways[1] = addr("10.12.170.1");
	iface.gateway_count = 2;
	assert_ptr_equal(iface_next_hop(&iface, &far4), &iface.gateways[1]);
	assert_ptr_equal(iface_next_hop(&iface, &far6), &iface.gateways[0]);
	assert_ptr_equal(iface_next_hop(&iface, &iface.gateways[0]), &iface.gateways[0]);
}

static void test_iface_without_v6_has_no_link_local(void **state)
{
	struct iface iface = {.address_count = 1};

	(void)state;
	iface.addresses[0] = (struct iface_addr){addr("10.12.170.5"), 120};
	iface_add_link_local(&iface);
	assert_int_equal(iface.address_count, 1);
}

#define NEIGH_TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NEIGH_TEST(test_neigh_unknown_is_asked_for_and_its_frame_waits),
		NEIGH_TEST(test_neigh_silence_is_asked_three_times_and_given_up),
		NEIGH_TEST(test_neigh_in_use_is_probed_and_stays),
		NEIGH_TEST(test_neigh_gone_while_in_use_is_forgotten),
		NEIGH_TEST(test_neigh_idle_is_left_alone),
		NEIGH_TEST(test_neigh_other_mac_by_the_override_flag),
		NEIGH_TEST(test_neigh_answer_without_a_mac_completes_nothing),
		NEIGH_TEST(test_neigh_postponed_question_is_not_counted),
		NEIGH_TEST(test_neigh_unasked_word_makes_no_entry),
		NEIGH_TEST(test_neigh_scan_is_bounded_and_displaces_nobody),
		NEIGH_TEST(test_neigh_invented_questions_displace_no_confirmed_one),
		NEIGH_TEST(test_neigh_gateway_is_watched_without_traffic),
		NEIGH_TEST(test_neigh_gateway_frame_does_not_wait_for_ever),
		NEIGH_TEST(test_neigh_gateway_has_its_place_whatever_comes),
		NEIGH_TEST(test_neigh_gateway_that_answers_is_not_moved_by_others),
		NEIGH_TEST(test_neigh_gateway_that_is_silent_is_followed_within_a_second),
		cmocka_unit_test(test_iface_next_hop_is_on_link_or_the_gateway_of_the_family),
		cmocka_unit_test(test_iface_without_v6_has_no_link_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
