#include "control/inject.h"

#include <stdlib.h>
#include <string.h>

#include "spool/message_id.h"

struct open_message {
	bool used, complete;
	uint32_t rcpt_count;
	uint64_t token, id, epoch, body_octets;
	struct spool_buf *envelope;
};

struct inject {
	struct spooler *spooler;
	inject_done_fn *done;
	void *user;
	uint64_t next_id;
	struct open_message open[INJECT_OPEN];
};

struct inject *inject_new(struct spooler *spooler, inject_done_fn *done, void *user)
{
	struct inject *in = calloc(1, sizeof(*in));

	if (in == NULL)
		return NULL;
	in->spooler = spooler;
	in->done = done;
	in->user = user;
	return in;
}

static void free_chain(struct spool_buf *chain)
{
	while (chain != NULL) {
		struct spool_buf *next = chain->next;

		free(chain);
		chain = next;
	}
}

// A chain of buffers with these octets; NULL without memory.
static struct spool_buf *make_chain(const uint8_t *at, uint32_t octets)
{
	struct spool_buf *first = NULL, **link = &first;

	while (octets != 0) {
		struct spool_buf *b = malloc(sizeof(*b));
		uint32_t n = octets < LIMIT_SPOOL_BUF_OCTETS ? octets : LIMIT_SPOOL_BUF_OCTETS;

		if (b == NULL) {
			free_chain(first);
			return NULL;
		}
		b->next = NULL;
		b->home = MESSAGE_ID_WORKER_CONTROL;
		b->octets = n;
		memcpy(b->data, at, n);
		*link = b;
		link = &b->next;
		at += n;
		octets -= n;
	}
	return first;
}

static struct open_message *find(struct inject *in, uint64_t token)
{
	for (int i = 0; i < INJECT_OPEN; i++) {
		if (in->open[i].used && !in->open[i].complete && in->open[i].token == token)
			return &in->open[i];
	}
	return NULL;
}

static bool put(struct inject *in, const struct open_message *m, enum spool_request_kind kind,
	struct spool_buf *buf)
{
	struct spool_request r = {.kind = (uint16_t)kind,
		.home = MESSAGE_ID_WORKER_CONTROL,
		.conn = (uint32_t)(m - in->open),
		.rcpt_count = m->rcpt_count,
		.origin = 1,
		.body_octets = m->body_octets,
		.message_id = m->id,
		.epoch = m->epoch,
		.buf = buf};

	return spooler_put(in->spooler, r);
}

static void refuse(struct inject *in, struct open_message *m)
{
	uint64_t token = m->token;

	(void)put(in, m, SPOOL_PUT_ABORT, NULL);
	free_chain(m->envelope);
	*m = (struct open_message){0};
	in->done(in->user, token, 0, ERR_NO_MEMORY);
}

static struct open_message *begin(
	struct inject *in, const struct channel_record *record, uint64_t epoch)
{
	for (int i = 0; i < INJECT_OPEN; i++) {
		struct open_message *m = &in->open[i];

		if (m->used)
			continue;
		*m = (struct open_message){.used = true,
			.token = record->token,
			.epoch = epoch,
			.rcpt_count = record->rcpt_count,
			.id = message_id_make(spooler_boot(in->spooler), MESSAGE_ID_WORKER_CONTROL,
				++in->next_id),
			.envelope = make_chain(record->data, record->octets)};
		return m;
	}
	return NULL;
}

// One request a buffer: a chunk is one buffer, not a chain.
static bool put_body(struct inject *in, struct open_message *m, const struct channel_record *record)
{
	struct spool_buf *chain = make_chain(record->data, record->octets);

	if (chain == NULL && record->octets != 0)
		return false;
	while (chain != NULL) {
		struct spool_buf *next = chain->next;

		chain->next = NULL;
		m->body_octets += chain->octets;
		if (!put(in, m, SPOOL_PUT_CHUNK, chain)) {
			free(chain);
			free_chain(next);
			return false;
		}
		chain = next;
	}
	return true;
}

void inject_part(struct inject *in, const struct channel_record *record, uint64_t epoch)
{
	struct open_message *m = find(in, record->token);
	bool ok = true;

	if (m == NULL && record->rcpt_count != 0) {
		m = begin(in, record, epoch);
		if (m == NULL) {
			in->done(in->user, record->token, 0, ERR_NO_MEMORY);
			return;
		}
		ok = m->envelope != NULL;
	} else if (m != NULL) {
		ok = put_body(in, m, record);
	} else {
		return; // the rest of a message that was refused
	}
	if (!ok) {
		refuse(in, m);
		return;
	}
	if ((record->flags & CHANNEL_MORE) != 0)
		return;
	m->complete = true;
	if (!put(in, m, SPOOL_PUT_COMMIT, m->envelope)) {
		refuse(in, m);
		return;
	}
	m->envelope = NULL; // the spooler's now
}

void inject_poll(struct inject *in)
{
	struct spool_answer answer;

	while (spooler_next_answer(in->spooler, &answer)) {
		struct open_message *m = &in->open[answer.conn];

		free_chain(answer.buf);
		if (answer.kind != SPOOL_PUT_COMMIT || !m->used || m->id != answer.message_id)
			continue;
		in->done(in->user, m->token, m->id, (enum err)answer.status);
		*m = (struct open_message){0};
	}
}

void inject_reset(struct inject *in)
{
	for (int i = 0; i < INJECT_OPEN; i++) {
		struct open_message *m = &in->open[i];

		if (!m->used || m->complete)
			continue;
		(void)put(in, m, SPOOL_PUT_ABORT, NULL);
		free_chain(m->envelope);
		*m = (struct open_message){0};
	}
}
