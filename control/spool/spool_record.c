#include "spool/spool_record.h"

#include <assert.h>
#include <stddef.h>

#include "base/crc32c.h"

static_assert(sizeof(struct spool_record) == 64, "on disk");
static_assert(sizeof(struct spool_segment_header) == 32, "on disk");
static_assert(sizeof(struct spool_extent) == 24, "on disk");
static_assert(sizeof(struct spool_commit) == 32, "on disk");
static_assert(sizeof(struct spool_outcome) == 24, "on disk");
static_assert(
	SPOOL_FIRST_OFFSET == sizeof(struct spool_record) + sizeof(struct spool_segment_header),
	"the header record is 96 octets and needs no padding");
static_assert(
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are written as they are in memory");

static uint32_t header_crc(const struct spool_record *record)
{
	return crc32c(0, &record->octets, sizeof(*record) - offsetof(struct spool_record, octets));
}

void spool_record_seal(struct spool_record *record)
{
	record->magic = SPOOL_MAGIC;
	record->version = SPOOL_VERSION;
	record->crc32c = header_crc(record);
}

bool spool_record_is_valid(const struct spool_record *record)
{
	if (record->magic != SPOOL_MAGIC || record->version != SPOOL_VERSION)
		return false;
	if (record->type < SPOOL_RECORD_HEADER || record->type > SPOOL_RECORD_OUTCOME)
		return false;
	if (record->octets > SPOOL_PAYLOAD_MAX)
		return false;
	return record->crc32c == header_crc(record);
}
