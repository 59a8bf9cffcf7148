#include "control/policy_diff.h"

#include <stdio.h>
#include <string.h>

#include "control/risk.h"

enum {
	SETS = 4, // of the size of both policies' that one comparison makes
};

// One virtual server in both; SNAPSHOT_NO_VSERVER in the one that lacks it.
struct pair {
	const struct snapshot *before, *after;
	uint16_t old, new;
	uint32_t most;
};

static const struct config_vserver *config_of(const struct snapshot *snapshot, uint16_t vserver)
{
	return vserver == SNAPSHOT_NO_VSERVER ? NULL : snapshot->vservers[vserver].config;
}

// Wherever in their files they stand.
static json_t *set_of_texts(const json_t *list)
{
	json_t *set = json_object();
	const json_t *text;
	size_t i;

	json_array_foreach(list, i, text)
		json_object_set_new(set, risk_without_place(json_string_value(text)), json_null());
	return set;
}

// Texts of the one that the other does not have.
static json_t *texts_less(const json_t *list, const json_t *other)
{
	json_t *rest = json_array(), *known = set_of_texts(other), *text;
	size_t i;

	json_array_foreach(list, i, text)
	{
		if (json_object_get(known, risk_without_place(json_string_value(text))) == NULL)
			json_array_append(rest, text);
	}
	json_decref(known);
	return rest;
}

// What one of the two gives by one right: an address set, and texts.
struct given {
	struct address_set set;
	json_t *names, *warnings;
};

static struct given given_of(struct arena *arena, const struct snapshot *snapshot, uint16_t vserver,
	enum reach_right right)
{
	struct given given = {.names = NULL};

	if (vserver == SNAPSHOT_NO_VSERVER) {
		given.names = json_array();
		given.warnings = json_array();
		return given;
	}
	given.set = reach_of(arena, snapshot, vserver, right);
	given.names = reach_names(snapshot, vserver, right);
	given.warnings = risk_json(snapshot, vserver, right, given.set);
	return given;
}

static void given_free(struct given *given)
{
	json_decref(given->names);
	json_decref(given->warnings);
}

// What a gives and b does not. True: that is something.
static bool add_less(const struct given *a, const struct given *b, const struct address_set set,
	uint32_t most, json_t *side)
{
	json_t *names = texts_less(a->names, b->names);

	reach_add_json(side, set, most);
	json_object_set_new(side, "names", names);
	// Logins and peers are not there yet, so nobody gains or loses rights by them.
	json_object_set_new(side, "accounts", json_array());
	json_object_set_new(side, "peers", json_array());
	json_object_set_new(side, "warnings", texts_less(a->warnings, b->warnings));
	return set.count > 0 || json_array_size(names) > 0;
}

// Adds gain and lose of one right to object. 1: they differ; 0: they do not; -1: no memory.
static int compare_right(const struct pair *pair, enum reach_right right, json_t *object)
{
	struct arena *arena =
		arena_create(SETS * (reach_octets(pair->before) + reach_octets(pair->after)));

	if (arena == NULL)
		return -1;
	struct given old = given_of(arena, pair->before, pair->old, right);
	struct given new = given_of(arena, pair->after, pair->new, right);
	json_t *gain = json_object(), *lose = json_object();
	const bool gains = add_less(
		&new, &old, address_set_subtract(arena, new.set, old.set), pair->most, gain);
	const bool loses = add_less(
		&old, &new, address_set_subtract(arena, old.set, new.set), pair->most, lose);

	json_object_set_new(object, "gain", gain);
	json_object_set_new(object, "lose", lose);
	given_free(&old);
	given_free(&new);
	arena_free(arena);
	return gains || loses;
}

// --- domains ---

static void add_domains(json_t *list, const struct config_domain *domains, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(domains[i].name));
}

static json_t *domains_of(const struct config_vserver *v)
{
	json_t *list = json_array();

	if (v == NULL)
		return list;
	add_domains(list, v->local_domains, v->local_domain_count);
	add_domains(list, v->relay_domains, v->relay_domain_count);
	return list;
}

// True: they differ.
static bool compare_domains(
	const struct config_vserver *old, const struct config_vserver *new, json_t *object)
{
	json_t *before = domains_of(old), *after = domains_of(new);
	json_t *gain = texts_less(after, before), *lose = texts_less(before, after);

	json_object_set_new(object, "domains", json_pack("{s:o, s:o}", "gain", gain, "lose", lose));
	json_decref(before);
	json_decref(after);
	return json_array_size(gain) > 0 || json_array_size(lose) > 0;
}

// --- a virtual server, all of them ---

static const char *state_text(const struct pair *pair)
{
	if (pair->old == SNAPSHOT_NO_VSERVER)
		return "added";
	return pair->new == SNAPSHOT_NO_VSERVER ? "removed" : "kept";
}

// False: no memory.
static bool compare_pair(const struct pair *pair, const char *name, json_t *answer)
{
	json_t *connect = json_object(), *object = json_object();
	const bool kept = pair->old != SNAPSHOT_NO_VSERVER && pair->new != SNAPSHOT_NO_VSERVER;

	json_object_set_new(object, "state", json_string(state_text(pair)));
	const int relays = compare_right(pair, REACH_RELAY, object);
	const int connects = compare_right(pair, REACH_CONNECT, connect);

	json_object_set_new(object, "connect", connect);
	const bool takes = compare_domains(
		config_of(pair->before, pair->old), config_of(pair->after, pair->new), object);

	if (!kept || takes || relays != 0 || connects != 0)
		json_object_set(answer, name, object);
	json_decref(object);
	return relays >= 0 && connects >= 0;
}

static uint16_t find(const struct snapshot *snapshot, const char *name)
{
	for (uint16_t i = 0; i < snapshot->vserver_count; i++) {
		if (strcmp(snapshot->vservers[i].config->name, name) == 0)
			return i;
	}
	return SNAPSHOT_NO_VSERVER;
}

json_t *policy_diff(const struct snapshot *before, const struct snapshot *after, uint32_t most)
{
	struct pair pair = {.before = before, .after = after, .most = most};
	json_t *answer = json_object();
	bool good = true;

	for (uint16_t i = 0; good && i < before->vserver_count; i++) {
		const char *name = before->vservers[i].config->name;

		pair.old = i;
		pair.new = find(after, name);
		good = compare_pair(&pair, name, answer);
	}
	pair.old = SNAPSHOT_NO_VSERVER;
	for (uint16_t i = 0; good && i < after->vserver_count; i++) {
		const char *name = after->vservers[i].config->name;

		pair.new = i;
		if (find(before, name) == SNAPSHOT_NO_VSERVER)
			good = compare_pair(&pair, name, answer);
	}
	if (good)
		return answer;
	json_decref(answer);
	return NULL;
}

// --- text ---

static const char *count_of(const json_t *side, const char *family)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(side, family), "count"));

	return text != NULL ? text : "?";
}

static void print_texts(FILE *out, const json_t *list, const char *before)
{
	const json_t *text;
	size_t i;

	json_array_foreach(list, i, text) fprintf(out, "%s%s\n", before, json_string_value(text));
}

static void print_side(FILE *out, const json_t *side, const char *what, const char *sign)
{
	if (strcmp(count_of(side, "ipv4"), "0") != 0 || strcmp(count_of(side, "ipv6"), "0") != 0) {
		fprintf(out, "  %s: %s IPv4 and %s IPv6 addresses\n", what, count_of(side, "ipv4"),
			count_of(side, "ipv6"));
		reach_print(out, side, sign);
	}
	print_texts(out, json_object_get(side, "warnings"),
		sign[2] == '+' ? "  + warning: " : "  - warning: ");
}

char *policy_diff_text(json_t *answer)
{
	char *text = NULL;
	size_t octets;
	const char *name;
	json_t *v;
	FILE *out = open_memstream(&text, &octets);

	if (out == NULL)
		return NULL;
	if (json_object_size(answer) == 0)
		fprintf(out, "no difference in who may connect and relay\n");
	json_object_foreach(answer, name, v)
	{
		const json_t *connect = json_object_get(v, "connect");
		const json_t *domains = json_object_get(v, "domains");

		fprintf(out, "%s (%s)\n", name, json_string_value(json_object_get(v, "state")));
		print_side(out, json_object_get(v, "gain"), "gain relaying without login", "  + ");
		print_side(out, json_object_get(v, "lose"), "lose relaying without login", "  - ");
		print_side(out, json_object_get(connect, "gain"), "gain connecting", "  + ");
		print_side(out, json_object_get(connect, "lose"), "lose connecting", "  - ");
		print_texts(out, json_object_get(domains, "gain"), "  + domain ");
		print_texts(out, json_object_get(domains, "lose"), "  - domain ");
	}
	fclose(out);
	return text;
}
