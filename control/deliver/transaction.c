#include "deliver/transaction.h"

#include <assert.h>
#include <stdlib.h>

struct transaction *transaction_new(struct queue_message *message, uint32_t count)
{
	struct transaction *t = calloc(1, sizeof(*t) + count * sizeof(t->rcpts[0]));

	assert(t != NULL && count <= SMTP_CLIENT_RCPTS_MAX);
	t->message = message;
	t->count = count;
	return t;
}

void transaction_free(struct transaction *t)
{
	transaction_unload(t);
	free(t);
}

static void mail_prepare(struct transaction *t)
{
	const struct spool_message *spool = t->spool;

	t->mail = (struct smtp_client_mail){.sender = spool->sender,
		.octets = spool->commit.body_octets,
		.is_8bit = (spool->commit.flags & SPOOL_COMMIT_8BIT) != 0,
		.rcpt_count = t->count,
		.rcpts = calloc(t->count, sizeof(*t->mail.rcpts))};
	assert(t->mail.rcpts != NULL);
	for (uint32_t i = 0; i < t->count; i++)
		t->mail.rcpts[i].address = spool->rcpts[t->rcpts[i]];
}

enum err transaction_load(struct transaction *t, struct spool_reader *reader)
{
	const struct queue_message *m = t->message;

	if (t->spool == NULL)
		TRY(spool_reader_message(reader, m->segment, m->offset, &t->spool));
	// The indexes were checked against the record read first; this one may be another by now.
	if (t->spool->id != m->id || t->spool->commit.rcpt_count != m->rcpt_count)
		return ERR_SPOOL_CORRUPT;
	if (t->mail.rcpts == NULL)
		mail_prepare(t);
	return ERR_OK;
}

void transaction_unload(struct transaction *t)
{
	if (t->spool != NULL)
		spool_message_free(t->spool);
	free(t->mail.rcpts);
	t->spool = NULL;
	t->mail = (struct smtp_client_mail){0};
}
