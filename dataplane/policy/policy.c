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

struct policy_verdict policy_connect(const struct snapshot *snapshot, struct policy_client client)
{
	const struct snapshot_vserver *vserver = vserver_of(snapshot, client);
	const bool listed = snapshot_class_has(snapshot, client.class, vserver->connect_list);
	bool admitted = false;

	switch (vserver->connect_mode) {
	case CONFIG_LIST_NONE:
		return verdict_of(POLICY_ACCEPT, POLICY_RULE_ANYBODY);
	case CONFIG_LIST_ONLY:
		admitted = listed;
		break;
	case CONFIG_LIST_ALL_EXCEPT:
		admitted = !listed;
		break;
	}
	return verdict_of(admitted ? POLICY_ACCEPT : POLICY_REFUSE, POLICY_RULE_CONNECT_LIST);
}

// Not written is nobody; so is any value that is none of the enum's.
static bool may_relay(
	const struct snapshot *snapshot, const struct snapshot_vserver *vserver, uint32_t class)
{
	const bool listed = snapshot_class_has(snapshot, class, vserver->relay_list);

	switch (vserver->relay_mode) {
	case CONFIG_LIST_NONE:
		return false;
	case CONFIG_LIST_ONLY:
		return listed;
	case CONFIG_LIST_ALL_EXCEPT:
		return !listed;
	}
	return false;
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
	if (may_relay(snapshot, vserver, client.class))
		return verdict_of(POLICY_ACCEPT, POLICY_RULE_RELAY_LIST);
	return verdict_of(POLICY_REFUSE, POLICY_RULE_NONE);
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

// The entry that covers the address, or the list whose silence decided.
static struct config_pos list_pos(const struct snapshot *snapshot, uint16_t number,
	const struct config_list *list, const struct ip_addr *address)
{
	const struct config_prefix *entry = snapshot_entry_of(snapshot, number, address);

	return entry != NULL ? entry->pos : list->pos;
}

struct config_pos policy_rule_pos(const struct snapshot *snapshot, struct policy_client client,
	const struct ip_addr *address, struct policy_verdict verdict)
{
	const struct snapshot_vserver *vserver = vserver_of(snapshot, client);
	const struct config_vserver *config = vserver->config;

	switch (verdict.rule) {
	case POLICY_RULE_CONNECT_LIST:
		return list_pos(snapshot, vserver->connect_list, &config->connections, address);
	case POLICY_RULE_LOCAL_DOMAIN:
	case POLICY_RULE_RELAY_DOMAIN:
		return verdict.domain->pos;
	case POLICY_RULE_NONE:
	case POLICY_RULE_RELAY_LIST:
		return list_pos(snapshot, vserver->relay_list, &config->relay, address);
	case POLICY_RULE_ANYBODY:
	case POLICY_RULE_POSTMASTER:
	case POLICY_RULE_COUNT:
		break;
	}
	return (struct config_pos){0, 0};
}
