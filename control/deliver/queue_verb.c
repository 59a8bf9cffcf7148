#include "deliver/queue_verb.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "deliver/log_line.h"
#include "spool/message_id.h"

// What args select; NULL: anything. All that are given must hold.
struct filter {
	const char *id, *sender, *recipient, *client, *vserver;
	int64_t limit;
};

struct answer {
	struct deliver *d;
	struct filter filter;
	json_t *args;
	json_t *data;
	char text[512];
	int exit;
};

static const char *arg_text(const json_t *args, const char *name)
{
	const char *text = json_string_value(json_object_get(args, name));

	return text != NULL && text[0] != '\0' ? text : NULL;
}

static int64_t arg_integer(const json_t *value, int64_t missing)
{
	const char *text = json_string_value(value);
	char *end;
	int64_t n;

	if (json_is_integer(value))
		return json_integer_value(value);
	if (text == NULL || text[0] == '\0')
		return missing;
	n = strtoll(text, &end, 10);
	return *end == '\0' ? n : -1;
}

// False: limit is no number, or out of range.
static bool filter_read(struct filter *f, const json_t *args)
{
	*f = (struct filter){.id = arg_text(args, "id"),
		.sender = arg_text(args, "sender"),
		.recipient = arg_text(args, "recipient"),
		.client = arg_text(args, "client"),
		.vserver = arg_text(args, "vserver"),
		.limit = arg_integer(json_object_get(args, "limit"), QUEUE_VERB_LIMIT)};
	if (f->id != NULL && strcasecmp(f->id, "all") == 0)
		f->id = NULL;
	return f->limit >= 0 && f->limit <= QUEUE_VERB_LIMIT_MAX;
}

static bool is_envelope_needed(const struct filter *f)
{
	return f->sender != NULL || f->recipient != NULL || f->client != NULL || f->vserver != NULL;
}

// "@example.net" stands for every address there.
static bool is_address(const char *pattern, const char *address)
{
	const char *at = strrchr(address, '@');

	if (strcmp(pattern, "<>") == 0)
		return address[0] == '\0';
	if (pattern[0] == '@')
		return at != NULL && strcasecmp(at, pattern) == 0;
	return strcasecmp(pattern, address) == 0;
}

static bool is_rcpt_selected(const struct filter *f, const struct spool_message *spool, uint32_t i)
{
	return f->recipient == NULL || is_address(f->recipient, spool->rcpts[i]);
}

static bool is_envelope_selected(const struct filter *f, const struct spool_message *spool)
{
	if (f->sender != NULL && !is_address(f->sender, spool->sender))
		return false;
	if (f->client != NULL && strcmp(f->client, spool->client) != 0)
		return false;
	if (f->vserver != NULL && strcmp(f->vserver, spool->vserver) != 0)
		return false;
	for (uint32_t i = 0; i < spool->commit.rcpt_count; i++)
		if (is_rcpt_selected(f, spool, i))
			return true;
	return false;
}

static bool is_id_selected(const struct filter *f, const struct queue_message *m)
{
	char id[MESSAGE_ID_TEXT_MAX];

	return f->id == NULL || strcasecmp(f->id, message_id_print(m->id, id)) == 0;
}

// The envelope of a message that is selected; NULL: it is not, or cannot be read.
static struct spool_message *selected(const struct answer *a, const struct queue_message *m)
{
	struct spool_message *spool;

	if (!is_id_selected(&a->filter, m))
		return NULL;
	if (spool_reader_message(a->d->reader, m->segment, m->offset, &spool) != ERR_OK)
		return NULL;
	if (spool->id == m->id && spool->commit.rcpt_count == m->rcpt_count &&
		is_envelope_selected(&a->filter, spool))
		return spool;
	spool_message_free(spool);
	return NULL;
}

// list, show

// JSON is UTF-8; what is not is shown as '?'.
static json_t *printable(const char *text)
{
	json_t *string = json_string(text);
	char out[LOG_LINE_QUOTED_MAX];
	size_t n;

	if (string != NULL)
		return string;
	for (n = 0; n < sizeof(out) - 1 && text[n] != '\0'; n++)
		out[n] = (char)(text[n] < ' ' || text[n] > '~' ? '?' : text[n]);
	out[n] = '\0';
	return json_string(out);
}

static json_t *rcpt_json(const struct answer *a, const struct queue_message *m,
	const struct spool_message *spool, uint32_t i)
{
	const struct queue_rcpt *r = &m->rcpts[i];
	int64_t next_ms = r->next_ms - (int64_t)uv_now(a->d->loop);
	bool is_held = m->is_held && r->state == QUEUE_WAITING;

	return json_pack("{s:o, s:s, s:i, s:I, s:o}", "address", printable(spool->rcpts[i]),
		"state", is_held ? "held" : queue_state_name((enum queue_rcpt_state)r->state),
		"attempts", (int)r->attempts, "next_s",
		(json_int_t)(r->state == QUEUE_WAITING && next_ms > 0 ? next_ms / 1000 : 0), "last",
		printable(r->last != NULL ? r->last : ""));
}

static void arrived_print(int64_t at_s, char out[32])
{
	time_t t = (time_t)at_s;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&t, &tm) != NULL)
		strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static json_t *message_json(
	const struct answer *a, const struct queue_message *m, const struct spool_message *spool)
{
	json_t *rcpts = json_array();
	char id[MESSAGE_ID_TEXT_MAX], arrived[32];

	for (uint32_t i = 0; i < m->rcpt_count; i++)
		json_array_append_new(rcpts, rcpt_json(a, m, spool, i));
	arrived_print(m->arrived_s, arrived);
	return json_pack("{s:s, s:o, s:o, s:I, s:s, s:o, s:o}", "id", message_id_print(m->id, id),
		"sender", printable(spool->sender), "recipients", rcpts, "octets",
		(json_int_t)m->octets, "arrived", arrived, "client", printable(spool->client),
		"vserver", printable(spool->vserver));
}

// Everything selected is counted; without an envelope to look at, counting needs no disk.
static void verb_list(struct answer *a)
{
	json_t *messages = json_array();
	int64_t total = 0;

	for (struct queue_message *m = a->d->queue.oldest; m != NULL; m = m->newer) {
		struct spool_message *spool;

		if (total >= a->filter.limit && !is_envelope_needed(&a->filter)) {
			total += is_id_selected(&a->filter, m);
			continue;
		}
		spool = selected(a, m);
		if (spool == NULL)
			continue;
		if (total++ < a->filter.limit)
			json_array_append_new(messages, message_json(a, m, spool));
		spool_message_free(spool);
	}
	a->data = json_pack("{s:o, s:I}", "messages", messages, "total", (json_int_t)total);
	snprintf(a->text, sizeof(a->text), "%lld messages", (long long)total);
}

static void verb_show(struct answer *a)
{
	if (a->filter.id == NULL) {
		snprintf(a->text, sizeof(a->text), "show needs the id of a message");
		a->exit = 2;
		return;
	}
	verb_list(a);
	if (json_array_size(json_object_get(a->data, "messages")) > 0)
		return;
	snprintf(a->text, sizeof(a->text), "no such message in the queue");
	a->exit = 1;
}

// count, status, get, set

static void verb_count(struct answer *a)
{
	const struct queue *q = &a->d->queue;
	const uint64_t *s = q->counts.states;
	uint64_t open = s[QUEUE_WAITING] + s[QUEUE_SENDING] + s[QUEUE_BOUNCING];

	a->data = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "messages",
		(json_int_t)q->messages, "recipients", (json_int_t)open, "held",
		(json_int_t)q->held, "delivered", (json_int_t)s[QUEUE_DELIVERED], "bounced",
		(json_int_t)s[QUEUE_BOUNCED], "removed", (json_int_t)s[QUEUE_REMOVED], "received",
		(json_int_t)q->counts.received, "created", (json_int_t)q->counts.created);
	snprintf(a->text, sizeof(a->text), "%zu messages, %llu recipients", q->messages,
		(unsigned long long)open);
}

static void verb_status(struct answer *a)
{
	const struct deliver *d = a->d;

	verb_count(a);
	json_object_set_new(a->data, "delivery.concurrency", json_integer(d->hops.concurrency));
	json_object_set_new(a->data, "connections", json_integer(d->hops.connections));
	json_object_set_new(a->data, "in_flight", json_integer(d->hops.in_flight));
	json_object_set_new(a->data, "segments", json_integer((json_int_t)d->queue.segments.count));
	json_object_set_new(a->data, "corrupt", json_integer((json_int_t)d->corrupt));
	json_object_set_new(a->data, "complete", json_boolean(d->is_complete));
	json_object_set_new(a->data, "disk_full", json_boolean(d->outcomes.is_disk_full));
}

static bool is_name_known(struct answer *a)
{
	const char *name = arg_text(a->args, "name");

	if (name != NULL && strcmp(name, "delivery.concurrency") == 0)
		return true;
	snprintf(a->text, sizeof(a->text), "the deliverer only has delivery.concurrency");
	a->exit = 2;
	return false;
}

static void verb_get(struct answer *a)
{
	if (!is_name_known(a))
		return;
	a->data = json_pack("{s:I}", "delivery.concurrency", (json_int_t)a->d->hops.concurrency);
	snprintf(a->text, sizeof(a->text), "delivery.concurrency %u", a->d->hops.concurrency);
}

static void verb_set(struct answer *a)
{
	int64_t n = arg_integer(json_object_get(a->args, "value"), -1);

	if (!is_name_known(a))
		return;
	if (n < 0 || n > QUEUE_VERB_CONCURRENCY_MAX) {
		snprintf(a->text, sizeof(a->text),
			"delivery.concurrency: expected 0 (deliver nothing) to %d",
			QUEUE_VERB_CONCURRENCY_MAX);
		a->exit = 2;
		return;
	}
	hop_pool_set_concurrency(&a->d->hops, (uint32_t)n);
	verb_get(a);
}

// hold, release, retry, delete, bounce

// What one verb does to one waiting recipient; for hold and release rcpt is not looked at.
typedef void change_fn(struct deliver *d, struct queue_message *m, uint32_t rcpt);

static void change_retry(struct deliver *d, struct queue_message *m, uint32_t rcpt)
{
	queue_rcpt_wait(&d->queue, m, rcpt, (int64_t)uv_now(d->loop));
}

static void change_delete(struct deliver *d, struct queue_message *m, uint32_t rcpt)
{
	outcomes_put(&d->outcomes, &(struct outcomes_entry){.message = m,
					   .rcpt = rcpt,
					   .kind = SPOOL_REMOVED,
					   .text = "removed by the operator"});
}

static void change_bounce(struct deliver *d, struct queue_message *m, uint32_t rcpt)
{
	bounce_add(&d->bounces, m,
		&(struct bounce_rcpt){rcpt, "", "554 5.3.0 returned by the operator"});
}

static int64_t change_rcpts(const struct answer *a, struct queue_message *m,
	const struct spool_message *spool, change_fn *change)
{
	int64_t count = 0;

	for (uint32_t i = 0; i < m->rcpt_count; i++) {
		if (m->rcpts[i].state != QUEUE_WAITING || !is_rcpt_selected(&a->filter, spool, i))
			continue;
		change(a->d, m, i);
		count++;
	}
	queue_message_place(&a->d->queue, m);
	return count;
}

static bool is_selector_given(struct answer *a)
{
	if (is_envelope_needed(&a->filter) || arg_text(a->args, "id") != NULL)
		return true;
	snprintf(a->text, sizeof(a->text),
		"say which: id (or \"all\"), sender, recipient, client or vserver");
	a->exit = 2;
	return false;
}

static void report(struct answer *a, int64_t messages, int64_t rcpts, const char *verb)
{
	a->data = json_pack(
		"{s:I, s:I}", "messages", (json_int_t)messages, "recipients", (json_int_t)rcpts);
	a->exit = messages > 0 ? 0 : 1;
	snprintf(a->text, sizeof(a->text), "%s: %lld messages, %lld recipients", verb,
		(long long)messages, (long long)rcpts);
	log_line("operator: %s", a->text);
}

static void change_all(struct answer *a, const char *verb, change_fn *change)
{
	int64_t messages = 0, rcpts = 0;

	if (!is_selector_given(a))
		return;
	// What waits for a connection is not under way yet, and the operator comes first.
	hop_pool_recall(&a->d->hops);
	for (struct queue_message *m = a->d->queue.oldest, *newer; m != NULL; m = newer) {
		struct spool_message *spool = selected(a, m);
		int64_t n;

		newer = m->newer;
		if (spool == NULL)
			continue;
		n = change_rcpts(a, m, spool, change);
		spool_message_free(spool);
		messages += n > 0;
		rcpts += n;
	}
	report(a, messages, rcpts, verb);
	if (!outcomes_sync(&a->d->outcomes))
		snprintf(a->text, sizeof(a->text), "the disk is full: not on disk yet");
	hop_pool_retry(&a->d->hops);
	bounce_go(&a->d->bounces);
}

static void hold_all(struct answer *a, const char *verb, bool is_held)
{
	int64_t messages = 0, rcpts = 0;

	if (!is_selector_given(a))
		return;
	hop_pool_recall(&a->d->hops);
	for (struct queue_message *m = a->d->queue.oldest; m != NULL; m = m->newer) {
		struct spool_message *spool = m->is_held != is_held ? selected(a, m) : NULL;

		if (spool == NULL)
			continue;
		spool_message_free(spool);
		queue_message_hold(&a->d->queue, m, is_held);
		messages++;
		rcpts += m->open;
	}
	report(a, messages, rcpts, verb);
}

static void verb_hold(struct answer *a)
{
	hold_all(a, "hold", true);
}

static void verb_release(struct answer *a)
{
	hold_all(a, "release", false);
}

static void verb_retry(struct answer *a)
{
	change_all(a, "retry", change_retry);
}

static void verb_delete(struct answer *a)
{
	change_all(a, "delete", change_delete);
}

static void verb_bounce(struct answer *a)
{
	change_all(a, "bounce", change_bounce);
}

// Question and answer

typedef void verb_fn(struct answer *a);

static verb_fn *verb_find(const char *name)
{
	static const struct {
		const char *name;
		verb_fn *verb;
	} verbs[] = {
		{"list", verb_list},
		{"show", verb_show},
		{"count", verb_count},
		{"status", verb_status},
		{"get", verb_get},
		{"set", verb_set},
		{"hold", verb_hold},
		{"release", verb_release},
		{"retry", verb_retry},
		{"delete", verb_delete},
		{"bounce", verb_bounce},
	};

	if (strncmp(name, "queue ", strlen("queue ")) == 0)
		name += strlen("queue ");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].verb;
	return NULL;
}

static void answer_send(const struct answer *a, uint64_t token)
{
	const struct channel_record record = {.kind = CHANNEL_QUEUE_ANSWER, .token = token};
	json_t *root = json_pack("{s:b, s:i, s:o, s:o}", "ok", a->exit == 0, "exit", a->exit,
		"text", printable(a->text), "data", a->data != NULL ? a->data : json_object());
	char *text = json_dumps(root, JSON_COMPACT);

	json_decref(root);
	edge_link_send_parts(a->d->edge, &record, text, strlen(text));
	free(text);
}

void queue_verb(struct deliver *d, const struct channel_record *ask)
{
	json_t *root =
		json_loadb((const char *)ask->data, ask->octets, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(root, "verb"));
	verb_fn *verb = name != NULL ? verb_find(name) : NULL;
	struct answer a = {.d = d, .args = json_object_get(root, "args"), .exit = 0};

	const bool is_limit_good = filter_read(&a.filter, a.args);

	if (!is_limit_good) {
		snprintf(a.text, sizeof(a.text), "limit: expected 0 to %d", QUEUE_VERB_LIMIT_MAX);
		a.exit = 2;
	} else if (verb == NULL) {
		snprintf(a.text, sizeof(a.text), "not a question about the queue");
		a.exit = 2;
	} else if (!edge_link_has_room(d->edge)) {
		snprintf(a.text, sizeof(a.text), "too many answers wait to be read");
		a.exit = 2;
	} else {
		verb(&a);
	}
	answer_send(&a, ask->token);
	json_decref(root);
	deliver_plan(d);
}
