#include "deliver/bounce.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "deliver/deliver.h"
#include "deliver/dsn.h"
#include "deliver/log_line.h"
#include "spool/message_id.h"

struct failure {
	uint32_t rcpt;
	char *hop, *text;
};

struct bounce {
	struct bounce *next;
	uint64_t message_id;
	uint64_t token; // while in flight
	uint64_t not_before_ms;
	uint32_t count, room;
	struct failure *failures;
};

static void bounce_free(struct bounce *bounce)
{
	for (uint32_t i = 0; i < bounce->count; i++) {
		free(bounce->failures[i].hop);
		free(bounce->failures[i].text);
	}
	free(bounce->failures);
	free(bounce);
}

static void wait_append(struct bounces *b, struct bounce *bounce)
{
	bounce->next = NULL;
	*(b->last != NULL ? &b->last->next : &b->waiting) = bounce;
	b->last = bounce;
}

static struct bounce *wait_pop(struct bounces *b)
{
	struct bounce *bounce = b->waiting;

	b->waiting = bounce->next;
	if (b->waiting == NULL)
		b->last = NULL;
	return bounce;
}

static void failure_add(struct bounce *bounce, const struct bounce_rcpt *rcpt)
{
	if (bounce->count == bounce->room) {
		bounce->room = bounce->room == 0 ? 1 : bounce->room * 2;
		bounce->failures =
			reallocarray(bounce->failures, bounce->room, sizeof(*bounce->failures));
		assert(bounce->failures != NULL);
	}
	bounce->failures[bounce->count++] =
		(struct failure){rcpt->rcpt, strdup(rcpt->hop), strdup(rcpt->text)};
}

void bounce_add(struct bounces *b, struct queue_message *m, const struct bounce_rcpt *rcpt)
{
	struct bounce *bounce = b->last;

	if (m->is_null_sender) {
		outcomes_put(&b->d->outcomes, &(struct outcomes_entry){.message = m,
						      .rcpt = rcpt->rcpt,
						      .kind = SPOOL_REMOVED,
						      .text = rcpt->text});
		return;
	}
	queue_rcpt_bouncing(&b->d->queue, m, rcpt->rcpt);
	queue_rcpt_said(m, rcpt->rcpt, rcpt->text);
	if (bounce == NULL || bounce->message_id != m->id) {
		bounce = calloc(1, sizeof(*bounce));
		assert(bounce != NULL);
		bounce->message_id = m->id;
		wait_append(b, bounce);
	}
	failure_add(bounce, rcpt);
}

// Making and handing over

static uint8_t *put_string(uint8_t *to, const char *text)
{
	size_t n = strlen(text);

	*to++ = (uint8_t)n;
	*to++ = (uint8_t)(n >> 8);
	// Length first, no NUL.
	memcpy(to, text, n); // NOLINT(bugprone-not-null-terminated-result)
	return to + n;
}

// The spooler only writes short ones; what comes from disk is asked all the same.
static bool is_envelope_short(const struct spool_message *spool)
{
	return strlen(spool->vserver) + strlen(spool->fqdn) + strlen(spool->sender) + 32 <=
	       CHANNEL_DATA_MAX;
}

// struct spool_commit says what goes here: the null sender, the virtual server of the original, and one recipient, its sender.
static void send_envelope(
	struct bounces *b, struct channel_record *record, const struct spool_message *spool)
{
	uint8_t strings[CHANNEL_DATA_MAX], *to = strings;

	to = put_string(to, "");
	to = put_string(to, spool->vserver);
	to = put_string(to, spool->fqdn);
	to = put_string(to, "");
	to = put_string(to, "");
	to = put_string(to, "");
	*to++ = 0;
	*to++ = 0;
	to = put_string(to, spool->sender);
	record->rcpt_count = 1;
	record->flags = CHANNEL_MORE;
	record->octets = (uint32_t)(to - strings);
	edge_link_send(b->d->edge, record, strings);
	record->rcpt_count = 0;
}

static void send_dsn(struct bounces *b, const struct bounce *bounce,
	const struct spool_message *spool, struct slice header)
{
	struct channel_record record = {.kind = CHANNEL_INJECT, .token = bounce->token};
	struct dsn_rcpt *rcpts = calloc(bounce->count, sizeof(*rcpts));
	struct dsn dsn = {.message = spool,
		.host = spool->fqdn,
		.header = header,
		.now_s = time(NULL),
		.rcpt_count = bounce->count,
		.rcpts = rcpts};
	size_t octets;
	char *text;

	assert(rcpts != NULL);
	for (uint32_t i = 0; i < bounce->count; i++)
		rcpts[i] = (struct dsn_rcpt){spool->rcpts[bounce->failures[i].rcpt],
			bounce->failures[i].hop, bounce->failures[i].text};
	if (getrandom(&dsn.random, sizeof(dsn.random), GRND_NONBLOCK) < 0)
		dsn.random = bounce->message_id;
	text = dsn_write(&dsn, &octets);
	send_envelope(b, &record, spool);
	edge_link_send_parts(b->d->edge, &record, text, octets);
	free(text);
	free(rcpts);
}

static enum err inject(struct bounces *b, struct bounce *bounce)
{
	static uint8_t header[DSN_HEADER_MAX]; // one thread, not kept
	const struct queue_message *m = queue_find(&b->d->queue, bounce->message_id);
	struct spool_message *spool;
	uint32_t octets = sizeof(header);
	enum err e;

	assert(m != NULL); // it has open recipients: ours
	TRY(spool_reader_message(b->d->reader, m->segment, m->offset, &spool));
	if (spool->commit.body_octets < octets)
		octets = (uint32_t)spool->commit.body_octets;
	e = spool->id == m->id && spool->commit.rcpt_count == m->rcpt_count &&
			    is_envelope_short(spool)
		    ? spool_reader_body(b->d->reader, spool, 0, header, octets)
		    : ERR_SPOOL_CORRUPT;
	if (e == ERR_OK) {
		bounce->token = ++b->token;
		send_dsn(b, bounce, spool, (struct slice){header, octets});
	}
	spool_message_free(spool);
	return e;
}

static bool is_ready(const struct bounces *b)
{
	const struct deliver *d = b->d;

	return b->waiting != NULL && b->in_flight_count < BOUNCE_IN_FLIGHT_MAX &&
	       b->waiting->not_before_ms <= uv_now(d->loop) && d->edge != NULL && d->seen > 0 &&
	       edge_link_has_room(d->edge);
}

static void again_later(struct bounces *b, struct bounce *bounce, const char *why)
{
	char id[MESSAGE_ID_TEXT_MAX];

	log_line("id=%s status=bounce-waits text=\"%s\"", message_id_print(bounce->message_id, id),
		why);
	bounce->not_before_ms = uv_now(b->d->loop) + BOUNCE_RETRY_MS;
	wait_append(b, bounce);
}

void bounce_go(struct bounces *b)
{
	while (is_ready(b)) {
		struct bounce *bounce = wait_pop(b);
		enum err e = inject(b, bounce);

		if (e != ERR_OK) {
			again_later(b, bounce, err_text(e));
			continue;
		}
		bounce->next = b->in_flight;
		b->in_flight = bounce;
		b->in_flight_count++;
	}
}

// Answers

static struct bounce *in_flight_take(struct bounces *b, uint64_t token)
{
	for (struct bounce **at = &b->in_flight; *at != NULL; at = &(*at)->next) {
		struct bounce *bounce = *at;

		if (bounce->token != token)
			continue;
		*at = bounce->next;
		b->in_flight_count--;
		return bounce;
	}
	return NULL;
}

static void bounced(struct bounces *b, const struct bounce *bounce, uint64_t dsn_id)
{
	struct queue_message *m = queue_find(&b->d->queue, bounce->message_id);

	assert(m != NULL);
	for (uint32_t i = 0; i < bounce->count; i++)
		outcomes_put(&b->d->outcomes, &(struct outcomes_entry){.message = m,
						      .rcpt = bounce->failures[i].rcpt,
						      .kind = SPOOL_BOUNCED,
						      .related = dsn_id,
						      .text = bounce->failures[i].text});
}

void bounce_injected(struct bounces *b, const struct channel_record *record)
{
	struct bounce *bounce = in_flight_take(b, record->token);

	if (bounce == NULL)
		return;
	if (record->status != ERR_OK) {
		again_later(b, bounce,
			record->status < ERR_COUNT ? err_text((enum err)record->status) : "?");
		return;
	}
	bounced(b, bounce, record->message_id);
	bounce_free(bounce);
	bounce_go(b);
}

void bounce_channel_lost(struct bounces *b)
{
	while (b->in_flight != NULL) {
		struct bounce *bounce = b->in_flight;

		b->in_flight = bounce->next;
		wait_append(b, bounce);
	}
	b->in_flight_count = 0;
}
