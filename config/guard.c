#include "config/guard.h"

#include <libpsl.h>
#include <stdio.h>
#include <string.h>

#include "config/guard_names.h"
#include "config/value.h"

enum {
	OWN_LEN_V4 = ADDRESS_KEY_V4_LEN + 8, // shorter own networks are nobody's
	OWN_LEN_V6 = 16,
	SETS_AT_ONCE =
		24, // sets of the size of all lists together that judging one virtual server makes
};

#define HALF_V4 (UINT64_C(1) << 31)
#define HALF_V6 ((address_key)1 << 124) // half of 2000::/3, which is all that is given out

struct guard {
	const struct config *config;
	const struct reader *reader;
	struct mistakes *mistakes;
	const psl_ctx_t *suffixes;
};

static size_t sets_octets(size_t prefixes)
{
	return (2 * prefixes + 4) * ADDRESS_SET_RANGE_OCTETS * SETS_AT_ONCE;
}

size_t guard_octets(const struct config_vserver *vserver)
{
	return sets_octets((size_t)vserver->connections.prefix_count + vserver->relay.prefix_count);
}

// Who may connect, as far as addresses say: a client with a listed name may have any.
static struct address_set not_kept_out(struct arena *arena, const struct config_vserver *vserver)
{
	const struct config_list *connections = &vserver->connections;

	if (connections->mode == CONFIG_LIST_ONLY && connections->name_count > 0)
		return address_set_all(arena);
	return address_set_of_list(arena, connections, address_set_all(arena));
}

struct address_set guard_relay_clients(struct arena *arena, const struct config_vserver *vserver)
{
	const struct address_set nobody = {NULL, 0};
	const struct address_set connect = not_kept_out(arena, vserver);
	const struct address_set relay = address_set_of_list(arena, &vserver->relay, nobody);

	return address_set_intersect(arena, connect, relay);
}

struct first_prefix {
	struct ip_addr addr;
	uint8_t len;
};

static bool take_first(void *user, const struct ip_addr *addr, uint8_t len)
{
	*(struct first_prefix *)user = (struct first_prefix){*addr, len};
	return false;
}

// The first prefix of a set, for a message. False: the set is empty.
static bool first_prefix_of(struct address_set set, char text[VALUE_PREFIX_TEXT_MAX])
{
	struct first_prefix first = {.len = 0};

	if (set.count == 0)
		return false;
	address_set_each_prefix(set, take_first, &first);
	(void)value_prefix_print(&first.addr, first.len, text);
	return true;
}

// The same for what a set has of one entry.
static bool first_prefix_in(
	struct address_set set, const struct config_prefix *entry, char text[VALUE_PREFIX_TEXT_MAX])
{
	struct address_range ranges[2], runs[2];
	const unsigned count = address_set_ranges_of(&entry->addr, entry->len, ranges);
	struct address_set found = {runs, 0};

	for (unsigned i = 0; i < count; i++)
		found.count += address_set_first_in(set, ranges[i], &runs[found.count]);
	return first_prefix_of(found, text);
}

static const char *name_of(const struct config_vserver *vserver)
{
	return vserver->name != NULL ? vserver->name : "(without name)";
}

static void refuse_relay(const struct guard *guard, const struct config_vserver *vserver,
	struct config_pos pos, const char *prefix)
{
	mistakes_add(guard->mistakes, pos,
		"open relay: clients of %s may relay through virtual server %s without logging in, "
		"and are outside own_networks%s: expected clients of own_networks only, or "
		"open_relay: i-understand",
		prefix, name_of(vserver),
		guard->config->own_network_count == 0 ? ", of which none are declared" : "");
}

// Each entry that lets strangers in; with all_except the list itself does.
static void refuse_entries(const struct guard *guard, const struct config_vserver *vserver,
	struct address_set strangers)
{
	char text[VALUE_PREFIX_TEXT_MAX];

	if (vserver->relay.mode == CONFIG_LIST_ALL_EXCEPT) {
		if (first_prefix_of(strangers, text))
			refuse_relay(guard, vserver, vserver->relay.pos, text);
		return;
	}
	for (uint32_t i = 0; i < vserver->relay.prefix_count; i++) {
		const struct config_prefix *entry = &vserver->relay.prefixes[i];

		if (first_prefix_in(strangers, entry, text))
			refuse_relay(guard, vserver, entry->pos, text);
	}
}

static void check_relay(const struct guard *guard, const struct config_vserver *vserver)
{
	const struct config *config = guard->config;

	if (vserver->open_relay_understood || vserver->relay.mode == CONFIG_LIST_NONE ||
		!reader_is_good(guard->reader, "own_networks"))
		return;
	struct arena *arena =
		arena_create(guard_octets(vserver) + sets_octets(config->own_network_count));
	if (arena == NULL) {
		mistakes_add(guard->mistakes, vserver->pos, "no memory for the open-relay guard");
		return;
	}
	const struct address_set own =
		address_set_of_prefixes(arena, config->own_networks, config->own_network_count);

	refuse_entries(guard, vserver,
		address_set_subtract(arena, guard_relay_clients(arena, vserver), own));
	arena_free(arena);
}

// False: too wide.
static bool check_own_width(const struct guard *guard, const struct config_prefix *own)
{
	const bool v4 = ip_addr_is_v4(&own->addr);
	char text[VALUE_PREFIX_TEXT_MAX];

	if (own->len >= (v4 ? OWN_LEN_V4 : OWN_LEN_V6))
		return true;
	mistakes_add(guard->mistakes, own->pos,
		"own_networks: %s is wider than any organisation's network: expected at least %s "
		"bits",
		value_prefix_print(&own->addr, own->len, text), v4 ? "8" : "16");
	return false;
}

static void check_own_networks(const struct guard *guard)
{
	const struct config *config = guard->config;
	bool narrow = true;

	for (uint32_t i = 0; i < config->own_network_count; i++)
		narrow &= check_own_width(guard, &config->own_networks[i]);
	struct arena *arena = arena_create(sets_octets(config->own_network_count));
	if (arena == NULL || !narrow || config->own_network_count == 0) {
		arena_free(arena);
		return;
	}
	const struct address_set own =
		address_set_of_prefixes(arena, config->own_networks, config->own_network_count);

	if (address_set_count_v4(own) > HALF_V4 || address_set_count_v6(own) > HALF_V6)
		mistakes_add(guard->mistakes, config->own_networks[0].pos,
			"own_networks: together they are more than half of all addresses: expected "
			"the networks of one organisation");
	arena_free(arena);
}

static void check_domain(
	const struct guard *guard, const char *what, const struct config_domain *domain)
{
	const char *name = domain->name[0] == '.' ? domain->name + 1 : domain->name;

	if (strcmp(name, "*") == 0)
		mistakes_add(guard->mistakes, domain->pos,
			"open relay: %s has \"*\", every domain there is: expected domains of your "
			"own, or open_relay: i-understand",
			what);
	else if (!guard_names_is_special(name) &&
		 psl_is_public_suffix2(guard->suffixes, name, PSL_TYPE_ANY) != 0)
		mistakes_add(guard->mistakes, domain->pos,
			"open relay: %s has %s, a public suffix below which anybody can have a "
			"domain: expected domains of your own, or open_relay: i-understand",
			what, domain->name);
}

static void check_domains(const struct guard *guard, const struct config_vserver *vserver)
{
	if (vserver->open_relay_understood)
		return;
	for (uint32_t i = 0; i < vserver->local_domain_count; i++)
		check_domain(guard, "local_domains", &vserver->local_domains[i]);
	for (uint32_t i = 0; i < vserver->relay_domain_count; i++)
		check_domain(guard, "relay_domains", &vserver->relay_domains[i]);
}

static const struct config_vserver *find_vserver(const struct config *config, const char *name)
{
	for (uint32_t v = 0; v < config->vserver_count; v++) {
		if (config->vservers[v].name != NULL && strcmp(config->vservers[v].name, name) == 0)
			return &config->vservers[v];
	}
	return NULL;
}

static bool takes_every_domain(const struct config_domain *domains, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(domains[i].name, "*") == 0)
			return true;
	}
	return false;
}

// Who relays by the relay list, or by domains that are all domains there are: then it is whoever may connect. Where that is not
// understood it has been refused already.
static struct address_set relaying(struct arena *arena, const struct config_vserver *vserver)
{
	const bool every =
		takes_every_domain(vserver->local_domains, vserver->local_domain_count) ||
		takes_every_domain(vserver->relay_domains, vserver->relay_domain_count);

	if (every && vserver->open_relay_understood)
		return not_kept_out(arena, vserver);
	return guard_relay_clients(arena, vserver);
}

static struct address_set connecting(struct arena *arena, const struct config_vserver *vserver)
{
	return address_set_of_list(arena, &vserver->connections, address_set_all(arena));
}

// What is promised of a virtual server: its clients of some kind are allowed ones.
struct promise {
	const struct config_list *allowed,
		*by;             // by: the list of the virtual server that lets them in
	const char *list, *what; // its key, and what they may
	struct address_set (*clients)(struct arena *arena, const struct config_vserver *vserver);
};

// The longest entry of an only-list around an address; NULL: no entry is to blame alone.
static const struct config_prefix *entry_around(const struct config_list *list, address_key key)
{
	const struct config_prefix *found = NULL;

	for (uint32_t i = 0; list->mode == CONFIG_LIST_ONLY && i < list->prefix_count; i++) {
		const struct config_prefix *entry = &list->prefixes[i];
		struct address_range ranges[2];
		const struct address_set set = {
			ranges, address_set_ranges_of(&entry->addr, entry->len, ranges)};

		if (address_set_has(set, key) && (found == NULL || entry->len > found->len))
			found = entry;
	}
	return found;
}

static void break_promise(const struct guard *guard, const struct config_guarantee *guarantee,
	const struct promise *promise, const struct first_prefix *first)
{
	const struct config_prefix *entry = entry_around(promise->by, address_key_of(&first->addr));
	char prefix[VALUE_PREFIX_TEXT_MAX], example[IP_ADDR_TEXT_MAX], why[64] = "";

	if (entry != NULL)
		(void)snprintf(
			why, sizeof(why), " (by %s on line %u)", promise->list, entry->pos.line);
	else if (promise->by->pos.line != 0)
		(void)snprintf(why, sizeof(why), " (by %s on line %u)", promise->list,
			promise->by->pos.line);
	mistakes_add(guard->mistakes, guarantee->pos,
		"guarantee broken: clients of %s, %s for one, may %s virtual server %s%s",
		value_prefix_print(&first->addr, first->len, prefix),
		ip_addr_print(&first->addr, example), promise->what, guarantee->vserver, why);
}

static void check_promise(const struct guard *guard, const struct config_guarantee *guarantee,
	const struct promise *promise, const struct config_vserver *vserver)
{
	struct arena *arena =
		arena_create(guard_octets(vserver) + sets_octets(promise->allowed->prefix_count));
	struct first_prefix first = {.len = 0};

	if (promise->allowed->mode != CONFIG_LIST_ONLY) {
		arena_free(arena);
		return;
	}
	if (arena == NULL) {
		mistakes_add(guard->mistakes, guarantee->pos, "no memory to check this guarantee");
		return;
	}
	const struct address_set may = address_set_of_prefixes(
		arena, promise->allowed->prefixes, promise->allowed->prefix_count);
	const struct address_set broken =
		address_set_subtract(arena, promise->clients(arena, vserver), may);

	if (broken.count > 0) {
		address_set_each_prefix(broken, take_first, &first);
		break_promise(guard, guarantee, promise, &first);
	}
	arena_free(arena);
	guard_names_promise(guarantee, promise->allowed, promise->by, guard->mistakes);
}

static void check_promises(const struct guard *guard, const struct config_guarantee *guarantee,
	const struct config_vserver *vserver)
{
	const struct promise relays = {&guarantee->relays_without_login, &vserver->relay, "relay",
		"relay without logging in through", relaying};
	const struct promise connects = {&guarantee->connects, &vserver->connections, "connections",
		"connect to", connecting};

	check_promise(guard, guarantee, &relays, vserver);
	check_promise(guard, guarantee, &connects, vserver);
}

static void check_guarantee(const struct guard *guard, const struct config_guarantee *guarantee)
{
	if (guarantee->vserver == NULL)
		return;
	const struct config_vserver *vserver = find_vserver(guard->config, guarantee->vserver);

	if (vserver == NULL && reader_is_good(guard->reader, "virtual_servers"))
		mistakes_add(guard->mistakes, guarantee->pos,
			"vserver: there is no virtual server %s: expected the name of one",
			guarantee->vserver);
	if (!reader_is_good(guard->reader, "guarantees"))
		return;
	if (guarantee->relays_without_login.mode == CONFIG_LIST_NONE &&
		guarantee->connects.mode == CONFIG_LIST_NONE)
		mistakes_add(guard->mistakes, guarantee->pos,
			"this guarantees nothing: expected relays_without_login or connects");
	else if (vserver != NULL)
		check_promises(guard, guarantee, vserver);
}

void guard_check(const struct config *config, struct reader *reader)
{
	const struct guard guard = {config, reader, reader->mistakes, psl_builtin()};

	check_own_networks(&guard);
	guard_names_check(config, reader->mistakes);
	for (uint32_t v = 0; v < config->vserver_count; v++) {
		check_relay(&guard, &config->vservers[v]);
		check_domains(&guard, &config->vservers[v]);
	}
	for (uint32_t i = 0; i < config->guarantee_count; i++)
		check_guarantee(&guard, &config->guarantees[i]);
}
