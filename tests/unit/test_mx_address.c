// Where mail that is routed by MX may not go.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/mx_address.h"

static bool allowed(const char *text)
{
	struct config_iface_addr own = {.len = 24};
	struct config_port port = {.addresses = &own, .address_count = 1};
	const struct config config = {.ports = &port, .port_count = 1};
	struct ip_addr addr;

	assert_true(ip_addr_parse("198.51.100.5", &own.addr));
	assert_true(ip_addr_parse(text, &addr));
	return mx_address_is_allowed(&config, &addr);
}

static void test_mx_address_of_our_trust_is_refused(void **state)
{
	static const char *const refused[] = {"0.0.0.0", "10.0.0.0", "10.255.255.255", "100.64.0.1",
		"100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.1.1", "172.16.0.0",
		"172.31.255.255", "192.0.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255",
		"224.0.0.1", "255.255.255.255", "198.51.100.5", "::", "::1", "::7f00:1", "fe80::1",
		"febf::1", "fc00::1", "fdff::1", "ff02::1", "2002:7f00:1::", "64:ff9b::7f00:1",
		"64:ff9b:1::1", "2001::1", "fec0::1"};

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (allowed(refused[i]))
			fail_msg("%s is allowed", refused[i]);
	}
}

static void test_mx_address_of_the_internet_is_allowed(void **state)
{
	static const char *const good[] = {"9.255.255.255", "11.0.0.0", "100.63.255.255",
		"100.128.0.0", "126.255.255.255", "128.0.0.0", "172.15.255.255", "172.32.0.0",
		"192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"198.51.100.6", "2001:db8::1", "2a00::1", "2003::1", "fe00::1"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!allowed(good[i]))
			fail_msg("%s is refused", good[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mx_address_of_our_trust_is_refused),
		cmocka_unit_test(test_mx_address_of_the_internet_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
