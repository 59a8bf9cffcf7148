#include "control/steering_report.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/steering.h"

static const char *by_name(enum steering_by by)
{
	switch (by) {
	case STEERING_BY_RULE:
		return "rule";
	case STEERING_BY_RSS:
		return "rss";
	case STEERING_BY_SOFTWARE:
		return "software";
	}
	return "-";
}

static json_t *rules_of(const struct snapshot *snapshot, uint32_t port, uint16_t queues,
	const struct steering_nic *nic)
{
	struct steering_rule *rules = calloc(LIMIT_STEERING_RULES, sizeof(*rules));
	uint32_t count = rules != NULL ? steering_plan(snapshot, port, queues, nic, rules) : 0;
	json_t *list = json_array();
	char text[STEERING_TEXT_MAX];

	for (uint32_t i = 0; i < count; i++) {
		uint16_t v = rules[i].vserver;

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s}", "text",
				steering_print(snapshot, port, &rules[i], text), "by",
				by_name(rules[i].by), "vserver",
				v == SNAPSHOT_NO_VSERVER ? "-"
							 : snapshot->vservers[v].config->name));
	}
	free(rules);
	return list;
}

static const char *all_kinds(char *text, size_t octets)
{
	size_t used = 0;
	const struct steering_nic *nic;

	for (size_t i = 0; (nic = steering_nic_at(i)) != NULL && used < octets; i++)
		used += (size_t)snprintf(text + used, octets - used, "%s%s", i != 0 ? " " : "",
			steering_nic_name(nic));
	return text;
}

// NULL: not known, why says so.
static const struct steering_nic *kind_of(const struct config_port *port, const char *name,
	const struct steering_report_port *live, char why[STEERING_REPORT_WHY_MAX])
{
	const char *driver = live != NULL && live->driver != NULL ? live->driver : port->device;
	const struct steering_nic *nic =
		name != NULL ? steering_nic_named(name) : steering_nic_of_driver(driver);
	char kinds[256];

	if (nic == NULL)
		snprintf(why, STEERING_REPORT_WHY_MAX, "%.64s: %s: expected --nic and one of: %s",
			name != NULL ? name : driver,
			name != NULL ? "no kind of NIC that is known"
				     : "what NIC this is, is not known",
			all_kinds(kinds, sizeof(kinds)));
	return nic;
}

json_t *steering_report(const struct snapshot *snapshot, const char *name,
	const struct steering_report_port *live, char why[STEERING_REPORT_WHY_MAX])
{
	const struct config *config = snapshot->config;
	json_t *ports = json_array();

	for (uint32_t i = 0; i < config->port_count; i++) {
		const struct steering_report_port *now = live != NULL ? &live[i] : NULL;
		const struct steering_nic *nic = kind_of(&config->ports[i], name, now, why);
		uint16_t queues = (uint16_t)config->dataplane.worker_count;

		if (nic == NULL) {
			json_decref(ports);
			return NULL;
		}
		if (name == NULL && now != NULL && now->queues != 0)
			queues = now->queues;
		json_array_append_new(ports,
			json_pack("{s:s, s:s, s:s, s:i, s:s*, s:o}", "device",
				config->ports[i].device, "nic", steering_nic_name(nic), "remark",
				steering_nic_remark(nic), "queues", (int)queues, "state",
				name == NULL && now != NULL && now->state[0] != '\0' ? now->state
										     : NULL,
				"rules", rules_of(snapshot, i, queues, nic)));
	}
	return json_pack("{s:b, s:o}", "verified", 0, "ports", ports);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "-";
}

char *steering_report_text(const json_t *report)
{
	char *text = NULL;
	size_t octets, i, k;
	const json_t *port, *rule;
	FILE *out = open_memstream(&text, &octets);

	if (out == NULL)
		return NULL;
	fprintf(out, "# Rules as testpmd takes them. None of them was verified on hardware yet.\n");
	json_array_foreach(json_object_get(report, "ports"), i, port)
	{
		fprintf(out, "# port %zu, %s: %s, %lld queues: %s\n", i, text_of(port, "device"),
			text_of(port, "nic"),
			(long long)json_integer_value(json_object_get(port, "queues")),
			text_of(port, "remark"));
		if (json_object_get(port, "state") != NULL)
			fprintf(out, "# now: %s\n", text_of(port, "state"));
		json_array_foreach(json_object_get(port, "rules"), k, rule)
			fprintf(out, "%s\n", text_of(rule, "text"));
	}
	fclose(out);
	return text;
}
