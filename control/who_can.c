#include "control/who_can.h"

#include <stdio.h>
#include <string.h>

#include "control/risk.h"

static json_t *vserver_json(
	const struct snapshot *snapshot, uint16_t index, enum reach_right right, uint32_t most)
{
	struct arena *arena = arena_create(reach_octets(snapshot));
	json_t *object = json_object();

	if (arena == NULL) {
		json_decref(object);
		return NULL;
	}
	const struct address_set set = reach_of(arena, snapshot, index, right);

	json_object_set_new(object, "epoch", json_integer((json_int_t)snapshot->epoch));
	reach_add_json(object, set, most);
	json_object_set_new(object, "names", reach_names(snapshot, index, right));
	// Logins and peers are not there yet, so nobody has rights by them.
	json_object_set_new(object, "accounts", json_array());
	json_object_set_new(object, "peers", json_array());
	json_object_set_new(object, "warnings", risk_json(snapshot, index, right, set));
	arena_free(arena);
	return object;
}

// False: why says which argument is none.
static bool check_args(json_t *args, char why[WHO_CAN_WHY_MAX])
{
	const char *key;
	const json_t *value;

	json_object_foreach(args, key, value)
	{
		if (strcmp(key, "vserver") == 0 && json_is_string(value))
			continue;
		snprintf(why, WHO_CAN_WHY_MAX,
			"%.64s: unknown argument or wrong type; vserver, a text, is taken", key);
		return false;
	}
	return true;
}

json_t *who_can(const struct snapshot *snapshot, enum reach_right right, json_t *args,
	uint32_t most, char why[WHO_CAN_WHY_MAX])
{
	const char *name = json_string_value(json_object_get(args, "vserver"));
	uint16_t first = 0, end = snapshot->vserver_count;
	json_t *answer;

	if (!check_args(args, why))
		return NULL;
	if (name != NULL) {
		first = reach_vserver(snapshot, name, why, WHO_CAN_WHY_MAX);
		if (first == SNAPSHOT_NO_VSERVER)
			return NULL;
		end = (uint16_t)(first + 1);
	}
	answer = json_object();
	for (uint16_t i = first; i < end; i++) {
		json_t *object = vserver_json(snapshot, i, right, most);

		if (object == NULL) {
			snprintf(why, WHO_CAN_WHY_MAX, "no memory");
			json_decref(answer);
			return NULL;
		}
		json_object_set_new(answer, snapshot->vservers[i].config->name, object);
	}
	return answer;
}

static void print_texts(FILE *out, const json_t *object, const char *key, const char *title)
{
	const json_t *list = json_object_get(object, key), *text;
	size_t i;

	json_array_foreach(list, i, text) fprintf(out, "  %s %s\n", title, json_string_value(text));
}

static const char *count_of(const json_t *object, const char *family)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(object, family), "count"));

	return text != NULL ? text : "?";
}

char *who_can_text(json_t *answer, enum reach_right right)
{
	const char *what = right == REACH_RELAY ? "relay without logging in" : "connect";
	const char *name;
	json_t *object;
	char *text = NULL;
	size_t octets;
	FILE *out = open_memstream(&text, &octets);

	if (out == NULL)
		return NULL;
	json_object_foreach(answer, name, object)
	{
		fprintf(out, "%s: %s IPv4 and %s IPv6 addresses can %s\n", name,
			count_of(object, "ipv4"), count_of(object, "ipv6"), what);
		reach_print(out, object, "  ");
		print_texts(out, object, "names", "name    ");
		print_texts(out, object, "accounts", "account ");
		print_texts(out, object, "peers", "peer    ");
		print_texts(out, object, "warnings", "warning:");
	}
	fclose(out);
	return text;
}
