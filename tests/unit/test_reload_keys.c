// Every key of the configuration: a reload applies it, or refuses it with its line. Nothing is passed over in silence.

#include "control_world.h"
#include "tls_world.h"

#include <sys/socket.h>

#include "config/schema.h"
#include "control/log_path.h"
#include "supervise/child_link.h"

enum {
	TEXT_OCTETS = 4096,
	EFFECTS_OCTETS = 8192,
};

enum outcome {
	APPLIED,   // something that workers, log or guard go by is another
	HANDED_ON, // to postern-deliver or postern-lookup, with the text
	REFUSED,   // needs a restart
};

// One key a line. %s: the directory.
static const char written[] = "own_networks: [10.0.0.0/8]\n"
			      "spool: %s\n"
			      "control:\n"
			      "  socket: /tmp/none.sock\n"
			      "  user: nobody\n"
			      "dataplane:\n"
			      "  workers: [1, 2]\n"
			      "  poll: adaptive\n"
			      "  memory: 512MiB\n"
			      "  huge_pages: auto\n"
			      "  max_connections: 20000\n"
			      "  syn_cookies: pressure\n"
			      "ports:\n"
			      "  - device: net_null0\n"
			      "    addresses: [10.12.170.1/24, 10.12.170.2/24, 10.12.170.3/24]\n"
			      "    gateway: 10.12.170.251\n"
			      "    vlan: [7, 8]\n"
			      "    mtu: 1400\n"
			      "routes:\n"
			      "  - domains: [first.test]\n"
			      "    to: [\"10.12.170.30:25\"]\n"
			      "  - domains: [\"*\"]\n"
			      "    to: mx\n"
			      "    private: refuse\n"
			      "delivery:\n"
			      "  concurrency: 20\n"
			      "  retry_first: 5m\n"
			      "  retry_max: 1h\n"
			      "  expire: 5d\n"
			      "  connect_timeout: 30s\n"
			      "  source: 10.12.170.9\n"
			      "  helo: out.first.test\n"
			      "dns:\n"
			      "  servers: [10.12.170.2]\n"
			      "  trust_anchor: /etc/anchor\n"
			      "virtual_servers:\n"
			      "  - name: a\n"
			      "    listen: [10.12.170.1]\n"
			      "    fqdn: a.first.test\n"
			      "    local_domains: [local.test]\n"
			      "    relay_domains: [relay.test]\n"
			      "    open_relay: i-understand\n"
			      "    forward_confirm: true\n"
			      "    workers: [1]\n"
			      "    max_message: 50MiB\n"
			      "    max_recipients: 1000\n"
			      "    max_connections: 10000\n"
			      "    max_connections_per_client: 50\n"
			      "    connections:\n"
			      "      only: [10.2.0.0/16]\n"
			      "      refuse: reset\n"
			      "    relay:\n"
			      "      only: [10.2.1.0/24]\n"
			      "      authenticated: false\n"
			      "    tls:\n"
			      "      certificate: a.pem\n"
			      "      key: a.key\n"
			      "    log:\n"
			      "      file: a.log\n"
			      "      format: w3c\n"
			      "  - name: b\n"
			      "    listen: [10.12.170.2]\n"
			      "guarantees:\n"
			      "  - vserver: a\n"
			      "    relays_without_login: {only: [10.0.0.0/8]}\n"
			      "    connects: {only: [0.0.0.0/0, \"::/0\"]}\n";

// One of a pair alone does not fit.
#define A_PAIR "certificate: a.pem\n      key: a.key"
#define B_PAIR "certificate: b.pem\n      key: b.key"

// What stands for a key in the text above, and what is written instead. Where the key itself must be another (all_except), both are.
static const struct change {
	enum schema_section section;
	const char *key, *from, *to;
	enum outcome outcome;
} changes[] = {
	{SCHEMA_SECTION_TOP, "own_networks", "own_networks: [10.0.0.0/8]",
		"own_networks: [10.0.0.0/9]", APPLIED},
	{SCHEMA_SECTION_TOP, "dynamic_pools", "own_networks: [10.0.0.0/8]",
		"own_networks: [10.0.0.0/8]\ndynamic_pools: [10.9.0.0/16]", APPLIED},
	{SCHEMA_SECTION_TOP, "spool", "spool: ", "spool: /else", REFUSED},
	{SCHEMA_SECTION_TOP, "ports", "    mtu: 1400\n",
		"    mtu: 1400\n  - {device: net_null1, addresses: [10.12.171.1/24]}\n", REFUSED},
	{SCHEMA_SECTION_TOP, "routes", "routes:\n",
		"routes:\n  - {domains: [third.test], to: mx}\n", HANDED_ON},
	{SCHEMA_SECTION_TOP, "virtual_servers", "  - name: b\n",
		"  - {name: c, listen: [10.12.170.3], workers: [2]}\n  - name: b\n", APPLIED},
	{SCHEMA_SECTION_TOP, "guarantees", "guarantees:\n",
		"guarantees:\n  - {vserver: b, relays_without_login: nobody}\n", APPLIED},
	{SCHEMA_SECTION_DATAPLANE, "workers", "  workers: [1, 2]", "  workers: [2, 1]", REFUSED},
	{SCHEMA_SECTION_DATAPLANE, "poll", "adaptive", "busy", APPLIED},
	{SCHEMA_SECTION_DATAPLANE, "memory", "512MiB", "513MiB", REFUSED},
	{SCHEMA_SECTION_DATAPLANE, "huge_pages", "auto", "no", REFUSED},
	{SCHEMA_SECTION_DATAPLANE, "max_connections", "20000", "20001", REFUSED},
	{SCHEMA_SECTION_DATAPLANE, "syn_cookies", "pressure", "always", APPLIED},
	{SCHEMA_SECTION_CONTROL, "socket", "none.sock", "some.sock", REFUSED},
	{SCHEMA_SECTION_CONTROL, "user", "nobody", "daemon", REFUSED},
	{SCHEMA_SECTION_PORT, "device", "net_null0", "net_null1", REFUSED},
	{SCHEMA_SECTION_PORT, "addresses", "170.3/24", "170.4/24", REFUSED},
	{SCHEMA_SECTION_PORT, "gateway", "170.251", "170.252", REFUSED},
	{SCHEMA_SECTION_PORT, "vlan", "vlan: [7, 8]", "vlan: [7, 9]", REFUSED},
	{SCHEMA_SECTION_PORT, "mtu", "1400", "1401", REFUSED},
	{SCHEMA_SECTION_ROUTE, "domains", "[first.test]", "[third.test]", HANDED_ON},
	{SCHEMA_SECTION_ROUTE, "to", "170.30:25", "170.31:25", HANDED_ON},
	{SCHEMA_SECTION_ROUTE, "private", "private: refuse", "private: allow", HANDED_ON},
	{SCHEMA_SECTION_DELIVERY, "concurrency", "20\n", "21\n", HANDED_ON},
	{SCHEMA_SECTION_DELIVERY, "retry_first", "5m", "6m", HANDED_ON},
	{SCHEMA_SECTION_DELIVERY, "retry_max", "1h", "2h", HANDED_ON},
	{SCHEMA_SECTION_DELIVERY, "expire", "5d", "6d", HANDED_ON},
	{SCHEMA_SECTION_DELIVERY, "connect_timeout", "30s", "31s", HANDED_ON},
	{SCHEMA_SECTION_DELIVERY, "source", "170.9\n", "170.8\n", HANDED_ON},
	{SCHEMA_SECTION_DELIVERY, "helo", "out.first.test", "out.third.test", HANDED_ON},
	{SCHEMA_SECTION_DNS, "servers", "servers: [10.12.170.2]", "servers: [10.12.170.7]",
		HANDED_ON},
	{SCHEMA_SECTION_DNS, "trust_anchor", "/etc/anchor", "/etc/other", HANDED_ON},
	{SCHEMA_SECTION_VSERVER, "name", "name: b", "name: c", APPLIED},
	{SCHEMA_SECTION_VSERVER, "listen", "listen: [10.12.170.2]", "listen: [10.12.170.3]",
		APPLIED},
	{SCHEMA_SECTION_VSERVER, "fqdn", "fqdn: a.first.test", "fqdn: a.third.test", APPLIED},
	{SCHEMA_SECTION_VSERVER, "local_domains", "local.test", "other.test", APPLIED},
	{SCHEMA_SECTION_VSERVER, "relay_domains", "relay.test", "other.test", APPLIED},
	{SCHEMA_SECTION_VSERVER, "open_relay", "    open_relay: i-understand\n", "", APPLIED},
	{SCHEMA_SECTION_VSERVER, "forward_confirm", "confirm: true", "confirm: false", APPLIED},
	{SCHEMA_SECTION_VSERVER, "workers", "    workers: [1]", "    workers: [2]", REFUSED},
	{SCHEMA_SECTION_VSERVER, "max_message", "50MiB", "51MiB", APPLIED},
	{SCHEMA_SECTION_VSERVER, "max_recipients", "recipients: 1000", "recipients: 999", APPLIED},
	{SCHEMA_SECTION_VSERVER, "max_connections", "10000", "10001", APPLIED},
	{SCHEMA_SECTION_VSERVER, "max_connections_per_client", "client: 50", "client: 51", APPLIED},
	{SCHEMA_SECTION_CONNECTIONS, "only", "[10.2.0.0/16]", "[10.3.0.0/16]", APPLIED},
	{SCHEMA_SECTION_CONNECTIONS, "all_except", "only: [10.2.0.0/16]",
		"all_except: [10.2.0.0/16]", APPLIED},
	{SCHEMA_SECTION_CONNECTIONS, "refuse", "refuse: reset", "refuse: drop", APPLIED},
	{SCHEMA_SECTION_RELAY, "only", "[10.2.1.0/24]", "[10.3.1.0/24]", APPLIED},
	{SCHEMA_SECTION_RELAY, "all_except", "only: [10.2.1.0/24]", "all_except: [10.2.1.0/24]",
		APPLIED},
	{SCHEMA_SECTION_TLS, "certificate", A_PAIR, B_PAIR, APPLIED},
	{SCHEMA_SECTION_TLS, "key", A_PAIR, B_PAIR, APPLIED},
	{SCHEMA_SECTION_LOG, "file", "a.log", "c.log", APPLIED},
	{SCHEMA_SECTION_LOG, "format", "w3c", "both", APPLIED},
	{SCHEMA_SECTION_GUARANTEE, "vserver", "vserver: a", "vserver: b", APPLIED},
	{SCHEMA_SECTION_GUARANTEE, "relays_without_login", "{only: [10.0.0.0/8]}",
		"{only: [10.0.0.0/9]}", APPLIED},
	{SCHEMA_SECTION_GUARANTEE, "connects", "[0.0.0.0/0, \"::/0\"]", "[0.0.0.0/0]", APPLIED},
	{SCHEMA_SECTION_GUARANTEED_CONNECT, "names", "\"::/0\"]}", "\"::/0\"], names: [x.test]}",
		APPLIED},
	{SCHEMA_SECTION_GUARANTEED_CONNECT, "only", "[0.0.0.0/0, \"::/0\"]",
		"[0.0.0.0/1, 128.0.0.0/1, \"::/0\"]", APPLIED},
	{SCHEMA_SECTION_GUARANTEED, "only", "{only: [10.0.0.0/8]}", "{only: [10.2.0.0/16]}",
		APPLIED},
	{SCHEMA_SECTION_GUARANTEED, "names", "{only: [10.0.0.0/8]}",
		"{only: [10.0.0.0/8], names: [x.test]}", APPLIED},
};

struct effects {
	char text[EFFECTS_OCTETS];
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void put(
	struct effects *effects, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	effects->used += (size_t)vsnprintf(
		effects->text + effects->used, sizeof(effects->text) - effects->used, format, ap);
	va_end(ap);
	assert_true(effects->used < sizeof(effects->text));
}

static void put_list(struct effects *effects, const struct config_prefix *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		put(effects, " %s", list[i].text);
	put(effects, "\n");
}

static const char *has(const struct snapshot_domains *set, const char *domain)
{
	return snapshot_domain_find(set, (struct slice){(const uint8_t *)domain, strlen(domain)}) !=
			       NULL
		       ? "yes"
		       : "no";
}

// As the workers and the log see it, not as it was read.
static void put_vserver(struct effects *e, const struct edge_policy *policy, uint16_t v)
{
	const struct snapshot_vserver *vserver = &policy->snapshot->vservers[v];
	const struct smtp_service *service = &policy->services[v];
	const struct config_vserver *config = vserver->config;
	char path[LOG_PATH_OCTETS];

	put(e, "%s slot %u fqdn %s workers %lx refuse %d modes %d %d\n", config->name,
		policy->slot[v], service->fqdn, vserver->worker_mask, vserver->refuse,
		vserver->connect_mode, vserver->relay_mode);
	put(e, "local %s relay %s open %d\n", has(vserver->local_domains, "local.test"),
		has(vserver->relay_domains, "relay.test"), config->open_relay_understood);
	put(e, "confirm %d\n", config->forward_confirm);
	put(e, "limits %u %u %u %u\n", service->limits.message_octets, service->limits.recipients,
		config->max_connections, config->max_connections_per_client);
	put(e, "tls %d until %ld\n", policy->tls[v] != NULL, policy->tls_expires_s[v]);
	for (int json = 0; json < 2; json++)
		put(e, "log %s\n",
			log_path_of(policy->snapshot->config, config, json == 1, path) ? path
										       : "-");
}

static void put_clients(struct effects *e, const struct snapshot *snapshot)
{
	static const char *const clients[] = {"10.2.1.1", "10.2.2.1", "10.3.1.1", "10.4.1.1"};

	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		struct ip_addr client;

		assert_true(ip_addr_parse(clients[i], &client));
		const uint32_t class = snapshot_class_of(snapshot, &client);

		for (uint16_t list = 0; list < snapshot->list_count; list++)
			put(e, " %d", snapshot_class_has(snapshot, class, list));
	}
	put(e, "\n");
}

static void put_bindings(struct effects *e, const struct snapshot *snapshot)
{
	for (int i = 1; i <= 3; i++) {
		char text[32];
		struct ip_addr addr;

		(void)snprintf(text, sizeof(text), "10.12.170.%d", i);
		assert_true(ip_addr_parse(text, &addr));
		put(e, " %u", snapshot_vserver_at(snapshot, &addr));
	}
	put(e, "\n");
}

static void effects_of(const struct control_world *w, struct effects *e)
{
	const struct edge_policy *policy = atomic_load(&w->edge.policy);
	const struct config *config = policy->snapshot->config;

	e->used = 0;
	put(e, "poll %u cookies %u\n", atomic_load(&w->edge.tunables.poll_busy),
		atomic_load(&w->edge.tunables.syn_cookies));
	for (uint16_t v = 0; v < policy->snapshot->vserver_count; v++)
		put_vserver(e, policy, v);
	put_clients(e, policy->snapshot);
	put_bindings(e, policy->snapshot);
	// The guard goes by these at each load.
	put_list(e, config->own_networks, config->own_network_count);
	put_list(e, config->dynamic_pools, config->dynamic_pool_count);
	for (uint32_t i = 0; i < config->guarantee_count; i++) {
		const struct config_guarantee *guarantee = &config->guarantees[i];

		put(e, "guarantee %s names %u %u", guarantee->vserver,
			guarantee->relays_without_login.name_count, guarantee->connects.name_count);
		put_list(e, guarantee->relays_without_login.prefixes,
			guarantee->relays_without_login.prefix_count);
		put_list(e, guarantee->connects.prefixes, guarantee->connects.prefix_count);
	}
}

// ---- One change

static unsigned line_of(const char *text, const char *part)
{
	unsigned line = 1;

	for (const char *at = text; at < part; at++)
		line += *at == '\n';
	return line;
}

// The line of from; 0: it is there twice or not at all.
static unsigned replace(char *text, const char *from, const char *to)
{
	char *at = strstr(text, from);
	char rest[TEXT_OCTETS];

	if (at == NULL || strstr(at + 1, from) != NULL)
		return 0;
	(void)snprintf(rest, sizeof(rest), "%s", at + strlen(from));
	const unsigned line = line_of(text, at);

	(void)snprintf(at, (size_t)(TEXT_OCTETS - (at - text)), "%s%s", to, rest);
	return line;
}

static void print_failed(const struct change *change, const char *why)
{
	fail_msg("%s.%s: \"%s\" to \"%s\": %s", schema_section_path(change->section), change->key,
		change->from, change->to, why);
}

static void expect_refused(
	const struct control_world *w, const struct change *change, uint64_t epoch, unsigned line)
{
	char name[80];

	(void)snprintf(name, sizeof(name),
		"%s%s%s cannot change while running: this needs a restart",
		schema_section_path(change->section),
		change->section == SCHEMA_SECTION_TOP ? "" : ".", change->key);
	if (epoch != 0)
		print_failed(change, "was not refused");
	if (w->mistakes != 1 || strstr(w->last_mistake, name) == NULL)
		print_failed(change, w->last_mistake);
	// A port is named by its beginning, and so is the list.
	if (change->section == SCHEMA_SECTION_PORT || strcmp(change->key, "ports") == 0)
		line = 14;
	if (w->last_pos.line != line || w->last_pos.column == 0)
		print_failed(change, "another line is named");
}

static void expect_handed_on(const struct change *change, int link, const char *text)
{
	struct child_link_record record;
	char got[TEXT_OCTETS] = "";
	int fd = -1;

	if (child_link_receive(link, &record, &fd) == 1 && record.kind == CHILD_LINK_FILES)
		close(fd);
	if (child_link_receive(link, &record, &fd) != 1 || record.kind != CHILD_LINK_CONFIG)
		print_failed(change, "the supervisor was not told");
	if (pread(fd, got, sizeof(got) - 1, 0) <= 0 || strcmp(got, text) != 0)
		print_failed(change, "the supervisor has another text");
	close(fd);
}

static void try_change(const struct change *change)
{
	struct control_world w;
	struct effects before, after;
	char text[TEXT_OCTETS];
	int pair[2];
	uint64_t epoch;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	control_world_make(&w, "a", pair[0]);
	// The world's own text is another one: the first reload brings ours, by a world that has the same fixed values.
	reload_free(w.reload);
	(void)snprintf(text, sizeof(text), written, w.directory);
	tls_world_certify(w.directory, "a", 3600);
	tls_world_certify(w.directory, "b", 7200);
	struct config *config =
		config_load(w.path, config_from_text_fd(text), control_world_mistake, &w);
	assert_non_null(config);
	memset(w.edge.vservers, 0, sizeof(w.edge.vservers));
	assert_int_equal(reload_init(&w.edge, config, pair[0], NULL, &w.reload), ERR_OK);
	effects_of(&w, &before);
	const unsigned line = replace(text, change->from, change->to);

	if (line == 0)
		print_failed(change, "does not stand in the text once");
	epoch = reload_from_memfd(
		w.reload, w.path, config_from_text_fd(text), control_world_mistake, &w);
	effects_of(&w, &after);
	if (change->outcome == REFUSED)
		expect_refused(&w, change, epoch, line);
	else if (epoch != 2)
		print_failed(change, w.last_mistake);
	else
		expect_handed_on(change, pair[1], text);
	if ((strcmp(before.text, after.text) != 0) != (change->outcome == APPLIED))
		print_failed(change, "takes effect where it should not, or not where it should");
	close(pair[0]);
	close(pair[1]);
	control_world_free(&w);
}

static void test_reload_of_each_key_is_applied_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		try_change(&changes[i]);
}

static const struct change *find_change(const struct schema_row *row)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (changes[i].section == row->section && strcmp(changes[i].key, row->key) == 0)
			return &changes[i];
	}
	return NULL;
}

// A new key needs a line here, and its row says the same as the reload does.
static void test_reload_table_has_every_key_of_the_schema(void **state)
{
	(void)state;
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];
		const struct change *change = find_change(row);

		if (row->type == SCHEMA_LATER || row->type == SCHEMA_MAP ||
			row->type == SCHEMA_AUTHENTICATED) // true is refused, so it cannot change
			continue;
		if (change == NULL)
			fail_msg("%s.%s is not tried", schema_section_path(row->section), row->key);
		else if ((change->outcome == REFUSED) != (row->apply == SCHEMA_RESTART))
			print_failed(change, "the schema says another");
	}
}

static void test_reload_log_that_cannot_be_written_is_refused(void **state)
{
	struct control_world w;
	char text[TEXT_OCTETS];

	(void)state;
	control_world_make(&w, "a", -1);
	control_world_text(&w, "a", "10.1.1.0/24", text, sizeof(text));
	assert_int_not_equal(replace(text, "    fqdn: a.example.net\n",
				     "    fqdn: a.example.net\n    log: {file: /nowhere/at.log}\n"),
		0);
	assert_int_equal(reload_from_memfd(w.reload, w.path, config_from_text_fd(text),
				 control_world_mistake, &w),
		0);
	assert_int_equal(w.mistakes, 1);
	assert_non_null(strstr(w.last_mistake, "log.file: cannot write /nowhere/at.log: No such"));
	assert_int_equal(w.last_pos.line, 11);
	control_world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload_of_each_key_is_applied_or_refused),
		cmocka_unit_test(test_reload_table_has_every_key_of_the_schema),
		cmocka_unit_test(test_reload_log_that_cannot_be_written_is_refused),
	};

	if (control_world_eal() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
