#include "control/risk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/value.h"

enum {
	TEXT_OCTETS = 512,
};

struct risk {
	const struct snapshot *snapshot;
	const struct snapshot_vserver *snapshot_vserver;
	const struct config_vserver *vserver;
	struct address_set set;
	json_t *texts;
	unsigned left_out;
};

__attribute__((format(printf, 3, 4))) static void say(
	struct risk *risk, struct config_pos pos, const char *format, ...)
{
	char text[TEXT_OCTETS];
	va_list arguments;
	int used = 0;

	if (json_array_size(risk->texts) >= RISK_TEXTS_MOST) {
		risk->left_out++;
		return;
	}
	va_start(arguments, format);
	if (pos.line != 0)
		used = snprintf(text, sizeof(text), "%.255s:%u:%u: ", risk->snapshot->config->path,
			pos.line, pos.column);
	vsnprintf(text + used, sizeof(text) - (size_t)used, format, arguments);
	va_end(arguments);
	json_array_append_new(risk->texts, json_string(text));
}

// The longest entry of the relay list around an address, or the list.
static struct config_pos entry_pos(const struct risk *risk, const struct ip_addr *addr)
{
	const struct snapshot_vserver *v = risk->snapshot_vserver;
	const struct config_prefix *entry =
		risk->vserver->relay.mode == CONFIG_LIST_ONLY
			? snapshot_entry_of(risk->snapshot, v->relay_list, addr)
			: NULL;

	return entry != NULL ? entry->pos : risk->vserver->relay.pos;
}

static void judge_mode(struct risk *risk, const char *key, const struct config_list *list)
{
	if (list->mode == CONFIG_LIST_ALL_EXCEPT)
		say(risk, list->pos,
			"%s.all_except: everybody nobody thought of is let in, networks of the "
			"future included",
			key);
}

// What may relay of one range whose holders change, by an entry of the list where one is to blame.
static void judge_pool(struct risk *risk, const struct config_prefix *pool)
{
	struct address_range ranges[2], run;
	const unsigned count = address_set_ranges_of(&pool->addr, pool->len, ranges);
	char text[IP_ADDR_TEXT_MAX];

	for (unsigned i = 0; i < count; i++) {
		if (!address_set_first_in(risk->set, ranges[i], &run))
			continue;
		const struct ip_addr first = address_key_addr(run.first);

		say(risk, entry_pos(risk, &first),
			"relay: %s may relay and is in the dynamic pool %s (line %u): who has the "
			"address next relays too",
			ip_addr_print(&first, text), pool->text, pool->pos.line);
		return;
	}
}

// A list entry that connection control makes useless is not what somebody meant.
static void judge_useless(struct risk *risk)
{
	const struct config_list *relay = &risk->vserver->relay;

	if (relay->mode != CONFIG_LIST_ONLY)
		return;
	for (uint32_t i = 0; i < relay->prefix_count; i++) {
		const struct config_prefix *entry = &relay->prefixes[i];
		struct address_range ranges[2], run;
		const unsigned count = address_set_ranges_of(&entry->addr, entry->len, ranges);
		bool any = false;

		for (unsigned k = 0; k < count; k++)
			any = any || address_set_first_in(risk->set, ranges[k], &run);
		if (!any)
			say(risk, entry->pos,
				"relay.only: %s may not connect, so it does not relay",
				entry->text);
	}
}

static bool is_below(const char *name, const struct config_domain *domains, uint32_t count)
{
	const size_t len = strlen(name);

	for (uint32_t i = 0; i < count; i++) {
		const char *domain = domains[i].name + (domains[i].name[0] == '.');
		const size_t tail = strlen(domain);

		if (len >= tail && strcasecmp(name + len - tail, domain) == 0 &&
			(len == tail || name[len - tail - 1] == '.'))
			return true;
	}
	return false;
}

// Whether a name is below a domain whose mail comes here, so that its zone is most likely the operator's.
static bool is_own_zone(const struct config *config, const char *name)
{
	for (uint32_t v = 0; v < config->vserver_count; v++) {
		const struct config_vserver *vserver = &config->vservers[v];

		if (is_below(name, vserver->local_domains, vserver->local_domain_count) ||
			is_below(name, vserver->relay_domains, vserver->relay_domain_count))
			return true;
	}
	return false;
}

static void judge_names(struct risk *risk, const char *key, const struct config_list *list)
{
	if (list->mode == CONFIG_LIST_ALL_EXCEPT && list->name_count > 0)
		say(risk, list->names[0].pos,
			"%s.all_except has names: who is let in hangs on the zones of all clients, "
			"and nobody is without a confirmed name",
			key);
	for (uint32_t i = 0; list->mode == CONFIG_LIST_ONLY && i < list->name_count; i++) {
		const char *text = list->names[i].text;

		if (text[0] == '/' || !is_own_zone(risk->snapshot->config, text))
			say(risk, list->names[i].pos,
				"%s.only: %s: whoever has the zones of such names decides which "
				"addresses they are",
				key, text);
	}
}

static void judge_confirmation(struct risk *risk)
{
	const struct config_vserver *v = risk->vserver;

	if (v->connections.name_count + v->relay.name_count > 0 && !v->forward_confirm)
		say(risk, v->forward_confirm_pos,
			"forward_confirm: false: whoever has the reverse zone of an address names "
			"its client");
}

static void judge_domains(
	struct risk *risk, const char *key, const struct config_domain *domains, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(domains[i].name, "*") == 0)
			say(risk, domains[i].pos,
				"%s: \"*\" takes mail for every domain from everybody who may "
				"connect",
				key);
	}
}

static void judge_relay(struct risk *risk)
{
	const struct config *config = risk->snapshot->config;
	const struct config_vserver *v = risk->vserver;

	if (v->open_relay_understood)
		say(risk, v->open_relay_pos,
			"open_relay: i-understand: nothing keeps this virtual server from relaying "
			"for strangers");
	judge_mode(risk, "relay", &v->relay);
	judge_names(risk, "relay", &v->relay);
	judge_domains(risk, "local_domains", v->local_domains, v->local_domain_count);
	judge_domains(risk, "relay_domains", v->relay_domains, v->relay_domain_count);
	judge_useless(risk);
	for (uint32_t i = 0; i < config->dynamic_pool_count; i++)
		judge_pool(risk, &config->dynamic_pools[i]);
}

json_t *risk_json(const struct snapshot *snapshot, uint16_t vserver, enum reach_right right,
	struct address_set set)
{
	struct risk risk = {.snapshot = snapshot,
		.snapshot_vserver = &snapshot->vservers[vserver],
		.vserver = snapshot->vservers[vserver].config,
		.set = set,
		.texts = json_array()};
	char text[TEXT_OCTETS];

	if (right == REACH_RELAY)
		judge_relay(&risk);
	else
		judge_mode(&risk, "connections", &risk.vserver->connections);
	judge_names(&risk, "connections", &risk.vserver->connections);
	judge_confirmation(&risk);
	if (risk.left_out > 0) {
		snprintf(text, sizeof(text), "and %u more warnings", risk.left_out);
		json_array_append_new(risk.texts, json_string(text));
	}
	return risk.texts;
}

static size_t digits(const char *at)
{
	return strspn(at, "0123456789");
}

// Behind ":LINE:COLUMN: " when that is what stands here; NULL: it is not.
static const char *behind_place(const char *at)
{
	const size_t line = at[0] == ':' ? digits(at + 1) : 0;
	const char *column = at + 1 + line;

	if (line == 0 || *column != ':' || digits(column + 1) == 0)
		return NULL;
	column += 1 + digits(column + 1);
	return column[0] == ':' && column[1] == ' ' ? column + 2 : NULL;
}

// A path can have anything in it, so the last place counts: no warning has one in its own words.
const char *risk_without_place(const char *text)
{
	const char *found = text;

	for (const char *at = text; (at = strchr(at, ':')) != NULL; at++) {
		if (behind_place(at) != NULL)
			found = behind_place(at);
	}
	return found;
}
