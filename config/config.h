// config.h - what the operator wrote, checked: the YAML file as one tree of plain structs.
//
// Thread:  any; immutable after config_load().
// Memory:  one struct config owns everything it points at; config_free() gives it back (jemalloc, off the lcores).
// Blocks:  config_load() reads files.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/ip_addr.h"
#include "base/limits.h"

struct name_match;

// Where a value stands in its file; all counted from 1. Line 0: a default nobody wrote.
struct config_pos {
	uint32_t line, column;
};

struct config_prefix {
	struct ip_addr addr; // host bits are zero
	uint8_t len;         // 0..128; a v4 prefix has 96 + its length (v4-mapped)
	struct config_pos pos;
	const char *text; // as written
};

// only: these and nobody else. all_except: everybody but these.
enum config_list_mode {
	CONFIG_LIST_NONE, // not written: connections: everybody; relay: nobody
	CONFIG_LIST_ONLY,
	CONFIG_LIST_ALL_EXCEPT,
};

// A host name, ".example.net" for any name below, or "/regex/" (name_pattern.h).
struct config_name {
	const char *text; // as written
	struct config_pos pos;
};

struct config_list {
	enum config_list_mode mode;
	struct config_pos pos;
	struct config_prefix *prefixes;
	uint32_t prefix_count;
	struct config_name *names;
	uint32_t name_count;
};

// Lists of all virtual servers are numbered: CONFIG_LISTS * index of the virtual server + one of these.
enum {
	CONFIG_LIST_CONNECTIONS,
	CONFIG_LIST_RELAY,
	CONFIG_LISTS,
};

enum config_refuse {
	CONFIG_REFUSE_RESET, // default
	CONFIG_REFUSE_DROP,
	CONFIG_REFUSE_REPLY,
};

struct config_domain {
	const char *name; // lower case, no final dot; a leading dot means any name below
	struct config_pos pos;
};

struct config_listen {
	struct ip_addr addr;
	uint16_t port; // 25 unless written
	struct config_pos pos;
};

enum config_log_format {
	CONFIG_LOG_W3C,
	CONFIG_LOG_JSON,
	CONFIG_LOG_BOTH,
};

struct config_file {
	const char *path; // absolute; NULL: not written
	struct config_pos pos;
};

// Only names: whoever needs the certificate reads it (control/tls/certificate.h).
struct config_tls {
	struct config_pos pos; // line 0: not written
	struct config_file certificate, key;
};

struct config_vserver {
	const char *name;
	struct config_pos pos; // of the name
	bool all_unassigned;   // listen: all-unassigned
	uint16_t all_unassigned_port;
	struct config_pos all_unassigned_pos;
	struct config_listen *listen;
	uint32_t listen_count;
	const char *fqdn; // default: the host's name
	struct config_domain *local_domains, *relay_domains;
	uint32_t local_domain_count, relay_domain_count;
	struct config_list connections;
	enum config_refuse refuse;
	struct config_list relay;
	bool forward_confirm; // names of clients count only when they lead back to the client's address
	struct config_pos forward_confirm_pos;
	bool open_relay_understood; // open_relay: i-understand
	struct config_pos open_relay_pos;
	uint32_t workers[LIMIT_WORKERS]; // lcores; empty: all of dataplane.workers
	uint32_t worker_count;
	struct config_pos workers_pos;
	uint32_t max_message_octets, max_recipients, max_connections, max_connections_per_client;
	struct config_tls tls;
	const char *log_file; // NULL: VSERVER.log beside the spool
	struct config_pos log_file_pos;
	enum config_log_format log_format;
};

struct config_iface_addr {
	struct ip_addr addr;
	uint8_t len; // as in config_prefix
	struct config_pos pos;
};

struct config_gateway {
	struct ip_addr addr;
	struct config_pos pos;
};

// Tags of the frames of a port, outer first; count 0: untagged.
struct config_vlan {
	uint16_t ids[2];
	uint32_t count;
};

struct config_port {
	const char *device; // DPDK device string or PCI address
	struct config_pos pos;
	struct config_iface_addr *addresses;
	uint32_t address_count;
	struct config_gateway gateways[2]; // at most one of each family
	uint32_t gateway_count;
	uint16_t mtu; // octets, 1500
	struct config_vlan vlan;
};

enum config_poll {
	CONFIG_POLL_ADAPTIVE,
	CONFIG_POLL_BUSY,
};

enum config_huge {
	CONFIG_HUGE_AUTO, // huge pages when the kernel has enough free, plain pages otherwise
	CONFIG_HUGE_YES,
	CONFIG_HUGE_NO,
};

enum config_cookies {
	CONFIG_COOKIES_PRESSURE,
	CONFIG_COOKIES_ALWAYS,
};

struct config_dataplane {
	uint32_t workers[LIMIT_WORKERS]; // lcore ids = CPU ids
	uint32_t worker_count;
	enum config_poll poll;
	uint64_t memory_octets;
	enum config_huge huge_pages;
	uint32_t max_connections; // per worker
	enum config_cookies syn_cookies;
};

struct config_hop {
	const char *host; // address or name
	uint16_t port;    // 25 unless written
	struct config_pos pos;
};

enum config_private {
	CONFIG_PRIVATE_REFUSE,
	CONFIG_PRIVATE_ALLOW,
};

struct config_route {
	struct config_domain *domains; // "*" matches all; ".example.net" any name below
	uint32_t domain_count;
	struct config_hop *hops; // tried in order
	uint32_t hop_count;
	bool mx; // no hops: whom the domain names in the DNS
	enum config_private mx_private;
	struct config_pos pos;
};

struct config_server {
	struct ip_addr addr;
	uint16_t port;
};

struct config_dns {
	struct config_server *servers; // none: the machine's own
	uint32_t server_count;
	const char *trust_anchor; // NULL: nothing is validated
};

struct config_delivery {
	uint32_t concurrency; // connections to one next hop at once
	uint32_t retry_first_s, retry_max_s, expire_s;
	uint32_t connect_timeout_s;
	struct ip_addr source; // all zero: the kernel chooses
	const char *helo;      // default: fqdn of the first virtual server
};

// nobody = empty list with mode ONLY; NONE: nothing is promised. Names in it may as well.
struct config_guarantee {
	const char *vserver;
	struct config_pos pos; // of that name
	struct config_list relays_without_login, connects;
};

struct config {
	const char *path; // as given, for messages
	const struct config_pos
		*places; // by row of the schema: the value last read; line 0: not written
	struct config_dataplane dataplane;
	const char *control_socket,
		*control_user; // user: who the children become when root started them; never NULL
	struct config_port *ports;
	uint32_t port_count;
	struct config_prefix *own_networks;
	uint32_t own_network_count;
	struct config_prefix *dynamic_pools; // addresses whose holders change
	uint32_t dynamic_pool_count;
	const char *spool; // directory, absolute
	struct config_route *routes;
	uint32_t route_count;
	struct config_delivery delivery;
	struct config_dns dns;
	struct config_vserver *vservers;
	uint32_t vserver_count;
	struct config_guarantee *guarantees;
	uint32_t guarantee_count;
	struct name_match *names; // of all lists; NULL: no list has names
	void *arena;              // everything above
};

// Called once for each mistake, in order of position. message says what was found and what was expected.
typedef void config_mistake_fn(
	void *user, const char *path, struct config_pos pos, const char *message);

// Read and check path. text_fd: read the text from this descriptor (from offset 0) instead and use path only for names
// and for relative paths; -1: open path. NULL when there was any mistake; all of them were reported.
// Everything that does not need the running machine is checked here, the open-relay guard, the guarantees and double claims of
// addresses included.
struct config *config_load(const char *path, int text_fd, config_mistake_fn *mistake, void *user);

void config_free(struct config *config);
