#include "control/admin_verb.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/explain.h"
#include "control/log.h"
#include "control/policy_diff.h"
#include "control/reload.h"
#include "control/status.h"
#include "control/status_ports.h"
#include "control/steering_report.h"
#include "control/tunable.h"
#include "control/who_can.h"
#include "supervise/child_link.h"
#include "supervise/config_memfd.h"

typedef bool verb_fn(struct admin_call *call);

enum {
	MISTAKES_MAX = 1000, // of one file that are reported
};

// Set exit and text; true for `return say(...)`.
__attribute__((format(printf, 3, 4))) static bool say(
	struct admin_call *call, int exit, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	free(call->answer.text);
	if (vasprintf(&call->answer.text, format, arguments) < 0)
		call->answer.text = NULL;
	va_end(arguments);
	call->answer.exit = exit;
	return true;
}

static const char *text_arg(const struct admin_call *call, const char *name)
{
	return json_string_value(json_object_get(call->args, name));
}

static bool is_among(const char *name, const char *names)
{
	size_t len = strlen(name);

	for (const char *at = names; (at = strstr(at, name)) != NULL; at += len)
		if (len > 0 && (at == names || at[-1] == ' ') &&
			(at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

// Only these arguments (names with a space between) may be there, as text. One that nobody reads would be a wish nobody heard.
static bool has_only(struct admin_call *call, const char *names)
{
	const char *key;
	const json_t *value;

	json_object_foreach(call->args, key, value)
	{
		if (strchr(key, ' ') != NULL || !is_among(key, names)) {
			say(call, 2, "%.64s: unknown argument", key);
			return false;
		}
		if (!json_is_string(value) &&
			!(json_is_integer(value) && strcmp(key, "limit") == 0)) {
			say(call, 2, "%.64s: expected a text", key);
			return false;
		}
	}
	return true;
}

// --- status, vserver ---

static struct status_parts status_parts(const struct admin_parts *parts)
{
	return (struct status_parts){.edge = parts->edge,
		.policy = reload_policy(parts->reload),
		.log = log_totals(parts->log),
		.policies_held = reload_held(parts->reload),
		.deliver_up = deliver_link_is_up(parts->deliver),
		.now_s = (int64_t)time(NULL)};
}

static bool verb_status(struct admin_call *call)
{
	struct status_parts parts = status_parts(call->parts);

	if (!has_only(call, ""))
		return true;
	call->answer.data = status_json(&parts);
	call->answer.text = status_text(call->answer.data);
	return true;
}

static bool list_vservers(struct admin_call *call)
{
	struct status_parts parts = status_parts(call->parts);

	call->answer.data = status_vservers(&parts);
	call->answer.text = status_vservers_text(call->answer.data);
	return true;
}

static bool no_vserver(struct admin_call *call, const char *name)
{
	const struct snapshot *snapshot = reload_policy(call->parts->reload)->snapshot;
	char names[LIMIT_VSERVERS * (LIMIT_NAME_OCTETS + 2)] = "";
	size_t used = 0;

	for (uint16_t i = 0; i < snapshot->vserver_count && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, " %s",
			snapshot->vservers[i].config->name);
	return say(call, 1, "%.64s: no such virtual server; there are:%s", name, names);
}

static bool set_vserver(struct admin_call *call, const char *name, enum edge_vserver_state state)
{
	const struct edge_policy *policy = reload_policy(call->parts->reload);

	for (uint16_t i = 0; i < policy->snapshot->vserver_count; i++) {
		if (strcmp(policy->snapshot->vservers[i].config->name, name) != 0)
			continue;
		atomic_store(&call->parts->edge->vservers[policy->slot[i]].state, (uint8_t)state);
		call->answer.data =
			json_pack("{s:s, s:s}", "vserver", name, "state", status_state_name(state));
		return say(call, 0, "%s is %s", name, status_state_name(state));
	}
	return no_vserver(call, name);
}

static bool verb_vserver(struct admin_call *call)
{
	static const struct {
		const char *name;
		enum edge_vserver_state state;
	} commands[] = {{"start", EDGE_RUNNING}, {"stop", EDGE_STOPPED}, {"pause", EDGE_PAUSED},
		{"drain", EDGE_DRAINING}};
	const char *command = text_arg(call, "command"), *name = text_arg(call, "name");

	if (!has_only(call, "command name"))
		return true;
	if (command != NULL && strcmp(command, "list") == 0)
		return list_vservers(call);
	for (size_t i = 0; command != NULL && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, command) != 0)
			continue;
		if (name == NULL)
			return say(
				call, 2, "vserver %s needs the name of a virtual server", command);
		return set_vserver(call, name, commands[i].state);
	}
	return say(call, 2, "vserver: expected list, or start, stop, pause or drain with a name");
}

// --- reload, stop, log ---

// What is wrong with a file, as text and as data.
struct told {
	FILE *out; // into text
	char *text;
	size_t octets;
	json_t *list;
};

// A reload that compiles beside the loop, and who waits for it.
struct admin_verb_reload {
	admin_verb_reloaded_fn *reloaded;
	void *user; // NULL: nobody any more
	struct told told;
};

static void take_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	struct told *told = user;

	if (json_array_size(told->list) >= MISTAKES_MAX)
		return;
	if (pos.line != 0)
		fprintf(told->out, "%s:%u:%u: %s\n", path, pos.line, pos.column, message);
	else
		fprintf(told->out, "%s: %s\n", path, message);
	json_array_append_new(
		told->list, json_pack("{s:s, s:i, s:i, s:s}", "file", path, "line", (int)pos.line,
				    "column", (int)pos.column, "message", message));
}

static void reload_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	struct admin_verb_reload *r = user;

	take_mistake(&r->told, path, pos, message);
}

static bool told_open(struct told *told)
{
	told->list = json_array();
	told->out = open_memstream(&told->text, &told->octets);
	return told->list != NULL && told->out != NULL;
}

static void told_close(struct told *told)
{
	if (told->out != NULL)
		fclose(told->out);
	free(told->text);
	json_decref(told->list);
}

static void reloading_free(struct admin_verb_reload *r)
{
	told_close(&r->told);
	free(r);
}

static void on_reloaded(void *user, uint64_t epoch)
{
	struct admin_verb_reload *r = user;
	struct admin_call call = {0};

	if (epoch == 0) {
		fflush(r->told.out);
		call.answer.data = json_pack("{s:O}", "mistakes", r->told.list);
		say(&call, 1, "%snothing was changed\n", r->told.text);
	} else {
		call.answer.data = json_pack("{s:I}", "epoch", (json_int_t)epoch);
		say(&call, 0, "policy epoch %llu is running", (unsigned long long)epoch);
	}
	if (r->user != NULL) {
		r->reloaded(r->user, &call.answer);
	} else {
		free(call.answer.text);
		json_decref(call.answer.data);
	}
	reloading_free(r);
}

static bool verb_reload(struct admin_call *call)
{
	struct reload_events events = {reload_mistake, on_reloaded, NULL};
	struct admin_verb_reload *r;

	if (!has_only(call, "file"))
		return true;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return say(call, 1, "no memory");
	r->reloaded = call->reloaded;
	r->user = call->later_user;
	events.user = r;
	if (told_open(&r->told) && reload_start(call->parts->reload, call->parts->loop,
					   text_arg(call, "file"), -1, &events)) {
		call->reload = r;
		return false;
	}
	reloading_free(r);
	return say(call, 1, "another reload is under way: try again when it has ended");
}

void admin_verb_forget(struct admin_verb_reload *reload)
{
	reload->user = NULL;
}

static bool verb_stop(struct admin_call *call)
{
	if (!has_only(call, ""))
		return true;
	if (call->parts->supervisor_link < 0 ||
		child_link_send(call->parts->supervisor_link, CHILD_LINK_STOP, -1) < 0)
		return say(call, 1, "the supervisor does not hear it");
	return say(call, 0, "stopping: open transactions are finished first");
}

static bool verb_log(struct admin_call *call)
{
	const char *command = text_arg(call, "command");

	if (!has_only(call, "command"))
		return true;
	if (command == NULL || strcmp(command, "reopen") != 0)
		return say(call, 2, "log: expected reopen");
	log_reopen(call->parts->log);
	return say(call, 0, "log files are open anew");
}

// --- explain, proofs, steering ---

static bool verb_explain(struct admin_call *call)
{
	char why[EXPLAIN_WHY_MAX];

	call->answer.data = explain(reload_policy(call->parts->reload)->snapshot, call->args, why);
	if (call->answer.data == NULL)
		return say(call, 2, "%s", why);
	call->answer.text = explain_text(call->answer.data);
	return true;
}

// Without text: it would double an answer that may be large, and posternctl makes it from the data.
static bool answer_who_can(struct admin_call *call, enum reach_right right)
{
	char why[WHO_CAN_WHY_MAX];

	call->answer.data = who_can(reload_policy(call->parts->reload)->snapshot, right, call->args,
		REACH_PREFIXES_MOST, why);
	return call->answer.data != NULL || say(call, 2, "%s", why);
}

static bool verb_who_can_connect(struct admin_call *call)
{
	return answer_who_can(call, REACH_CONNECT);
}

static bool verb_who_can_relay(struct admin_call *call)
{
	return answer_who_can(call, REACH_RELAY);
}

// NULL: call says why; its data are the mistakes, if the file could be read.
static struct config *load_other(struct admin_call *call, const char *path)
{
	const int memfd = config_memfd_read(path);
	struct config *config = NULL;
	struct told told = {0};

	if (memfd < 0) {
		say(call, 2, "%s: cannot read: %s", path, strerror(-memfd));
		return NULL;
	}
	if (told_open(&told)) {
		config = config_load(path, memfd, take_mistake, &told);
		fflush(told.out);
	}
	close(memfd);
	if (config == NULL) {
		say(call, 2, "%s", told.text != NULL ? told.text : "no memory");
		call->answer.data = json_pack("{s:O}", "mistakes", told.list);
	}
	told_close(&told);
	return config;
}

static bool verb_diff(struct admin_call *call)
{
	const char *path = text_arg(call, "file");
	struct config *config;
	struct snapshot *other;

	if (!has_only(call, "file"))
		return true;
	if (path == NULL)
		return say(call, 2, "diff needs the path of a configuration");
	config = load_other(call, path);
	if (config == NULL)
		return true;
	other = snapshot_build(config, 0);
	if (other != NULL)
		call->answer.data = policy_diff(
			reload_policy(call->parts->reload)->snapshot, other, REACH_PREFIXES_MOST);
	snapshot_free(other);
	config_free(config);
	if (call->answer.data == NULL)
		return say(call, 2, "no memory");
	call->answer.exit = json_object_size(call->answer.data) > 0 ? 1 : 0;
	return true;
}

static bool verb_steering(struct admin_call *call)
{
	struct steering_report_port live[LIMIT_PORTS];
	const struct snapshot *snapshot = reload_policy(call->parts->reload)->snapshot;
	char why[STEERING_REPORT_WHY_MAX];
	bool have_ports;

	if (!has_only(call, "nic"))
		return true;
	have_ports = status_ports_live(call->parts->edge, live);
	call->answer.data =
		steering_report(snapshot, text_arg(call, "nic"), have_ports ? live : NULL, why);
	if (call->answer.data == NULL)
		return say(call, 2, "%s", why);
	call->answer.text = steering_report_text(call->answer.data);
	return true;
}

// --- what the deliverer answers ---

static bool ask_deliver(struct admin_call *call, const char *verb, json_t *args)
{
	json_t *question = json_pack("{s:s, s:o}", "verb", verb, "args", args);
	char *text = question == NULL ? NULL : json_dumps(question, JSON_COMPACT);
	bool asked = text != NULL && deliver_link_ask(call->parts->deliver, text, strlen(text),
					     call->later, call->later_user);

	free(text);
	json_decref(question);
	if (asked)
		return false;
	return say(call, 1, "postern-deliver cannot be asked now%s",
		deliver_link_is_up(call->parts->deliver) ? ": it is busy" : ": it is not running");
}

static bool verb_queue(struct admin_call *call)
{
	static const char *const commands[] = {
		"list", "show", "count", "hold", "release", "retry", "delete", "bounce"};
	const char *command = text_arg(call, "command");
	json_t *args;

	if (!has_only(call, "command id sender recipient client vserver limit"))
		return true;
	for (size_t i = 0; command != NULL && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i], command) != 0)
			continue;
		args = json_copy(call->args);
		json_object_del(args, "command");
		return ask_deliver(call, commands[i], args);
	}
	return say(call, 2,
		"queue: expected list, show, count, hold, release, retry, delete or bounce");
}

// --- get, set ---

static char *values_text(json_t *values)
{
	const char *name;
	const json_t *value;
	char *text = NULL;
	size_t octets;
	FILE *out = open_memstream(&text, &octets);

	if (out == NULL)
		return NULL;
	json_object_foreach(values, name, value)
	{
		if (json_is_string(value))
			fprintf(out, "%-24s %s\n", name, json_string_value(value));
		else
			fprintf(out, "%-24s %lld\n", name, (long long)json_integer_value(value));
	}
	fclose(out);
	return text;
}

char *admin_verb_merge(json_t *values, json_t *data)
{
	if (data != NULL)
		json_object_update_missing(values, data);
	return values_text(values);
}

static bool get_all(struct admin_call *call)
{
	bool answered =
		ask_deliver(call, "get", json_pack("{s:s}", "name", "delivery.concurrency"));

	call->answer.data = tunable_all(call->parts->edge);
	if (!answered)
		return false;
	// Without the deliverer its value is not known; the others are.
	free(call->answer.text);
	call->answer.text = values_text(call->answer.data);
	call->answer.exit = 0;
	return true;
}

static bool verb_get(struct admin_call *call)
{
	const char *name = text_arg(call, "name");
	char why[TUNABLE_WHY_MAX];
	json_t *value;

	if (!has_only(call, "name"))
		return true;
	if (name == NULL)
		return get_all(call);
	if (tunable_is_delivery(name))
		return ask_deliver(call, "get", json_pack("{s:s}", "name", name));
	value = tunable_get(call->parts->edge, name, why);
	if (value == NULL)
		return say(call, 2, "%s", why);
	call->answer.data = json_pack("{s:o}", name, value);
	call->answer.text = values_text(call->answer.data);
	return true;
}

static bool verb_set(struct admin_call *call)
{
	const char *name = text_arg(call, "name"), *value = text_arg(call, "value");
	char why[TUNABLE_WHY_MAX];

	if (!has_only(call, "name value"))
		return true;
	if (name == NULL || value == NULL)
		return say(call, 2, "set needs a name and a value, both as text");
	if (tunable_is_delivery(name))
		return ask_deliver(
			call, "set", json_pack("{s:s, s:s}", "name", name, "value", value));
	if (!tunable_set(call->parts->edge, call->parts->reload, name, value, why))
		return say(call, 2, "%s", why);
	call->answer.data = json_pack("{s:o}", name, tunable_get(call->parts->edge, name, why));
	call->answer.text = values_text(call->answer.data);
	return true;
}

static const struct {
	const char *name;
	verb_fn *run;
} verbs[] = {
	{"diff", verb_diff},
	{"explain", verb_explain},
	{"get", verb_get},
	{"log", verb_log},
	{"queue", verb_queue},
	{"reload", verb_reload},
	{"set", verb_set},
	{"status", verb_status},
	{"steering", verb_steering},
	{"stop", verb_stop},
	{"vserver", verb_vserver},
	{"who-can-connect", verb_who_can_connect},
	{"who-can-relay", verb_who_can_relay},
};

bool admin_verb_run(struct admin_call *call, const char *verb)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, verb) == 0)
			return verbs[i].run(call);
	return say(call, 2,
		"%s: unknown verb; there are: diff explain get log queue reload set status "
		"steering stop vserver who-can-connect who-can-relay",
		verb);
}
