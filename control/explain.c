#include "control/explain.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/name_match.h"
#include "config/value.h"
#include "control/explain_changes.h"
#include "policy/policy.h"
#include "smtp/smtp_session.h"

enum {
	BLOCKS = 8,
	REPLY_ROOM = 2 * SMTP_REPLY_MAX_OCTETS,
	COMMAND_ROOM = 2048,
};

struct question {
	const struct snapshot *snapshot;
	const struct snapshot_vserver *vserver;
	struct ip_addr client;
	char client_text[IP_ADDR_TEXT_MAX];
	struct policy_client facts;
	char name[LIMIT_DOMAIN_OCTETS + 1]; // the client's; "": none, or not known
	uint64_t lists[(LIMIT_VSERVERS * CONFIG_LISTS + 63) / 64]; // that it is in
	const char *sender, *recipient;                            // NULL: not asked
};

struct finding {
	const char *stage;
	bool by_policy;
	struct policy_verdict connect, verdict; // verdict: of the last stage judged by policy
	char domain[LIMIT_DOMAIN_OCTETS + 1];   // RCPT: as judged
	char reply[REPLY_ROOM];                 // last one; "": nothing is said
	char form[128];                         // refused by its form: which
};

// --- the question ---

static bool fail(char why[EXPLAIN_WHY_MAX], const char *format, const char *argument)
{
	// Formats are the literals of this file.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(why, EXPLAIN_WHY_MAX, format, argument);
#pragma GCC diagnostic pop
	return false;
}

static bool check_keys(json_t *args, char why[EXPLAIN_WHY_MAX])
{
	static const char *const texts[] = {
		"vserver", "client", "sender", "recipient", "name", "peer", "account"};
	const char *key;
	const json_t *value;

	if (!json_is_object(args))
		return fail(why, "%s: arguments must be an object", "explain");
	json_object_foreach(args, key, value)
	{
		bool known = strcmp(key, "tls") == 0 && json_is_boolean(value);

		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
			known = known || (strcmp(key, texts[i]) == 0 && json_is_string(value));
		if (!known)
			return fail(why,
				"%.64s: unknown argument or wrong type; explain takes vserver, "
				"client, name, tls, "
				"peer, account, sender, recipient",
				key);
		if (json_is_string(value) && strpbrk(json_string_value(value), "\r\n") != NULL)
			return fail(why, "%s: a line break is in it", key);
	}
	return true;
}

static struct slice name_of(const struct question *q)
{
	return (struct slice){(const uint8_t *)q->name, strlen(q->name)};
}

static const struct snapshot_vserver *find_vserver(
	const struct snapshot *snapshot, const char *name)
{
	for (uint16_t i = 0; i < snapshot->vserver_count; i++)
		if (strcmp(snapshot->vservers[i].config->name, name) == 0)
			return &snapshot->vservers[i];
	return NULL;
}

static void name_vservers(
	const struct snapshot *snapshot, const char *name, char why[EXPLAIN_WHY_MAX])
{
	size_t used = (size_t)snprintf(why, EXPLAIN_WHY_MAX,
		"%.64s: no such virtual server; there are:", name == NULL ? "--vserver" : name);

	for (uint16_t i = 0; i < snapshot->vserver_count && used < EXPLAIN_WHY_MAX; i++)
		used += (size_t)snprintf(why + used, EXPLAIN_WHY_MAX - used, " %s",
			snapshot->vservers[i].config->name);
}

// No name: the client has none. "?": nobody knows.
static bool read_name(const struct snapshot *snapshot, json_t *args, struct question *q,
	char why[EXPLAIN_WHY_MAX])
{
	const char *name = json_string_value(json_object_get(args, "name"));
	struct name_match_scratch *scratch;

	q->facts.names.kind = POLICY_NAMES_NONE;
	if (name == NULL || *name == '\0')
		return true;
	q->facts.names.kind = POLICY_NAMES_UNKNOWN;
	if (strcmp(name, "?") == 0)
		return true;
	if (value_host(name) != NULL)
		return fail(why, "%.64s: not a host name", name);
	for (size_t i = 0; name[i] != '\0'; i++)
		q->name[i] = (char)(tolower)((unsigned char)name[i]);
	q->facts.names = (struct policy_names){.kind = POLICY_NAMES_FOUND, .lists = q->lists};
	if (!snapshot->names)
		return true;
	scratch = name_match_scratch_make(snapshot->config->names);
	if (scratch == NULL)
		return fail(why, "%s", "no memory");
	snapshot_name_lists(snapshot, scratch, name_of(q), q->lists);
	name_match_scratch_free(scratch);
	return true;
}

static bool read_question(const struct snapshot *snapshot, json_t *args, struct question *q,
	char why[EXPLAIN_WHY_MAX])
{
	const char *vserver = json_string_value(json_object_get(args, "vserver"));
	const char *client = json_string_value(json_object_get(args, "client"));

	if (!check_keys(args, why))
		return false;
	q->snapshot = snapshot;
	q->vserver = vserver == NULL ? NULL : find_vserver(snapshot, vserver);
	if (q->vserver == NULL) {
		name_vservers(snapshot, vserver, why);
		return false;
	}
	if (client == NULL || !ip_addr_parse(client, &q->client))
		return fail(why, "%.64s: not an IP address", client == NULL ? "--client" : client);
	ip_addr_print(&q->client, q->client_text);
	q->facts.vserver = q->vserver->index;
	q->facts.class = snapshot_class_of(snapshot, &q->client);
	q->sender = json_string_value(json_object_get(args, "sender"));
	q->recipient = json_string_value(json_object_get(args, "recipient"));
	return read_name(snapshot, args, q, why);
}

// --- the dialogue, held with a real session ---

struct dialog {
	const struct question *question;
	struct finding *finding;
	struct smtp_session session;
	struct smtp_service service;
	struct block_pool pool;
	struct smtp_io io;
	uint8_t reply[REPLY_ROOM], body[64];
	_Alignas(64) uint8_t blocks[BLOCKS * LIMIT_BLOCK_OCTETS];
};

static enum smtp_reply judge(struct dialog *d)
{
	const struct smtp_path *path = &d->session.txn->candidate;
	const struct slice domain = {path->text + path->domain_at, path->domain_len};

	snprintf(d->finding->domain, sizeof(d->finding->domain), "%.*s", (int)domain.len,
		(const char *)domain.at);
	d->finding->by_policy = true;
	d->finding->verdict = policy_rcpt(d->question->snapshot, d->question->facts, domain);
	switch (d->finding->verdict.kind) {
	case POLICY_ACCEPT:
		return SMTP_REPLY_RCPT_OK;
	case POLICY_DEFER:
		return SMTP_REPLY_DEFER_LOOKUP;
	case POLICY_REFUSE:
		break;
	}
	return SMTP_REPLY_RELAY_DENIED;
}

static void begin_reply(struct dialog *d)
{
	d->io = (struct smtp_io){.service = &d->service,
		.blocks = &d->pool,
		.reply = {d->reply, 0, sizeof(d->reply)},
		.body = {d->body, 0, sizeof(d->body)}};
}

// The reply without its line end is the finding's.
static void keep_reply(struct dialog *d)
{
	size_t len = d->io.reply.len;

	while (len > 0 && (d->reply[len - 1] == '\n' || d->reply[len - 1] == '\r'))
		len--;
	snprintf(d->finding->reply, sizeof(d->finding->reply), "%.*s", (int)len,
		(const char *)d->reply);
}

// One command. True: the answer is 2xx.
static bool command(struct dialog *d, const char *verb, const char *address, const char *end)
{
	char line[COMMAND_ROOM];
	int len = snprintf(line, sizeof(line), "%s%s%s\r\n", verb, address, end);
	struct smtp_step step;

	begin_reply(d);
	if (len < 0 || (size_t)len >= sizeof(line)) {
		// Longer than any session would read as one command.
		smtp_reply_write(&d->io.reply, SMTP_REPLY_LINE_TOO_LONG, (struct slice){NULL, 0});
		keep_reply(d);
		return false;
	}
	step = smtp_session_step(
		&d->session, (struct slice){(const uint8_t *)line, (size_t)len}, &d->io);
	if (step.need == SMTP_NEED_MAIL)
		smtp_session_verdict(
			&d->session, SMTP_REPLY_MAIL_OK, (struct slice){NULL, 0}, &d->io);
	else if (step.need == SMTP_NEED_RCPT)
		smtp_session_verdict(&d->session, judge(d), (struct slice){NULL, 0}, &d->io);
	keep_reply(d);
	return d->finding->reply[0] == '2';
}

// Which form an address has that was refused before policy saw it.
static void note_form(struct finding *finding, const char *what, const char *address)
{
	char text[COMMAND_ROOM];
	struct smtp_path path;
	struct slice rest;
	int len = snprintf(text, sizeof(text), "<%s>", address);
	struct slice in = {
		(const uint8_t *)text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1};

	snprintf(finding->form, sizeof(finding->form), "form of the %s: %s", what,
		smtp_address_form_text(smtp_address_parse(in, &path, &rest)));
}

static void hold_dialog(struct dialog *d)
{
	const struct question *q = d->question;
	struct finding *f = d->finding;

	begin_reply(d);
	smtp_session_greet(&d->session, SMTP_REPLY_GREETING, &d->io);
	keep_reply(d);
	if (q->sender == NULL && q->recipient == NULL)
		return;
	f->stage = "mail";
	f->by_policy = false;
	command(d, "EHLO explain.invalid", "", "");
	if (!command(d, "MAIL FROM:<", q->sender == NULL ? "" : q->sender, ">")) {
		note_form(f, "sender", q->sender == NULL ? "" : q->sender);
		return;
	}
	if (q->recipient == NULL)
		return;
	f->stage = "rcpt";
	if (!command(d, "RCPT TO:<", q->recipient, ">") && !f->by_policy)
		note_form(f, "recipient", q->recipient);
}

static bool start_dialog(const struct question *q, struct finding *f, enum smtp_reply greeting)
{
	struct dialog *d = aligned_alloc(64, (sizeof(*d) + 63) / 64 * 64);
	const struct config_vserver *v = q->vserver->config;

	if (d == NULL)
		return false;
	d->question = q;
	d->finding = f;
	d->service = (struct smtp_service){v->fqdn,
		{.message_octets = v->max_message_octets,
			.recipients = (uint16_t)v->max_recipients,
			.errors = LIMIT_ERRORS,
			.received_lines = LIMIT_RECEIVED_LINES},
		v->tls.certificate.path != NULL};
	block_pool_init(&d->pool, d->blocks, BLOCKS);
	smtp_session_init(&d->session);
	if (greeting == SMTP_REPLY_GREETING) {
		hold_dialog(d);
	} else {
		begin_reply(d);
		smtp_session_greet(&d->session, greeting, &d->io);
		keep_reply(d);
	}
	smtp_session_free(&d->session, &d->pool);
	free(d);
	return true;
}

static bool find(const struct question *q, struct finding *f)
{
	f->stage = "connect";
	f->by_policy = true;
	f->connect = policy_connect(q->snapshot, q->facts);
	f->verdict = f->connect;
	if (f->connect.kind == POLICY_ACCEPT)
		return start_dialog(q, f, SMTP_REPLY_GREETING);
	if (f->connect.kind == POLICY_DEFER)
		return start_dialog(q, f, SMTP_REPLY_NAME_UNKNOWN);
	if (q->vserver->refuse == CONFIG_REFUSE_REPLY)
		return start_dialog(q, f, SMTP_REPLY_CONNECT_REFUSED);
	return true;
}

// --- the answer ---

static const char *mode_text(enum config_list_mode mode)
{
	return mode == CONFIG_LIST_ALL_EXCEPT ? "all_except" : "only";
}

__attribute__((format(printf, 2, 3))) static void say(
	char text[EXPLAIN_WHY_MAX], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, EXPLAIN_WHY_MAX, format, arguments);
	va_end(arguments);
}

// What the names of a list have to do with a client that none of its entries is about.
static const char *nameless_text(const struct question *q, const struct config_list *list)
{
	if (list->name_count == 0)
		return "";
	if (q->facts.names.kind == POLICY_NAMES_UNKNOWN)
		return ", and its name is not known";
	if (q->facts.names.kind == POLICY_NAMES_FOUND)
		return " or its name";
	return list->mode == CONFIG_LIST_ALL_EXCEPT
		       ? "; without a confirmed name it is an exception"
		       : ", and it has no confirmed name";
}

static void list_text(const struct question *q, const char *name, uint16_t number,
	const struct config_list *list, char text[EXPLAIN_WHY_MAX])
{
	const struct config_prefix *entry = snapshot_entry_of(q->snapshot, number, &q->client);
	const char *mode = mode_text(list->mode);
	const struct config_name *named = NULL;

	if (q->name[0] != '\0')
		(void)snapshot_name_entries(q->snapshot, number, name_of(q), &named);
	if (list->mode == CONFIG_LIST_NONE)
		say(text, "%s: not written, nobody is listed", name);
	else if (entry != NULL)
		say(text, "%s.%s: %s", name, mode, entry->text);
	else if (named != NULL)
		say(text, "%s.%s: %s", name, mode, named->text);
	else
		say(text, "%s.%s: no entry covers %s%s", name, mode, q->client_text,
			nameless_text(q, list));
}

static void rule_text(const struct question *q, const struct finding *f, char text[EXPLAIN_WHY_MAX])
{
	const struct config_vserver *v = q->vserver->config;

	switch (f->verdict.rule) {
	case POLICY_RULE_CONNECT_LIST:
		list_text(q, "connections", q->vserver->connect_list, &v->connections, text);
		break;
	case POLICY_RULE_NONE:
	case POLICY_RULE_RELAY_LIST:
		list_text(q, "relay", q->vserver->relay_list, &v->relay, text);
		break;
	case POLICY_RULE_LOCAL_DOMAIN:
	case POLICY_RULE_RELAY_DOMAIN:
		say(text, "%s: %s", policy_rule_text(f->verdict.rule), f->verdict.domain->name);
		break;
	case POLICY_RULE_ANYBODY:
	case POLICY_RULE_POSTMASTER:
	case POLICY_RULE_COUNT:
		say(text, "%s", policy_rule_text(f->verdict.rule));
		break;
	}
}

static json_t *rule_json(const struct question *q, const struct finding *f)
{
	char text[EXPLAIN_WHY_MAX];
	struct config_pos pos;

	if (!f->by_policy)
		return json_pack("{s:n, s:i, s:s}", "file", "line", 0, "text",
			f->form[0] != '\0' ? f->form : "nothing speaks against the sender");
	rule_text(q, f, text);
	pos = policy_rule_pos(q->snapshot, q->facts, &q->client, name_of(q), f->verdict);
	if (pos.line == 0 && f->verdict.rule != POLICY_RULE_POSTMASTER)
		pos = q->vserver->config->pos;
	return json_pack("{s:s, s:i, s:s}", "file", q->snapshot->config->path, "line",
		(int)pos.line, "text", text);
}

static json_t *changes_json(const struct question *q, const struct finding *f)
{
	struct explain_changes changes = {q->snapshot, q->vserver->config, &q->client,
		q->client_text, name_of(q), json_array()};

	if (f->by_policy && strcmp(f->stage, "rcpt") == 0)
		explain_changes_rcpt(&changes, f->verdict,
			(struct slice){(const uint8_t *)f->domain, strlen(f->domain)});
	// A client that is refused at its SYN gets no further; one that is admitted could be refused there.
	if (f->form[0] == '\0' &&
		(f->connect.kind != POLICY_ACCEPT || f->verdict.kind == POLICY_ACCEPT))
		explain_changes_connect(&changes, f->connect);
	return changes.list;
}

static const char *verdict_text(const struct finding *f)
{
	if (f->reply[0] == '4')
		return "defer";
	if (f->by_policy && f->verdict.kind == POLICY_DEFER)
		return "defer";
	if (f->reply[0] == '2')
		return "accept";
	return "refuse";
}

static json_t *not_judged(const json_t *args)
{
	static const char *const keys[] = {"tls", "peer", "account"};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (json_object_get(args, keys[i]) != NULL)
			json_array_append_new(list, json_string(keys[i]));
	return list;
}

// What clients send may be no UTF-8: such octets are shown as '?'.
static json_t *reply_json(const char *reply)
{
	char text[REPLY_ROOM];
	size_t i;

	if (reply[0] == '\0')
		return json_null();
	for (i = 0; reply[i] != '\0'; i++)
		text[i] = reply[i];
	if ((unsigned char)reply[i] > 126)
		text[i] = '?';
	text[i] = '\0';
	return json_string(text);
}

// By a name: after the handshake, when packets can be dropped no more.
static const char *refused_by(const struct question *q)
{
	static const char *const silent[] = {"reset", "drop", "reply"};
	struct policy_client facts = q->facts;

	facts.names.kind = POLICY_NAMES_UNKNOWN;
	if (q->vserver->refuse == CONFIG_REFUSE_DROP &&
		policy_connect(q->snapshot, facts).kind == POLICY_DEFER)
		return silent[CONFIG_REFUSE_RESET];
	return silent[q->vserver->refuse];
}

json_t *explain(const struct snapshot *snapshot, json_t *args, char why[EXPLAIN_WHY_MAX])
{
	struct question q = {0};
	struct finding *f;
	json_t *answer, *ignored;

	if (!read_question(snapshot, args, &q, why))
		return NULL;
	f = calloc(1, sizeof(*f));
	if (f == NULL || !find(&q, f)) {
		free(f);
		fail(why, "%s", "no memory");
		return NULL;
	}
	answer = json_pack("{s:s, s:s, s:o, s:o, s:I, s:o}", "verdict", verdict_text(f), "stage",
		f->stage, "reply", reply_json(f->reply), "rule", rule_json(&q, f), "epoch",
		(json_int_t)snapshot->epoch, "would_change", changes_json(&q, f));
	if (f->connect.kind == POLICY_REFUSE)
		json_object_set_new(answer, "refused_by", json_string(refused_by(&q)));
	if (q.name[0] != '\0')
		json_object_set_new(answer, "name", json_string(q.name));
	if (!q.vserver->config->forward_confirm &&
		(q.vserver->connect_names || q.vserver->relay_names))
		json_object_set_new(answer, "risk", json_string(EXPLAIN_RISK_UNCONFIRMED));
	json_object_set_new(answer, "vserver", json_string(q.vserver->config->name));
	json_object_set_new(answer, "client", json_string(q.client_text));
	ignored = not_judged(args);
	if (json_array_size(ignored) > 0)
		json_object_set(answer, "not_judged", ignored);
	json_decref(ignored);
	free(f);
	return answer;
}

static const char *get(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

char *explain_text(const json_t *answer)
{
	const json_t *rule = json_object_get(answer, "rule"), *change;
	const char *reply = get(answer, "reply");
	char *text = NULL;
	size_t octets, i;
	FILE *out = open_memstream(&text, &octets);

	if (out == NULL)
		return NULL;
	fprintf(out, "%s at %s for %s on %s\n", get(answer, "verdict"), get(answer, "stage"),
		get(answer, "client"), get(answer, "vserver"));
	if (reply[0] != '\0')
		fprintf(out, "  reply  %s\n", reply);
	else
		fprintf(out, "  reply  none (%s)\n", get(answer, "refused_by"));
	if (json_is_string(json_object_get(rule, "file")))
		fprintf(out, "  rule   %s (%s:%lld)\n", get(rule, "text"), get(rule, "file"),
			(long long)json_integer_value(json_object_get(rule, "line")));
	else
		fprintf(out, "  rule   %s\n", get(rule, "text"));
	if (get(answer, "name")[0] != '\0')
		fprintf(out, "  name   %s\n", get(answer, "name"));
	if (get(answer, "risk")[0] != '\0')
		fprintf(out, "  risk   %s\n", get(answer, "risk"));
	fprintf(out, "  epoch  %lld\n",
		(long long)json_integer_value(json_object_get(answer, "epoch")));
	json_array_foreach(json_object_get(answer, "would_change"), i, change)
	{
		const char *note = get(change, "note");

		fprintf(out, "  would change: %s%s%s\n", get(change, "text"), note[0] ? "; " : "",
			note);
	}
	json_array_foreach(json_object_get(answer, "not_judged"), i, change) fprintf(
		out, "  not judged: %s (no rule asks for it yet)\n", json_string_value(change));
	fclose(out);
	return text;
}
