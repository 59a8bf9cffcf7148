#include "policy/policy.h"

#include <assert.h>

static const struct snapshot_vserver *vserver_of(
	const struct snapshot *snapshot, struct policy_client client)
{
	assert(client.vserver < snapshot->vserver_count && client.class < snapshot->class_count);
	return &snapshot->vservers[client.vserver];
}

static struct policy_verdict verdict_of(enum policy_kind kind, enum policy_rule rule)
{
	return (struct policy_verdict){.kind = kind, .rule = rule};
}

enum listed {
	LISTED_NO,
	LISTED_YES,
	LISTED_UNKNOWN,
};

static enum listed name_listed(
	const struct policy_names *names, enum config_list_mode mode, uint16_t list)
{
	const enum listed nameless = mode == CONFIG_LIST_ALL_EXCEPT ? LISTED_YES : LISTED_NO;

	switch (names->kind) {
	case POLICY_NAMES_UNKNOWN:
		return LISTED_UNKNOWN;
	case POLICY_NAMES_NONE:
		return nameless;
	case POLICY_NAMES_FOUND:
		if (names->lists[list / 64] >> (list % 64) & 1)
			return LISTED_YES;
		if (names->partial)
			return LISTED_UNKNOWN;
		// The name that is in the list may be one of those that were cut off.
		return names->cut ? nameless : LISTED_NO;
	}
	return LISTED_UNKNOWN;
}

// One list's word. Not written, as any value that is none of the enum's, is no.
static enum policy_kind list_says(const struct snapshot *snapshot,
	const struct policy_client *client, uint16_t list, bool has_names,
	enum config_list_mode mode)
{
	enum listed listed = LISTED_NO;

	if (mode != CONFIG_LIST_ONLY && mode != CONFIG_LIST_ALL_EXCEPT)
		return POLICY_REFUSE;
	if (snapshot_class_has(snapshot, client->class, list))
		listed = LISTED_YES;
	else if (has_names)
		listed = name_listed(&client->names, mode, list);
	if (listed == LISTED_UNKNOWN)
		return POLICY_DEFER;
	return (listed == LISTED_YES) == (mode == CONFIG_LIST_ONLY) ? POLICY_ACCEPT : POLICY_REFUSE;
}

struct policy_verdict policy_connect(const struct snapshot *snapshot, struct policy_client client)
{
	const struct snapshot_vserver *vserver = vserver_of(snapshot, client);

	if (vserver->connect_mode == CONFIG_LIST_NONE)
		return verdict_of(POLICY_ACCEPT, POLICY_RULE_ANYBODY);
	return verdict_of(list_says(snapshot, &client, vserver->connect_list,
				  vserver->connect_names, vserver->connect_mode),
		POLICY_RULE_CONNECT_LIST);
}

struct policy_verdict policy_rcpt(
	const struct snapshot *snapshot, struct policy_client client, struct slice recipient_domain)
{
	const struct snapshot_vserver *vserver = vserver_of(snapshot, client);

	if (recipient_domain.len == 0) // RFC 5321 4.5.1
		return verdict_of(POLICY_ACCEPT, POLICY_RULE_POSTMASTER);
	const struct config_domain *domain =
		snapshot_domain_find(vserver->local_domains, recipient_domain);

	if (domain != NULL)
		return (struct policy_verdict){POLICY_ACCEPT, POLICY_RULE_LOCAL_DOMAIN, domain};
	domain = snapshot_domain_find(vserver->relay_domains, recipient_domain);
	if (domain != NULL)
		return (struct policy_verdict){POLICY_ACCEPT, POLICY_RULE_RELAY_DOMAIN, domain};
	const enum policy_kind relay = list_says(
		snapshot, &client, vserver->relay_list, vserver->relay_names, vserver->relay_mode);

	return verdict_of(
		relay, relay == POLICY_REFUSE ? POLICY_RULE_NONE : POLICY_RULE_RELAY_LIST);
}

const char *policy_rule_text(enum policy_rule rule)
{
	static const char *const texts[POLICY_RULE_COUNT] = {
#define RULE(name, text) [POLICY_RULE_##name] = (text),
		POLICY_RULES(RULE)
#undef RULE
	};

	return (unsigned)rule < POLICY_RULE_COUNT ? texts[rule] : "rule out of range";
}

// The entry that covers the address, the one that matches the name, or the list whose silence decided.
static struct config_pos list_pos(const struct snapshot *snapshot, uint16_t number,
	const struct ip_addr *address, struct slice name)
{
	const struct config_prefix *entry = snapshot_entry_of(snapshot, number, address);
	const struct config_name *named = NULL;

	if (entry != NULL)
		return entry->pos;
	if (name.len > 0)
		(void)snapshot_name_entries(snapshot, number, name, &named);
	return named != NULL ? named->pos : snapshot_list_of(snapshot, number)->pos;
}

struct config_pos policy_rule_pos(const struct snapshot *snapshot, struct policy_client client,
	const struct ip_addr *address, struct slice name, struct policy_verdict verdict)
{
	const struct snapshot_vserver *vserver = vserver_of(snapshot, client);

	switch (verdict.rule) {
	case POLICY_RULE_CONNECT_LIST:
		return list_pos(snapshot, vserver->connect_list, address, name);
	case POLICY_RULE_LOCAL_DOMAIN:
	case POLICY_RULE_RELAY_DOMAIN:
		return verdict.domain->pos;
	case POLICY_RULE_NONE:
	case POLICY_RULE_RELAY_LIST:
		return list_pos(snapshot, vserver->relay_list, address, name);
	case POLICY_RULE_ANYBODY:
	case POLICY_RULE_POSTMASTER:
	case POLICY_RULE_COUNT:
		break;
	}
	return (struct config_pos){0, 0};
}
