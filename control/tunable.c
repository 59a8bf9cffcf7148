#include "control/tunable.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/reload.h"

struct tunable {
	const char *name;
	size_t offset; // in struct edge_tunables
	uint32_t least, most;
	const char *words[4]; // names of 0, 1, ...; none: a number
	const char *expected;
};

static const struct tunable tunables[] = {
	{"dataplane.poll", offsetof(struct edge_tunables, poll_busy), 0, 1, {"adaptive", "busy"},
		"adaptive or busy"},
	{"dataplane.syn_cookies", offsetof(struct edge_tunables, syn_cookies), 0, 1,
		{"pressure", "always"}, "pressure or always"},
	{"limits.command_timeout", offsetof(struct edge_tunables, command_timeout_s), 1, 3600,
		{NULL}, "seconds, 1 to 3600"},
	{"limits.body_rate", offsetof(struct edge_tunables, body_rate), 0, 1000000, {NULL},
		"octets a second, 0 to 1000000"},
	{"limits.errors", offsetof(struct edge_tunables, errors), 1, 1000, {NULL},
		"a number, 1 to 1000"},
	{"log.level", offsetof(struct edge_tunables, log_level), 0, 2,
		{"refusals", "decisions", "sessions"}, "refusals, decisions or sessions"},
};

enum {
	COUNT = sizeof(tunables) / sizeof(tunables[0]),
};

static const char delivery[] = "delivery.concurrency";

bool tunable_is_delivery(const char *name)
{
	return strcmp(name, delivery) == 0;
}

static const struct tunable *find(const char *name, char why[TUNABLE_WHY_MAX])
{
	size_t used;

	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(tunables[i].name, name) == 0)
			return &tunables[i];
	used = (size_t)snprintf(why, TUNABLE_WHY_MAX, "%.64s: cannot be set; there are:", name);
	for (size_t i = 0; i < COUNT && used < TUNABLE_WHY_MAX; i++)
		used += (size_t)snprintf(
			why + used, TUNABLE_WHY_MAX - used, " %s", tunables[i].name);
	if (used < TUNABLE_WHY_MAX)
		snprintf(why + used, TUNABLE_WHY_MAX - used, " %s", delivery);
	return NULL;
}

static json_t *value_json(const struct edge *edge, const struct tunable *t)
{
	const char *at = (const char *)&edge->tunables + t->offset;
	uint32_t value = atomic_load((const _Atomic uint32_t *)(const void *)at);

	return t->words[0] != NULL ? json_string(t->words[value]) : json_integer(value);
}

static void store(struct edge *edge, const struct tunable *t, uint32_t value)
{
	char *at = (char *)&edge->tunables + t->offset;

	atomic_store((_Atomic uint32_t *)(void *)at, value);
}

json_t *tunable_all(const struct edge *edge)
{
	json_t *all = json_object();

	for (size_t i = 0; i < COUNT; i++)
		json_object_set_new(all, tunables[i].name, value_json(edge, &tunables[i]));
	return all;
}

json_t *tunable_get(const struct edge *edge, const char *name, char why[TUNABLE_WHY_MAX])
{
	const struct tunable *t = find(name, why);

	return t == NULL ? NULL : value_json(edge, t);
}

static bool read_value(const struct tunable *t, const char *text, uint32_t *value)
{
	unsigned long number;
	char *end;

	for (uint32_t i = 0; t->words[0] != NULL && i <= t->most; i++) {
		if (strcmp(t->words[i], text) != 0)
			continue;
		*value = i;
		return true;
	}
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno != 0 || number < t->least || number > t->most)
		return false;
	// "300s" for what is in seconds.
	if (*end == 's' && strncmp(t->expected, "seconds", 7) == 0)
		end++;
	*value = (uint32_t)number;
	return *end == '\0';
}

bool tunable_set(struct edge *edge, struct reload *reload, const char *name, const char *value,
	char why[TUNABLE_WHY_MAX])
{
	const struct tunable *t = find(name, why);
	uint32_t number;

	if (t == NULL)
		return false;
	if (!read_value(t, value, &number)) {
		snprintf(why, TUNABLE_WHY_MAX, "%s: found %.64s, expected %s", name, value,
			t->expected);
		return false;
	}
	if (strcmp(name, "limits.errors") == 0)
		reload_set_errors(reload, (uint16_t)number);
	else
		store(edge, t, number);
	return true;
}
