#include "control/reach.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/snapshot_set.h"
#include "config/value.h"
#include "policy/policy.h"

enum {
	COUNT_TEXT_MAX = 40, // 2^128 has 39 digits
};

// A recipient's domain that no list can name but by "*".
static const struct slice foreign = {(const uint8_t *)"*", 1};

// What hangs on the client's name: whoever is in no list of exceptions by address has the right unless the name takes it away. What a
// name gives is not said of addresses, but of names.
static bool is_by_exception(enum policy_kind kind, enum config_list_mode mode)
{
	return kind == POLICY_DEFER && mode == CONFIG_LIST_ALL_EXCEPT;
}

static bool is_given(
	const struct snapshot *snapshot, struct policy_client client, enum reach_right right)
{
	const struct snapshot_vserver *v = &snapshot->vservers[client.vserver];
	const enum policy_kind connect = policy_connect(snapshot, client).kind;
	const enum policy_kind relay = policy_rcpt(snapshot, client, foreign).kind;

	if (right == REACH_CONNECT)
		return connect == POLICY_ACCEPT || is_by_exception(connect, v->connect_mode);
	// Any address may be let in by a name; the relay list then counts as it would for the others.
	return connect != POLICY_REFUSE &&
	       (relay == POLICY_ACCEPT || is_by_exception(relay, v->relay_mode));
}

size_t reach_octets(const struct snapshot *snapshot)
{
	return snapshot_set_octets(snapshot) + snapshot->class_count * sizeof(bool) +
	       ARENA_ALIGNMENT;
}

struct address_set reach_of(struct arena *arena, const struct snapshot *snapshot, uint16_t vserver,
	enum reach_right right)
{
	bool *wanted = arena_take_array(arena, snapshot->class_count, sizeof(wanted[0]));

	for (uint32_t class = 0; class < snapshot->class_count; class ++)
		wanted[class] = is_given(snapshot,
			(struct policy_client){.vserver = vserver, .class = class}, right);
	return snapshot_set_of(arena, snapshot, wanted);
}

json_t *reach_names(const struct snapshot *snapshot, uint16_t vserver, enum reach_right right)
{
	const struct config_vserver *v = snapshot->vservers[vserver].config;
	const struct config_list *list = right == REACH_RELAY ? &v->relay : &v->connections;
	json_t *names = json_array();

	for (uint32_t i = 0; list->mode == CONFIG_LIST_ONLY && i < list->name_count; i++)
		json_array_append_new(names, json_string(list->names[i].text));
	return names;
}

// --- JSON ---

// The prefixes of one family: listed, and their addresses added up as whoever reads the prefixes would.
struct listing {
	bool v6;
	json_t *prefixes; // NULL: counted only
	uint64_t count;
	address_key addresses; // 0 with a prefix: all of them, one more than the type holds
};

static bool take_prefix(void *user, const struct ip_addr *addr, uint8_t len)
{
	struct listing *listing = user;
	char text[VALUE_PREFIX_TEXT_MAX];

	if (ip_addr_is_v4(addr) == listing->v6)
		return true;
	listing->count++;
	listing->addresses += address_key_host_mask(len) + 1;
	if (listing->prefixes != NULL)
		json_array_append_new(
			listing->prefixes, json_string(value_prefix_print(addr, len, text)));
	return true;
}

static const char *count_text(const struct listing *listing, char text[COUNT_TEXT_MAX])
{
	address_key rest = listing->addresses;
	char *at = text + COUNT_TEXT_MAX - 1;

	*at = '\0';
	if (listing->count > 0 && rest == 0)
		return "340282366920938463463374607431768211456";
	do {
		*--at = (char)('0' + (int)(rest % 10));
		rest /= 10;
	} while (rest > 0);
	return at;
}

static json_t *family_json(struct address_set set, bool v6, uint32_t most)
{
	struct listing listing = {.v6 = v6};
	char text[COUNT_TEXT_MAX];
	json_t *family;

	address_set_each_prefix(set, take_prefix, &listing);
	family = json_pack("{s:s}", "count", count_text(&listing, text));
	if (listing.count > most) {
		json_object_set_new(family, "prefixes", json_null());
		json_object_set_new(
			family, "prefix_count", json_integer((json_int_t)listing.count));
		return family;
	}
	listing = (struct listing){.v6 = v6, .prefixes = json_array()};
	address_set_each_prefix(set, take_prefix, &listing);
	json_object_set_new(family, "prefixes", listing.prefixes);
	return family;
}

void reach_add_json(json_t *object, struct address_set set, uint32_t most)
{
	json_object_set_new(object, "ipv4", family_json(set, false, most));
	json_object_set_new(object, "ipv6", family_json(set, true, most));
}

static void print_family(FILE *out, const json_t *family, const char *indent)
{
	const json_t *prefixes = json_object_get(family, "prefixes"), *prefix;
	size_t i;

	json_array_foreach(prefixes, i, prefix)
		fprintf(out, "%s%s\n", indent, json_string_value(prefix));
	if (json_is_null(prefixes))
		fprintf(out, "%s(%lld prefixes, too many to list here: ask with --config FILE)\n",
			indent,
			(long long)json_integer_value(json_object_get(family, "prefix_count")));
}

void reach_print(FILE *out, const json_t *object, const char *indent)
{
	print_family(out, json_object_get(object, "ipv4"), indent);
	print_family(out, json_object_get(object, "ipv6"), indent);
}

uint16_t reach_vserver(const struct snapshot *snapshot, const char *name, char *why, size_t octets)
{
	size_t used;

	for (uint16_t i = 0; i < snapshot->vserver_count; i++) {
		if (strcmp(snapshot->vservers[i].config->name, name) == 0)
			return i;
	}
	used = (size_t)snprintf(why, octets, "%.64s: no such virtual server; there are:", name);
	for (uint16_t i = 0; i < snapshot->vserver_count && used < octets; i++)
		used += (size_t)snprintf(
			why + used, octets - used, " %s", snapshot->vservers[i].config->name);
	return SNAPSHOT_NO_VSERVER;
}
