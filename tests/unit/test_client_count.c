// How many sessions a client has: against a plain array, and with the table as full as it gets.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/client_count.h"

enum { CONNS = 64, CLIENTS = 128 };

static struct client_count *make(void)
{
	const struct siphash_key key = {3, 4};

	return client_count_init(calloc(1, client_count_octets(CONNS)), CONNS, &key);
}

static void test_client_count_random_use_agrees_with_an_array(void **state)
{
	struct client_count *t = make();
	uint32_t want[CLIENTS] = {0}, open = 0;

	(void)state;
	srandom(1);
	for (int i = 0; i < 20000; i++) {
		uint32_t who = (uint32_t)random() % CLIENTS;
		struct ip_addr a = ip_addr_from_v4(0x0a000000 + who / 2);
		uint16_t slot = (uint16_t)(who % 2);

		if (random() % 2 == 0 && open < CONNS) {
			assert_int_equal(client_count_add(t, &a, slot), ++want[who]);
			open++;
		} else if (want[who] > 0) {
			assert_int_equal(client_count_remove(t, &a, slot), --want[who]);
			open--;
		}
	}
	free(t);
}

static void test_client_count_v6_client_is_its_64(void **state)
{
	struct client_count *t = make();
	struct ip_addr a, b, c;

	(void)state;
	assert_true(ip_addr_parse("2001:db8::1", &a) && ip_addr_parse("2001:db8::ffff:2", &b));
	assert_true(ip_addr_parse("2001:db8:0:1::1", &c));
	assert_int_equal(client_count_add(t, &a, 0), 1);
	assert_int_equal(client_count_add(t, &b, 0), 2);
	assert_int_equal(client_count_add(t, &c, 0), 1);
	free(t);
}

static void test_client_count_full_of_different_clients_still_finds_each(void **state)
{
	struct client_count *t = make();

	(void)state;
	for (uint32_t i = 0; i < CONNS; i++) {
		struct ip_addr a = ip_addr_from_v4(0xc0000200 + i);

		assert_int_equal(client_count_add(t, &a, 7), 1);
	}
	for (uint32_t i = 0; i < CONNS; i++) {
		struct ip_addr a = ip_addr_from_v4(0xc0000200 + i);

		assert_int_equal(client_count_remove(t, &a, 7), 0);
	}
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_count_random_use_agrees_with_an_array),
		cmocka_unit_test(test_client_count_v6_client_is_its_64),
		cmocka_unit_test(test_client_count_full_of_different_clients_still_finds_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
