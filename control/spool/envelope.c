#include "spool/envelope.h"

#include <string.h>

#include "base/limits.h"

void envelope_begin(struct envelope_writer *writer, envelope_take_fn *take, void *user)
{
	*writer = (struct envelope_writer){.take = take, .user = user};
}

// The last buffer with room in it, a new one when there is none. NULL: none left.
static struct spool_buf *with_room(struct envelope_writer *writer)
{
	struct spool_buf *buf = writer->last;

	if (buf != NULL && buf->octets < LIMIT_SPOOL_BUF_OCTETS)
		return buf;
	buf = writer->take(writer->user);
	if (buf == NULL)
		return NULL;
	buf->next = NULL;
	buf->octets = 0;
	if (writer->last == NULL)
		writer->first = buf;
	else
		writer->last->next = buf;
	writer->last = buf;
	return buf;
}

// A string may go on in the next buffer; readers see the chain as one run.
static enum err append(struct envelope_writer *writer, const void *octets, uint32_t len)
{
	const uint8_t *at = octets;

	if (len > LIMIT_SPOOL_ENVELOPE_OCTETS - writer->octets)
		return ERR_NO_MEMORY;
	while (len > 0) {
		struct spool_buf *buf = with_room(writer);
		uint32_t part;

		if (buf == NULL)
			return ERR_NO_MEMORY;
		part = LIMIT_SPOOL_BUF_OCTETS - buf->octets;
		part = part < len ? part : len;
		memcpy(buf->data + buf->octets, at, part);
		buf->octets += part;
		writer->octets += part;
		at += part;
		len -= part;
	}
	return ERR_OK;
}

enum err envelope_put(struct envelope_writer *writer, const void *octets, uint16_t len)
{
	const uint8_t prefix[2] = {(uint8_t)len, (uint8_t)(len >> 8)};

	TRY(append(writer, prefix, sizeof(prefix)));
	return append(writer, octets, len);
}

enum err envelope_put_rcpt(struct envelope_writer *writer, const void *octets, uint16_t len)
{
	const uint8_t flags[2] = {0, 0};

	TRY(append(writer, flags, sizeof(flags)));
	return envelope_put(writer, octets, len);
}

uint64_t envelope_octets(const struct spool_buf *chain)
{
	uint64_t octets = 0;

	for (; chain != NULL; chain = chain->next)
		octets += chain->octets;
	return octets;
}

void envelope_copy(const struct spool_buf *chain, uint8_t *to)
{
	for (; chain != NULL; chain = chain->next) {
		memcpy(to, chain->data, chain->octets);
		to += chain->octets;
	}
}

static enum err take_u16(struct slice *in, uint16_t *value)
{
	if (in->len < 2)
		return ERR_SPOOL_CORRUPT;
	*value = (uint16_t)(in->at[0] | in->at[1] << 8);
	in->at += 2;
	in->len -= 2;
	return ERR_OK;
}

enum err envelope_take(struct slice *in, struct slice *string)
{
	uint16_t len;

	TRY(take_u16(in, &len));
	if (in->len < len || memchr(in->at, 0, len) != NULL)
		return ERR_SPOOL_CORRUPT;
	*string = (struct slice){in->at, len};
	in->at += len;
	in->len -= len;
	return ERR_OK;
}

enum err envelope_take_rcpt(struct slice *in, struct slice *string)
{
	uint16_t flags;

	TRY(take_u16(in, &flags));
	if (flags != 0)
		return ERR_SPOOL_CORRUPT;
	return envelope_take(in, string);
}

enum err envelope_check(struct slice in, uint32_t rcpt_count)
{
	struct slice string;

	for (int i = 0; i < ENVELOPE_STRINGS; i++)
		TRY(envelope_take(&in, &string));
	for (uint32_t i = 0; i < rcpt_count; i++)
		TRY(envelope_take_rcpt(&in, &string));
	return in.len == 0 ? ERR_OK : ERR_SPOOL_CORRUPT;
}
