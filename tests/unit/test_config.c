// Loading configurations: every kind of mistake with its place, what the example becomes, and limits.

#include "tests/unit/config_text.h"

#include <stdlib.h>
#include <time.h>

#include "config/config.h"
#include "config/mistakes.h"

// A whole configuration, with one line for each top-level key, into which the table below puts one other line.
static const char *const base[] = {
	"ports: [{device: net_null0, addresses: [10.12.170.5/24, 10.12.170.74/24]}]",
	"own_networks: [10.12.0.0/16]",
	"spool: /var/spool/postern",
	"routes: [{domains: ['*'], to: 10.12.170.30}]",
	"virtual_servers: [{name: a, listen: 10.12.170.5}]",
	"guarantees: [{vserver: a, relays_without_login: nobody}]",
};

enum {
	LINE_PORTS = 1,
	LINE_OWN,
	LINE_SPOOL,
	LINE_ROUTES,
	LINE_SERVERS,
	LINE_GUARANTEES,
	LINE_END, // a line more
};

#define PORT           "ports: [{device: d, addresses: [10.12.170.5/24, 10.12.170.74/24]"
#define PORT6          "ports: [{device: d, addresses: [10.12.170.5/24, \"2001:db8:12::5/64\"]"
#define ADDRESS6(text) "ports: [{device: d, addresses: [10.12.170.5/24, \"" text "\"]}]"
#define SERVER         "virtual_servers: [{name: a, listen: 10.12.170.5"
#define LATER          "not supported by this version yet: remove it"

// One mistake each: the line it replaces, its text, the column, and what the message says.
static const struct {
	unsigned line;
	const char *text;
	unsigned column;
	const char *says;
} rows[] = {
	// keys
	{LINE_END, "spol: x", 1, "unknown key \"spol\": did you mean spool?"},
	{LINE_END, "zzzzzzzz: x", 1, "unknown key \"zzzzzzzz\": expected one of those"},
	{LINE_END, "dataplane: {wokers: [1]}", 13,
		"\"wokers\" in dataplane: did you mean workers?"},
	{LINE_END, "spool: /x", 1, "key spool is there twice: the first is on line 3"},
	{LINE_SPOOL, "control: {user: postern}", 1, "spool is missing: expected a path"},
	{LINE_SERVERS, "virtual_servers: [{name: a}]", 19,
		"listen is missing in virtual_servers[]"},
	{LINE_SERVERS, SERVER ", relay: {onlly: []}}]", 58, "did you mean only?"},
	{LINE_END, "[a, b]: 1", 1, "found a list as a key"},
	// planned keys
	{LINE_END, "directories: [{name: local}]", 1, "directories is " LATER},
	{LINE_END, "peers: [{name: b}]", 1, "peers is " LATER},
	{LINE_SERVERS, SERVER ", tls: {key: k}}]", 50, "certificate is missing"},
	{LINE_SERVERS, SERVER ", tls: {certificate: c}}]", 50, "key is missing"},
	{LINE_SERVERS, SERVER ", tls: {}}]", 50, "certificate is missing"},
	{LINE_SERVERS, SERVER ", tls: {certificate: c, key: k, ciphers: x}}]", 80, "unknown key"},
	{LINE_SERVERS, SERVER ", auth: {sender: any}}]", 50, "auth is " LATER},
	{LINE_SERVERS, SERVER ", peers: [b]}]", 50, "peers is " LATER},
	{LINE_SERVERS, SERVER ", masquerade_domain: x.net}]", 50, "masquerade_domain is " LATER},
	{LINE_SERVERS, SERVER ", relay: {grant: []}}]", 58, "grant is " LATER},
	{LINE_SERVERS, SERVER ", relay: {authenticated: true}}]", 73, "logins are " LATER},
	// names
	{LINE_SERVERS, SERVER ", relay: {only: [laptop_1.neulan.net]}}]", 65,
		"expected letters, digits, hyphens and dots"},
	{LINE_SERVERS, SERVER ", relay: {only: [laptop.]}}]", 65, "ends with a dot"},
	{LINE_SERVERS, SERVER ", relay: {only: [.]}}]", 65, "expected an address or subnet"},
	{LINE_SERVERS, SERVER ", relay: {only: [0x0a000001]}}]", 65, "ends with a number"},
	{LINE_SERVERS, SERVER ", connections: {only: [\"/x(y/\"]}}]", 71,
		"has a group without its end"},
	{LINE_SERVERS, SERVER ", connections: {only: [\"/a)|(b/\"]}}]", 71,
		"end of a group without its begin"},
	{LINE_SERVERS, SERVER ", connections: {only: [\"/x\"]}}]", 71,
		"no regular expression between slashes"},
	{LINE_SERVERS, SERVER ", connections: {only: [\"//\"]}}]", 71,
		"no regular expression between slashes"},
	{LINE_SERVERS, SERVER ", connections: {only: [\"/(a|b)*/\"]}}]", 71,
		"matches an empty name"},
	{LINE_SERVERS, SERVER ", connections: {only: [\"/(?i)x/\"]}}]", 71, "expected groups only"},
	{LINE_SERVERS, SERVER ", connections: {only: ['/(x)\\1/']}}]", 71,
		"expected letters, digits"},
	{LINE_SERVERS, SERVER ", connections: {only: [\"/x{40000}/\"]}}]", 71,
		"no regular expression: Bounded repeat is too large"},
	{LINE_SERVERS, SERVER ", connections: {only: [\"/((a{900}){900}){900}/\"]}}]", 71,
		"is too large"},
	{LINE_SERVERS, SERVER ", forward_confirm: maybe}]", 67, "expected true or false"},
	{LINE_OWN, "own_networks: [a.example]", 16, "is a name: expected an address or subnet"},
	{LINE_SERVERS, "virtual_servers: [{name: a, listen: \"10.12.170.5:465\"}]", 37,
		"expected tls"},
	{LINE_SERVERS, "virtual_servers: [{name: a, listen: \"all-unassigned:465\"}]", 37,
		"expected tls"},
	{LINE_SERVERS, "virtual_servers: [{name: a, listen: mail.neulan.net}]", 37,
		"is a name: expected an address"},
	{LINE_ROUTES, "routes: [{domains: [\"*\"], to: [mx, a.example]}]", 32,
		"expected mx to be the only one"},
	{LINE_GUARANTEES,
		"guarantees: [{vserver: a, relays_without_login: {only: [], names: [x..y]}}]", 68,
		"has an empty label"},
	{LINE_OWN, "own_networks: [{network: 10.12.0.0/16, port: 0}]", 16, LATER},
	// shapes
	{LINE_PORTS, "ports: net_null0", 8, "found a single value: expected a list of maps"},
	{LINE_PORTS, "ports: []", 8, "found 0: expected 1 to 16"},
	{LINE_SERVERS, "virtual_servers: [a]", 19, "found a single value: expected keys"},
	{LINE_SPOOL, "spool: [/a, /b]", 8, "found a list: expected a path"},
	{LINE_SPOOL, "spool:", 1, "found nothing: expected a path"},
	{LINE_OWN, "own_networks:", 1, "found nothing: expected a list of prefixes"},
	{LINE_OWN, "own_networks: [[10.12.0.0/16]]", 16, "found a list in the list"},
	{LINE_OWN, "own_networks: [10.12.0.0/16, ~]", 30, "found nothing in the list"},
	{LINE_SERVERS, SERVER ", relay: [10.12.0.0/16]}]", 57, "found a list: expected keys"},
	// numbers, sizes, times, choices
	{LINE_END, "dataplane: {max_connections: 20k}", 30, "expected a whole number"},
	{LINE_END, "dataplane: {max_connections: 3}", 30, "expected 16 to 4000000"},
	{LINE_END, "dataplane: {max_connections: -3}", 30, "expected a whole number"},
	{LINE_END, "dataplane: {memory: 512MB}", 21, "expected a size in octets such as"},
	{LINE_END, "dataplane: {memory: 1MiB}", 21, "expected 128MiB to 1048576MiB"},
	{LINE_END, "dataplane: {memory: 99999999999GiB}", 21, "expected a size in octets"},
	{LINE_END, "dataplane: {poll: lazy}", 19, "expected one of adaptive|busy"},
	{LINE_END, "dataplane: {syn_cookies: yes}", 26, "expected one of pressure|always"},
	{LINE_END, "dataplane: {workers: [1, 1]}", 26, "is in the list twice"},
	{LINE_END, "dataplane: {workers: []}", 22, "found an empty list"},
	{LINE_END, "dataplane: {workers: [one]}", 23, "expected a CPU number"},
	{LINE_END, "delivery: {expire: 300}", 20, "expected a time with its unit"},
	{LINE_END, "delivery: {retry_max: 1s}", 23, "expected at least retry_first, 300s"},
	{LINE_END, "delivery: {retry_first: 6h, retry_max: 6h, expire: 1h}", 52,
		"at least retry_first"},
	{LINE_END, "delivery: {helo: a_b.net}", 18, "expected letters, digits, hyphens"},
	{LINE_SERVERS, SERVER ", max_message: 1}]", 63, "expected 64KiB to 2048MiB"},
	{LINE_SERVERS, SERVER ", fqdn: 10.12.170.5}]", 56, "ends with a number: expected a name"},
	{LINE_SERVERS, SERVER ", fqdn: mail.neulan.net.}]", 56, "ends with a dot"},
	{LINE_SERVERS, SERVER ", open_relay: true}]", 62, "expected i-understand"},
	{LINE_SERVERS, SERVER ", connections: {refuse: maybe}}]", 72, "one of reset|drop|reply"},
	{LINE_SERVERS, SERVER ", log: {format: xml}}]", 64, "expected one of w3c|json|both"},
	{LINE_END,
		"control: {socket: /"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}",
		19, "expected at most 107 characters"},
	// addresses and prefixes
	{LINE_OWN, "own_networks: [10.12.8.1/24]", 16,
		"expected 10.12.8.0/24 for the subnet or 10.12.8.1"},
	{LINE_OWN, "own_networks: [010.12.0.0/16]", 16, "expected an address or subnet"},
	{LINE_OWN, "own_networks: [10.12/16]", 16, "expected an address or subnet"},
	{LINE_OWN, "own_networks: [10.12.0.0/33]", 16, "at most 32"},
	{LINE_OWN, "own_networks: [10.12.0.0/08]", 16, "without leading zeros"},
	{LINE_OWN, "own_networks: ['::ffff:10.12.0.0/112']", 16,
		"expected it as IPv4, 10.12.0.0/16"},
	{LINE_OWN, "own_networks: [0.0.0.0/0]", 16, "wider than any organisation's network"},
	{LINE_PORTS, "ports: [{device: d, addresses: [10.12.170.5/24, 10.12.170.74]}]", 49,
		"has no prefix length"},
	{LINE_PORTS, "ports: [{device: d, addresses: [10.12.170.5/24, 10.12.170.255/24]}]", 49,
		"first or last of its subnet"},
	{LINE_PORTS, "ports: [{device: d, addresses: [10.12.170.5/24, 10.12.170.5/24]}]", 49,
		"is there already on line 1"},
	{LINE_PORTS, "ports: [{device: d, addresses: [10.12.170.5/24, 224.0.0.5/24]}]", 49,
		"no address that a machine can have"},
	{LINE_PORTS, PORT "}, {device: d, addresses: [10.13.0.1/24]}]", 77,
		"is a port already on line 1"},
	{LINE_PORTS, PORT ", vlan: 7}, {device: d, vlan: [7], addresses: [10.13.0.1/24]}]", 86,
		"is a port already on line 1"},
	{LINE_PORTS, PORT ", vlan: 4095}]", 73, "a VLAN number, 1 to 4094"},
	{LINE_PORTS, PORT ", vlan: [3, 0]}]", 77, "a VLAN number, 1 to 4094"},
	{LINE_PORTS, PORT ", vlan: [1, 2, 3]}]", 73, "found 3 entries: expected at most 2"},
	{LINE_PORTS, PORT ", vlan: office}]", 73, "a VLAN number, 1 to 4094"},
	{LINE_PORTS, PORT ", gateway: 10.13.0.1}]", 76, "in no subnet of this port"},
	{LINE_PORTS, PORT ", gateway: 10.12.170.74}]", 76, "is an address of this server"},
	{LINE_PORTS, PORT ", gateway: \"2001:db8::1\"}]", 76, "in no subnet of this port"},
	{LINE_PORTS, PORT ", gateway: \"fe80::1\"}]", 76, "in no subnet of this port"},
	{LINE_PORTS, PORT6 ", gateway: \"2001:db8:13::1\"}]", 80, "in no subnet of this port"},
	{LINE_PORTS, PORT6 ", gateway: [\"fe80::1\", \"2001:db8:12::1\"]}]", 92,
		"one router of each family"},
	{LINE_PORTS, PORT6 ", gateway: \"::ffff:10.12.170.1\"}]", 80, "IPv4 written as IPv6"},
	{LINE_PORTS, PORT6 ", mtu: 1279}]", 18, "expected at least 1280"},
	{LINE_PORTS, ADDRESS6("2001:db8:12::5"), 49, "such as 2001:db8:12::5/64"},
	{LINE_PORTS, ADDRESS6("2001:db8:12::/64"), 49, "first of its subnet"},
	{LINE_PORTS, ADDRESS6("fe80::5/64"), 49, "Postern makes that one itself"},
	{LINE_PORTS, ADDRESS6("ff02::5/64"), 49, "no address that a machine can have"},
	{LINE_PORTS, ADDRESS6("::1/128"), 49, "no address that a machine can have"},
	{LINE_PORTS, ADDRESS6("2001::5/16"), 49, "larger than /32"},
	{LINE_PORTS, ADDRESS6("::ffff:10.12.170.9/120"), 49, "IPv4 written as IPv6"},
	{LINE_PORTS, ADDRESS6("2001:db8:12::5/129"), 49, "at most 128"},
	{LINE_SERVERS, "virtual_servers: [{name: a, listen: \"[2001:db8::1]:25\"}]", 37,
		"no address of any port"},
	{LINE_SERVERS, "virtual_servers: [{name: a, listen: \"::ffff:10.12.170.5\"}]", 37,
		"IPv4 written as IPv6"},
	{LINE_PORTS, PORT ", mtu: 100}]", 72, "expected 576 to 9000"},
	{LINE_PORTS, "ports: [{device: 'a b', addresses: [10.12.170.5/24]}]", 18, "without spaces"},
	{LINE_PORTS, "ports: [{device: --vdev, addresses: [10.12.170.5/24]}]", 18, "PCI address"},
	// virtual servers
	{LINE_SERVERS, "virtual_servers: [{name: a, listen: 10.12.170.6}]", 37,
		"no address of any port"},
	{LINE_SERVERS, "virtual_servers: [{name: a, listen: \"10.12.170.5:0\"}]", 37, "1 to 65535"},
	{LINE_SERVERS, "virtual_servers: [{name: a, listen: [10.12.170.5, 10.12.170.5]}]", 51,
		"port 25 is there already on line 5"},
	{LINE_SERVERS, SERVER "}, {name: b, listen: \"10.12.170.5:587\"}]", 69,
		"claimed by virtual server a on line 5"},
	{LINE_SERVERS, SERVER "}, {name: a, listen: 10.12.170.74}]", 58,
		"a is a virtual server already on line 5"},
	{LINE_SERVERS,
		"virtual_servers: [{name: a, listen: all-unassigned}, {name: b, listen: "
		"all-unassigned}]",
		72, "all-unassigned is claimed by virtual server a on line 5"},
	{LINE_SERVERS, SERVER ", workers: [2]}]", 59, "CPU 2 is not in dataplane.workers"},
	{LINE_SERVERS, SERVER ", log: {file: l}}, {name: b, listen: 10.12.170.74, log: {file: l}}]",
		111, "is the log of virtual server a on line 5"},
	{LINE_SERVERS, "virtual_servers: [{name: a/b, listen: 10.12.170.5}]", 26,
		"letters, digits"},
	{LINE_SERVERS, SERVER ", relay: {only: [], all_except: []}}]", 68,
		"both only and all_except"},
	// domains and routes
	{LINE_SERVERS, SERVER ", local_domains: ['']}]", 66, "is empty"},
	{LINE_SERVERS, SERVER ", local_domains: [a..b]}]", 66, "empty label"},
	{LINE_SERVERS, SERVER ", local_domains: [x.net, X.net]}]", 73,
		"x.net is there already on line 5"},
	{LINE_SERVERS, SERVER ", local_domains: [com]}]", 66, "public suffix"},
	{LINE_SERVERS, SERVER ", relay_domains: [.co.uk]}]", 66, "public suffix"},
	{LINE_SERVERS, SERVER ", local_domains: ['*']}]", 66, "every domain there is"},
	{LINE_ROUTES, "routes: [{domains: ['*', '*'], to: h.net}]", 26,
		"is there already on line 4"},
	{LINE_ROUTES, "routes: [{domains: ['*'], to: 10.12.170.74}]", 31, "mail would come back"},
	{LINE_ROUTES, "routes: [{domains: ['*'], to: 'h.net:99999'}]", 31, "1 to 65535"},
	{LINE_ROUTES, "routes: [{domains: ['*'], to: []}]", 31, "found an empty list"},
	{LINE_END, "delivery: {source: 10.12.170.74}", 20, "is an address of a port of Postern"},
	{LINE_GUARANTEES, "guarantees: [{vserver: x, relays_without_login: nobody}]", 24,
		"there is no virtual server x"},
	{LINE_GUARANTEES, "guarantees: [{vserver: a, relays_without_login: everybody}]", 49,
		"expected nobody, or {only"},
	// YAML
	{LINE_OWN, "own_networks: [10.12.0.0/16", 1,
		"YAML syntax error"}, // told where the key's text ends
	{LINE_END, "delivery: &x {}", 11, "found an anchor"},
	{LINE_END, "delivery: !t {}", 11, "found a tag"},
	{LINE_END, "delivery: {helo: @x}", 18,
		"YAML syntax error: plain scalar cannot start with '@'"},
	{LINE_END, "delivery: {helo: \"a\x01\"}", 20, "neither UTF-8 nor printable"},
	{LINE_END, "delivery: {helo: \"a\xff\"}", 20, "neither UTF-8 nor printable"},
	{LINE_END, "%YAML 1.2", 1, "YAML directive"},
};

static void compose(char *out, size_t size, unsigned line, const char *text)
{
	size_t at = 0;

	for (unsigned i = 1; i <= LINE_END; i++) {
		const char *row = i == line ? text : i == LINE_END ? "" : base[i - 1];

		at += (size_t)snprintf(out + at, size - at, "%s\n", row);
	}
}

static void test_config_base_of_the_table_is_good(void **state)
{
	struct config_text_mistakes mistakes;
	char text[2048];

	(void)state;
	compose(text, sizeof(text), 0, "");
	struct config *config = config_text_load(text, &mistakes);
	config_text_print(&mistakes);
	assert_non_null(config);
	config_free(config);
}

static void test_config_each_mistake_is_found_once_at_its_place(void **state)
{
	unsigned failed = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_text_mistakes mistakes;
		char text[2048];

		compose(text, sizeof(text), rows[i].line, rows[i].text);
		config_free(config_text_load(text, &mistakes));
		// An unclosed bracket is seen where the next key begins; a key that is missing, at the start.
		const unsigned line = strstr(rows[i].says, "spool is missing") != NULL ? 1
				      : rows[i].text[strlen(rows[i].text) - 1] == '6'
					      ? rows[i].line + 1
					      : rows[i].line;
		if (mistakes.count == 1 && mistakes.pos[0].line == line &&
			mistakes.pos[0].column == rows[i].column &&
			strstr(mistakes.messages[0], rows[i].says) != NULL)
			continue;
		print_message("row %zu: %s\nwant %u:%u: %s\n", i, rows[i].text, line,
			rows[i].column, rows[i].says);
		config_text_print(&mistakes);
		failed++;
	}
	assert_int_equal(failed, 0);
}

static void test_config_vlans_of_one_device_are_ports_of_their_own(void **state)
{
	static const char text[] =
		"spool: /s\nroutes: [{domains: ['*'], to: 192.0.2.30}]\nports:\n"
		"  - {device: net_x0, addresses: [192.0.2.1/24]}\n"
		"  - {device: net_x0, vlan: 100, addresses: [198.51.100.1/24]}\n"
		"  - {device: net_x0, vlan: [100, 100], addresses: [203.0.113.1/24]}\n"
		"virtual_servers: [{name: v, listen: 192.0.2.1, local_domains: [a.example]}]\n";
	struct config_text_mistakes mistakes;
	struct config *config = config_text_load(text, &mistakes);

	(void)state;
	config_text_print(&mistakes);
	assert_non_null(config);
	assert_int_equal(config->ports[0].vlan.count, 0);
	assert_int_equal(config->ports[1].vlan.count, 1);
	assert_int_equal(config->ports[1].vlan.ids[0], 100);
	assert_int_equal(config->ports[2].vlan.count, 2);
	assert_int_equal(config->ports[2].vlan.ids[1], 100);
	config_free(config);
}

static void test_config_five_mistakes_are_five_messages_in_order(void **state)
{
	static const char text[] =
		"dataplane: {workers: [1], pol: busy}\n"
		"ports: [{device: net_null0, addresses: [10.12.170.5/24]}]\n"
		"own_networks: [10.12.8.1/24]\n"
		"spool: /var/spool/postern\n"
		"routes: [{domains: [neulan.net], to: 10.12.170.30}]\n"
		"virtual_servers:\n"
		"  - {name: a, listen: 10.12.170.5, local_domains: [neulan.net], fqdn: a..b}\n"
		"  - {name: b, listen: 10.12.170.5}\n"
		"peers: []\n";
	static const struct config_pos want[] = {{1, 27}, {3, 16}, {7, 71}, {8, 23}, {9, 1}};
	struct config_text_mistakes mistakes;

	(void)state;
	assert_null(config_text_load(text, &mistakes));
	config_text_print(&mistakes);
	assert_int_equal(mistakes.count, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(mistakes.pos[i].line, want[i].line);
		assert_int_equal(mistakes.pos[i].column, want[i].column);
	}
}

static void test_config_syntax_error_does_not_hide_other_keys(void **state)
{
	static const char text[] = "spool: [1\nports: 3\ndelivery: {expire: 1x}\nroutes: {\n";
	static const struct config_pos want[] = {{1, 8}, {2, 1}, {2, 8}, {3, 20}, {4, 9}, {5, 1}};
	struct config_text_mistakes mistakes;

	(void)state;
	assert_null(config_text_load(text, &mistakes));
	config_text_print(&mistakes);
	assert_int_equal(mistakes.count, 6);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(mistakes.pos[i].line, want[i].line);
		assert_int_equal(mistakes.pos[i].column, want[i].column);
	}
}

static void test_config_thousands_of_mistakes_end_with_a_count(void **state)
{
	enum {
		LINES = 3000,
	};
	struct config_text_mistakes mistakes;
	char *text = calloc(LINES, 16), *at = text;

	(void)state;
	for (unsigned i = 0; i < LINES; i++)
		at += sprintf(at, "x%u: 1\n", i);
	assert_null(config_text_load(text, &mistakes));
	assert_int_equal(mistakes.count, MISTAKES_KEPT + 1);
	free(text);
}

static void test_config_empty_and_wrong_files_are_mistakes(void **state)
{
	static const char *const texts[] = {"", "# only a comment\n", "- a\n", "x\n", "~\n"};
	struct config_text_mistakes mistakes = {.count = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_null(config_text_load(texts[i], &mistakes));
		assert_int_equal(mistakes.count, 1);
		assert_int_equal(mistakes.pos[0].line, 1);
	}
	mistakes.count = 0;
	assert_null(config_load("/nonexistent/x.yaml", -1, config_text_keep, &mistakes));
	assert_null(config_load("/", -1, config_text_keep, &mistakes));
	assert_int_equal(mistakes.count, 2);
	assert_non_null(strstr(mistakes.messages[0], "cannot read this file: No such file"));
}

static void test_config_defaults_are_those_of_the_schema(void **state)
{
	struct config_text_mistakes mistakes;
	char text[2048];

	(void)state;
	compose(text, sizeof(text), LINE_END, "control: {socket: run/c}");
	struct config *config = config_text_load(text, &mistakes);
	assert_non_null(config);
	assert_int_equal(config->dataplane.worker_count, 1);
	assert_int_equal(config->dataplane.workers[0], 1);
	assert_int_equal(config->dataplane.memory_octets, 512 << 20);
	assert_int_equal(config->dataplane.max_connections, 20000);
	assert_string_equal(config->control_socket, "/etc/postern/run/c"); // relative to the file
	assert_string_equal(config->control_user, "nobody");
	assert_int_equal(config->ports[0].mtu, 1500);
	assert_int_equal(config->delivery.retry_first_s, 300);
	assert_int_equal(config->delivery.expire_s, 432000);
	assert_int_equal(config->vservers[0].listen[0].port, 25);
	assert_int_equal(config->vservers[0].max_message_octets, LIMIT_MESSAGE_OCTETS);
	assert_int_equal(config->vservers[0].max_connections_per_client, LIMIT_CONNS_PER_CLIENT);
	assert_non_null(config->vservers[0].fqdn);
	assert_string_equal(config->delivery.helo, config->vservers[0].fqdn);
	assert_int_equal(config->routes[0].hops[0].port, 25);
	config_free(config);
}

// head and count times each, then loaded.
static void load_many(
	const char *head, const char *each, size_t count, struct config_text_mistakes *mistakes)
{
	char *text = malloc(strlen(head) + count * strlen(each) + 1);

	assert_non_null(text);
	char *at = stpcpy(text, head);

	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, each);
	assert_null(config_text_load(text, mistakes));
	free(text);
}

static bool has_mistake(
	const struct config_text_mistakes *mistakes, uint32_t line, const char *message)
{
	for (unsigned i = 0; i < mistakes->count && i < 32; i++) {
		if (mistakes->pos[i].line == line && strstr(mistakes->messages[i], message) != NULL)
			return true;
	}
	config_text_print(mistakes);
	return false;
}

// Refused where there are too many, and not only when all have been read.
static void test_config_endless_lists_are_refused_on_the_way(void **state)
{
	struct config_text_mistakes mistakes;

	(void)state;
	// The root, the list, and three for each line: the last that fits is in line 2 + 5461.
	load_many("spool: /s\nvirtual_servers:\n",
		"- {name: a, listen: [10.12.170.5], local_domains: [neulan.net]}\n", 100000,
		&mistakes);
	assert_true(has_mistake(&mistakes, 2 + 5461, "found more than 16384 lists and maps"));
	assert_true(has_mistake(&mistakes, 3, "virtual_servers: found 5461: expected 1 to 64"));
	assert_int_equal(mistakes.count, 2);
	load_many("spool: /s\nvirtual_servers: [", "[], ", 1000000, &mistakes);
	assert_true(has_mistake(&mistakes, 2, "found more than 16384 lists and maps on this line"));
	load_many("{spool: /s, routes: [", "'1',", 2100000, &mistakes);
	assert_true(has_mistake(&mistakes, 1, "found more than 2000000 values on this line"));
	load_many("spool: /s\nroutes: [\n", "  1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,\n", 260000,
		&mistakes);
	assert_true(has_mistake(&mistakes, 2 + 250000, "found more than 5000000 values"));
}

// A slip makes each line a key of its own: a parser for each is too much.
static void test_config_syntax_error_before_a_million_keys_is_quick(void **state)
{
	struct config_text_mistakes mistakes;

	(void)state;
	load_many("routes: [\n", "1,\n", 1000000, &mistakes);
	assert_true(has_mistake(&mistakes, 2, "YAML syntax error"));
	assert_true(has_mistake(&mistakes, 1001, "found more than 1000 keys after a syntax error"));
}

static void test_config_a_million_prefixes_load_in_seconds(void **state)
{
	enum {
		COUNT = 1000000,
	};
	struct config_text_mistakes mistakes;
	struct timespec start, end;
	char *text = malloc(COUNT * 24 + 2048), *at;

	(void)state;
	compose(text, 2048, LINE_SERVERS, "delivery: {}");
	(void)strcat(text, "virtual_servers: [{name: a, listen: 10.12.170.5}, "
			   "{name: b, listen: 10.12.170.74, connections: {only: [");
	at = text + strlen(text);
	for (uint32_t i = 0; i < COUNT; i++)
		at += sprintf(
			at, "%u.%u.%u.%u,\n ", 1 + i % 200, i / 200 % 256, i / 51200, i % 251);
	(void)sprintf(at, "]}}]\n");
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	struct config *config = config_text_load(text, &mistakes);
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	config_text_print(&mistakes);
	assert_non_null(config);
	assert_int_equal(config->vservers[1].connections.prefix_count, COUNT);
	print_message("%d prefixes in %zu octets loaded in %ld ms\n", COUNT, strlen(text),
		(end.tv_sec - start.tv_sec) * 1000 + (end.tv_nsec - start.tv_nsec) / 1000000);
	config_free(config);
	free(text);
}

static void fail_on_mistake(
	void *user, const char *path, struct config_pos pos, const char *message)
{
	(void)user;
	print_message("%s:%u:%u: %s\n", path, pos.line, pos.column, message);
}

static void test_config_example_is_the_reference_deployment(void **state)
{
	struct config *config =
		config_load(SOURCE_ROOT "/config/example.yaml", -1, fail_on_mistake, NULL);

	(void)state;
	assert_non_null(config);
	assert_int_equal(config->vserver_count, 2);
	const struct config_vserver *mx = &config->vservers[0], *relay = &config->vservers[1];

	assert_string_equal(mx->name, "default");
	assert_int_equal(mx->relay.mode, CONFIG_LIST_ONLY);
	assert_int_equal(mx->relay.prefix_count, 0);
	assert_int_equal(mx->listen_count, 2);
	assert_false(ip_addr_is_v4(&mx->listen[1].addr));
	assert_int_equal(config->ports[0].address_count, 3);
	assert_int_equal(config->ports[0].gateway_count, 2);
	assert_string_equal(relay->fqdn, "smtp-relay.neulan.net");
	assert_int_equal(relay->connections.prefix_count, 2);
	assert_int_equal(relay->refuse, CONFIG_REFUSE_RESET);
	assert_string_equal(relay->relay.prefixes[1].text, "10.12.8.0/24");
	assert_int_equal(relay->relay.prefixes[1].len, 96 + 24);
	assert_string_equal(config->routes[0].hops[0].host, "10.12.170.30");
	assert_int_equal(config->guarantees[1].relays_without_login.mode, CONFIG_LIST_ONLY);
	assert_int_equal(config->guarantees[1].relays_without_login.prefix_count, 0);
	assert_int_equal(config->guarantees[1].connects.mode, CONFIG_LIST_NONE);
	assert_int_equal(config->guarantees[2].connects.prefix_count, 2);
	assert_int_equal(config->dynamic_pool_count, 1);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_base_of_the_table_is_good),
		cmocka_unit_test(test_config_each_mistake_is_found_once_at_its_place),
		cmocka_unit_test(test_config_vlans_of_one_device_are_ports_of_their_own),
		cmocka_unit_test(test_config_five_mistakes_are_five_messages_in_order),
		cmocka_unit_test(test_config_syntax_error_does_not_hide_other_keys),
		cmocka_unit_test(test_config_thousands_of_mistakes_end_with_a_count),
		cmocka_unit_test(test_config_empty_and_wrong_files_are_mistakes),
		cmocka_unit_test(test_config_endless_lists_are_refused_on_the_way),
		cmocka_unit_test(test_config_syntax_error_before_a_million_keys_is_quick),
		cmocka_unit_test(test_config_a_million_prefixes_load_in_seconds),
		cmocka_unit_test(test_config_defaults_are_those_of_the_schema),
		cmocka_unit_test(test_config_example_is_the_reference_deployment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
