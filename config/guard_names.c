#include "config/guard_names.h"

#include <libpsl.h>
#include <string.h>

#include "config/name_pattern.h"
#include "config/suffix_rules.h"

bool guard_names_is_special(const char *name)
{
	static const char *const special[] = {
		"localhost", "local", "internal", "test", "example", "invalid"};

	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		if (strcmp(name, special[i]) == 0)
			return true;
	}
	return false;
}

static bool is_public(const char *name)
{
	return psl_is_public_suffix2(psl_builtin(), name, PSL_TYPE_ANY) != 0;
}

// "s3.amazonaws.com" is below "amazonaws.com", and so is what "*.compute.amazonaws.com" stands for.
static bool has_suffix_below(const char *domain)
{
	const size_t len = strlen(domain);

	for (size_t i = 0; i < suffix_rule_count; i++) {
		const size_t rule = strlen(suffix_rules[i]);

		if (rule > len && suffix_rules[i][rule - len - 1] == '.' &&
			memcmp(suffix_rules[i] + rule - len, domain, len) == 0)
			return true;
	}
	return false;
}

// Whether all names below, and the domain itself, are somebody's: no stranger can have one of them.
static bool is_owned(const char *domain)
{
	if (guard_names_is_special(domain))
		return true;
	return !is_public(domain) && !has_suffix_below(domain);
}

static bool is_narrow(const struct name_tail *tail)
{
	char text[NAME_TAILS_OCTETS + 1];

	memcpy(text, tail->text, tail->len);
	text[tail->len] = '\0';
	// One name is that name, and nobody has a public suffix's.
	if (tail->whole)
		return guard_names_is_special(text) || !is_public(text);
	for (const char *dot = strchr(text, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
		if (dot[1] != '\0' && is_owned(dot + 1))
			return true;
	}
	return false;
}

bool guard_names_is_wide(const char *text)
{
	struct name_tails tails;

	name_pattern_tails(text, &tails);
	for (uint32_t i = 0; i < tails.count; i++) {
		if (!is_narrow(&tails.list[i]))
			return true;
	}
	return false;
}

static void check_vserver(const struct config_vserver *vserver, struct mistakes *mistakes)
{
	const struct config_list *relay = &vserver->relay;

	// What an all_except list names may not relay, and there are never too many of those.
	if (vserver->open_relay_understood || relay->mode != CONFIG_LIST_ONLY)
		return;
	for (uint32_t i = 0; i < relay->name_count; i++) {
		if (guard_names_is_wide(relay->names[i].text))
			mistakes_add(mistakes, relay->names[i].pos,
				"open relay: %s covers a public suffix, below which anybody can "
				"have a name: expected %s, or open_relay: i-understand",
				mistakes_quote(relay->names[i].text).text,
				relay->names[i].text[0] == '/'
					? "an expression that ends with a domain of somebody, "
					  "written out such as \\.example\\.net"
					: "a domain of somebody");
	}
}

void guard_names_check(const struct config *config, struct mistakes *mistakes)
{
	for (uint32_t v = 0; v < config->vserver_count; v++)
		check_vserver(&config->vservers[v], mistakes);
}

static bool is_allowed(const struct config_list *allowed, const char *text)
{
	for (uint32_t i = 0; i < allowed->name_count; i++) {
		if (name_pattern_has(allowed->names[i].text, text))
			return true;
	}
	return false;
}

void guard_names_promise(const struct config_guarantee *guarantee,
	const struct config_list *allowed, const struct config_list *by, struct mistakes *mistakes)
{
	for (uint32_t i = 0; by->mode == CONFIG_LIST_ONLY && i < by->name_count; i++) {
		if (!is_allowed(allowed, by->names[i].text))
			mistakes_add(mistakes, guarantee->pos,
				"guarantee broken: clients of virtual server %s are let in by the "
				"name %s on line %u, and the guarantee's names do not have it",
				guarantee->vserver, mistakes_quote(by->names[i].text).text,
				by->names[i].pos.line);
	}
}
