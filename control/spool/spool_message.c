#include "spool/spool_message.h"

#include <stdlib.h>
#include <string.h>

#include "spool/envelope.h"

// One piece of memory: the message, extents, recipients, then all strings with a NUL each.
static struct spool_message *allocate(const struct spool_commit *commit, size_t strings)
{
	size_t extents = commit->extent_count * sizeof(struct spool_extent);
	size_t rcpts = commit->rcpt_count * sizeof(char *);
	size_t text = strings + ENVELOPE_STRINGS + commit->rcpt_count;
	struct spool_message *message = calloc(1, sizeof(*message) + extents + rcpts + text);

	if (message == NULL)
		return NULL;
	message->commit = *commit;
	message->extents = (struct spool_extent *)(void *)(message + 1);
	message->rcpts = (const char **)(void *)((uint8_t *)message->extents + extents);
	message->memory = message;
	return message;
}

static const char *keep(char **text, const struct slice *string)
{
	const char *kept = *text;

	memcpy(*text, string->at, string->len);
	*text += string->len + 1; // memory was zeroed: the NUL is there
	return kept;
}

static enum err parse_strings(struct spool_message *message, struct slice in)
{
	const char **const fixed[ENVELOPE_STRINGS] = {&message->sender, &message->vserver,
		&message->fqdn, &message->client, &message->helo, &message->account};
	char *text = (char *)(message->rcpts + message->commit.rcpt_count);
	struct slice string;

	for (int i = 0; i < ENVELOPE_STRINGS; i++) {
		TRY(envelope_take(&in, &string));
		*fixed[i] = keep(&text, &string);
	}
	for (uint32_t i = 0; i < message->commit.rcpt_count; i++) {
		TRY(envelope_take_rcpt(&in, &string));
		message->rcpts[i] = keep(&text, &string);
	}
	return in.len == 0 ? ERR_OK : ERR_SPOOL_CORRUPT;
}

static enum err check_extents(const struct spool_message *message)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < message->commit.extent_count; i++) {
		const struct spool_extent *extent = &message->extents[i];

		if (extent->octets == 0 || extent->octets > SPOOL_PAYLOAD_MAX)
			return ERR_SPOOL_CORRUPT;
		if (extent->segment > message->segment || extent->offset > INT64_MAX)
			return ERR_SPOOL_CORRUPT;
		sum += extent->octets;
	}
	return sum == message->commit.body_octets ? ERR_OK : ERR_SPOOL_CORRUPT;
}

enum err spool_message_parse(
	const struct spool_record *record, struct slice payload, struct spool_message **message)
{
	struct spool_message *made;
	struct spool_commit commit;
	enum err err;

	if (payload.len < sizeof(commit))
		return ERR_SPOOL_CORRUPT;
	memcpy(&commit, payload.at, sizeof(commit));
	payload.at += sizeof(commit);
	payload.len -= sizeof(commit);
	if (commit.extent_count > payload.len / sizeof(struct spool_extent) ||
		commit.rcpt_count > payload.len / 4 || commit.rcpt_count == 0)
		return ERR_SPOOL_CORRUPT;
	made = allocate(&commit, payload.len);
	if (made == NULL)
		return ERR_NO_MEMORY;
	made->id = record->message_id;
	made->epoch = record->epoch;
	made->segment = record->segment;
	made->offset = record->offset;
	size_t extents = commit.extent_count * sizeof(struct spool_extent);

	memcpy(made->extents, payload.at, extents);
	err = parse_strings(made, (struct slice){payload.at + extents, payload.len - extents});
	if (err == ERR_OK)
		err = check_extents(made);
	if (err != ERR_OK) {
		free(made);
		return err;
	}
	*message = made;
	return ERR_OK;
}

void spool_message_free(struct spool_message *message)
{
	free(message->memory);
}
