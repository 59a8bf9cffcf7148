#include "control/explain_changes.h"

#include <stdio.h>
#include <string.h>

#include "config/address_key.h"

enum {
	NAME_MAX_OCTETS = 320,
};

static bool covers(const struct config_prefix *prefix, const struct ip_addr *client)
{
	const address_key first = address_key_of(&prefix->addr), key = address_key_of(client);

	// A v6 prefix around the mapped block means v6 addresses only.
	if (address_key_is_v4(key) && address_key_straddles(first, prefix->len))
		return false;
	return address_key_covers(first, prefix->len, key);
}

// How many entries cover the client, and one of them.
static unsigned covering(const struct config_list *list, const struct ip_addr *client,
	const struct config_prefix **entry)
{
	unsigned count = 0;

	for (uint32_t i = 0; i < list->prefix_count; i++) {
		if (!covers(&list->prefixes[i], client))
			continue;
		*entry = &list->prefixes[i];
		count++;
	}
	return count;
}

static json_t *add_change(const struct explain_changes *changes, const char *action,
	const char *list, const char *entry, struct config_pos pos)
{
	char name[NAME_MAX_OCTETS], text[2 * NAME_MAX_OCTETS];
	const char *file = changes->snapshot->config->path;
	json_t *change;

	snprintf(name, sizeof(name), "virtual_servers.%s.%s", changes->vserver->name, list);
	if (pos.line != 0)
		snprintf(text, sizeof(text), "%s %s from %s (%s:%u)", action, entry, list, file,
			pos.line);
	else
		snprintf(text, sizeof(text), "%s %s to %s", action, entry, list);
	change = json_pack("{s:s, s:s, s:s, s:s}", "action", action, "list", name, "entry", entry,
		"text", text);
	if (pos.line != 0) {
		json_object_set_new(change, "file", json_string(file));
		json_object_set_new(change, "line", json_integer(pos.line));
	}
	json_array_append_new(changes->list, change);
	return change;
}

static uint16_t number_of(const struct explain_changes *changes, const struct config_list *list)
{
	const size_t vserver = (size_t)(changes->vserver - changes->snapshot->config->vservers);
	const bool connections = list == &changes->vserver->connections;

	return (uint16_t)(vserver * CONFIG_LISTS +
			  (connections ? CONFIG_LIST_CONNECTIONS : CONFIG_LIST_RELAY));
}

// The same for the client's name. Without a name it is an exception as long as names are listed.
static unsigned naming(const struct explain_changes *changes, const struct config_list *list,
	const struct config_name **entry)
{
	if (changes->name.len > 0)
		return snapshot_name_entries(
			changes->snapshot, number_of(changes, list), changes->name, entry);
	if (list->mode != CONFIG_LIST_ALL_EXCEPT || list->name_count == 0)
		return 0;
	*entry = &list->names[0];
	return list->name_count;
}

static unsigned holding(const struct explain_changes *changes, const struct config_list *list)
{
	const struct config_prefix *prefix = NULL;
	const struct config_name *name = NULL;

	return covering(list, changes->client, &prefix) + naming(changes, list, &name);
}

// The client is to leave the list's reach: possible with one entry only when one alone holds it.
static void remove_client(
	struct explain_changes *changes, const struct config_list *list, const char *name)
{
	const struct config_prefix *prefix = NULL;
	const struct config_name *named = NULL;

	if (holding(changes, list) != 1)
		return;
	if (covering(list, changes->client, &prefix) == 1)
		add_change(changes, "remove", name, prefix->text, prefix->pos);
	else if (naming(changes, list, &named) == 1)
		add_change(changes, "remove", name, named->text, named->pos);
}

// Nobody knows the client's name, and the list has but one: without that it would not matter.
static void remove_last_name(
	struct explain_changes *changes, const struct config_list *list, const char *name)
{
	if (list->mode == CONFIG_LIST_ALL_EXCEPT && list->name_count == 1)
		add_change(changes, "remove", name, list->names[0].text, list->names[0].pos);
}

static json_t *add_client(struct explain_changes *changes, const char *name)
{
	return add_change(changes, "add", name, changes->client_text, (struct config_pos){0, 0});
}

void explain_changes_connect(struct explain_changes *changes, struct policy_verdict verdict)
{
	const struct config_list *list = &changes->vserver->connections;
	bool admitted = verdict.kind == POLICY_ACCEPT;

	switch (list->mode) {
	case CONFIG_LIST_NONE:
		add_client(changes, "connections.all_except");
		break;
	case CONFIG_LIST_ONLY:
		if (admitted)
			remove_client(changes, list, "connections.only");
		else
			add_client(changes, "connections.only");
		break;
	case CONFIG_LIST_ALL_EXCEPT:
		if (verdict.kind == POLICY_DEFER)
			remove_last_name(changes, list, "connections.all_except");
		if (verdict.kind != POLICY_REFUSE)
			add_client(changes, "connections.all_except");
		else
			remove_client(changes, list, "connections.all_except");
		break;
	}
}

static bool is_own(const struct explain_changes *changes)
{
	const struct config *config = changes->snapshot->config;

	for (uint32_t i = 0; i < config->own_network_count; i++)
		if (covers(&config->own_networks[i], changes->client))
			return true;
	return false;
}

static void let_client_relay(struct explain_changes *changes, struct policy_verdict verdict)
{
	const struct config_list *list = &changes->vserver->relay;
	json_t *change;

	if (list->mode == CONFIG_LIST_ALL_EXCEPT) {
		if (verdict.kind == POLICY_DEFER) {
			remove_last_name(changes, list, "relay.all_except");
			add_client(changes, "relay.all_except");
		} else {
			remove_client(changes, list, "relay.all_except");
		}
		return;
	}
	change = add_client(changes, "relay.only");
	if (!is_own(changes))
		json_object_set_new(change, "note",
			json_string(
				"the client is outside own_networks: such a configuration is only "
				"loaded with open_relay: i-understand"));
}

static void keep_client_from_relaying(struct explain_changes *changes)
{
	const struct config_list *list = &changes->vserver->relay;

	if (list->mode == CONFIG_LIST_ALL_EXCEPT)
		add_client(changes, "relay.all_except");
	else
		remove_client(changes, list, "relay.only");
}

static bool matches(const char *name, struct slice domain)
{
	size_t len = strlen(name);

	if (strcmp(name, "*") == 0)
		return true;
	if (name[0] == '.')
		return domain.len > len && memcmp(domain.at + domain.len - len, name, len) == 0;
	return domain.len == len && memcmp(domain.at, name, len) == 0;
}

static unsigned matching(const struct config_domain *domains, uint32_t count, struct slice domain)
{
	unsigned found = 0;

	for (uint32_t i = 0; i < count; i++)
		found += matches(domains[i].name, domain) ? 1 : 0;
	return found;
}

static bool may_relay(const struct explain_changes *changes)
{
	const struct config_list *list = &changes->vserver->relay;
	bool listed = holding(changes, list) > 0;

	if (list->mode == CONFIG_LIST_NONE)
		return false;
	return list->mode == CONFIG_LIST_ONLY ? listed : !listed;
}

// Something else that says yes leaves the verdict as it is when the first is gone.
static void take_away(
	struct explain_changes *changes, struct policy_verdict verdict, struct slice domain)
{
	const struct config_vserver *v = changes->vserver;
	unsigned domains = matching(v->local_domains, v->local_domain_count, domain) +
			   matching(v->relay_domains, v->relay_domain_count, domain);

	if (domains == 0) {
		keep_client_from_relaying(changes);
		return;
	}
	if (domains > 1 || verdict.domain == NULL || may_relay(changes))
		return;
	add_change(changes, "remove",
		verdict.rule == POLICY_RULE_LOCAL_DOMAIN ? "local_domains" : "relay_domains",
		verdict.domain->name, verdict.domain->pos);
}

void explain_changes_rcpt(
	struct explain_changes *changes, struct policy_verdict verdict, struct slice domain)
{
	char name[LIMIT_DOMAIN_OCTETS + 1];

	if (verdict.rule == POLICY_RULE_POSTMASTER)
		return;
	if (verdict.kind == POLICY_ACCEPT) {
		take_away(changes, verdict, domain);
		return;
	}
	let_client_relay(changes, verdict);
	snprintf(name, sizeof(name), "%.*s", (int)domain.len, (const char *)domain.at);
	add_change(changes, "add", "relay_domains", name, (struct config_pos){0, 0});
	add_change(changes, "add", "local_domains", name, (struct config_pos){0, 0});
}
