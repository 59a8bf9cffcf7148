#include "spool/commit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "spool/envelope.h"

static_assert(sizeof(struct spool_commit) + LIMIT_SPOOL_EXTENTS * sizeof(struct spool_extent) +
			      LIMIT_SPOOL_ENVELOPE_OCTETS <=
		      SPOOL_PAYLOAD_MAX,
	"the largest commit is a record");

enum err commit_payload(const struct spool_request *request, const struct open_message *message,
	int64_t wall_s, uint8_t **payload, uint32_t *octets)
{
	const struct spool_commit commit = {
		.arrived_s = wall_s,
		.body_octets = request->body_octets,
		.extent_count = message != NULL ? message->extent_count : 0,
		.rcpt_count = request->rcpt_count,
		.flags = request->flags,
		.origin = request->origin,
	};
	size_t extents_octets = commit.extent_count * sizeof(struct spool_extent);
	size_t fixed = sizeof(commit) + extents_octets;
	uint64_t strings = envelope_octets(request->buf);
	uint8_t *made;

	if (strings > LIMIT_SPOOL_ENVELOPE_OCTETS)
		return ERR_NO_MEMORY;
	made = malloc(fixed + strings);
	if (made == NULL)
		return ERR_NO_MEMORY;
	memcpy(made, &commit, sizeof(commit));
	if (extents_octets > 0)
		memcpy(made + sizeof(commit), message->extents, extents_octets);
	envelope_copy(request->buf, made + fixed);
	if (commit.rcpt_count == 0 || envelope_check((struct slice){made + fixed, strings},
					      commit.rcpt_count) != ERR_OK) {
		free(made);
		return ERR_SPOOL_CORRUPT;
	}
	*payload = made;
	*octets = (uint32_t)(fixed + strings);
	return ERR_OK;
}
