#include "sim/spool_forge.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/slice.h"
#include "spool/spool_record.h"

enum {
	KIND = 7,
	BAD_HEADER = 8,
	BAD_PAYLOAD = 16,
	FIX_EXTENTS = 32, // of a COMMIT: point at the last chunk
	SALT = 77,
};

struct forge {
	uint8_t file[SPOOL_FORGE_OCTETS];
	size_t octets;
	struct spool_extent chunk;
};

static void put(struct forge *forge, struct spool_record *record, const void *payload)
{
	size_t span = spool_record_span(record->octets);

	if (span > sizeof(forge->file) - forge->octets)
		return;
	record->offset = forge->octets;
	record->segment = 1;
	record->salt = SALT;
	record->payload_crc32c = crc32c(0, payload, record->octets);
	spool_record_seal(record);
	memset(forge->file + forge->octets, 0, span);
	memcpy(forge->file + forge->octets, record, sizeof(*record));
	memcpy(forge->file + forge->octets + sizeof(*record), payload, record->octets);
	forge->octets += span;
}

static void fix_extents(const struct forge *forge, uint8_t *payload, size_t octets)
{
	struct spool_commit commit;
	size_t at = sizeof(commit);

	if (octets < sizeof(commit))
		return;
	memcpy(&commit, payload, sizeof(commit));
	commit.extent_count %= 4;
	commit.rcpt_count %= 4;
	commit.body_octets = (uint64_t)forge->chunk.octets * commit.extent_count;
	memcpy(payload, &commit, sizeof(commit));
	for (uint32_t i = 0; i < commit.extent_count && at + sizeof(forge->chunk) <= octets; i++) {
		memcpy(payload + at, &forge->chunk, sizeof(forge->chunk));
		at += sizeof(forge->chunk);
	}
}

static void put_record(struct forge *forge, uint8_t kind, uint8_t durable, struct slice payload)
{
	static const uint16_t types[KIND + 1] = {SPOOL_RECORD_CHUNK, SPOOL_RECORD_COMMIT,
		SPOOL_RECORD_OUTCOME, SPOOL_RECORD_SEAL, SPOOL_RECORD_CHUNK, SPOOL_RECORD_COMMIT,
		SPOOL_RECORD_OUTCOME, SPOOL_RECORD_HEADER};
	uint8_t copy[SPOOL_FORGE_OCTETS];
	size_t start = forge->octets;
	struct spool_record record = {.type = types[kind & KIND],
		.octets = (uint32_t)payload.len,
		.message_id = start,
		.durable = durable * 8U};

	memcpy(copy, payload.at, payload.len);
	if (record.type == SPOOL_RECORD_COMMIT && (kind & FIX_EXTENTS) != 0)
		fix_extents(forge, copy, payload.len);
	put(forge, &record, copy);
	if (forge->octets == start)
		return;
	if (record.type == SPOOL_RECORD_CHUNK)
		forge->chunk = (struct spool_extent){
			1, start + sizeof(record), record.octets, record.payload_crc32c};
	if ((kind & BAD_HEADER) != 0)
		forge->file[start + 20] ^= 1;
	if ((kind & BAD_PAYLOAD) != 0 && payload.len > 0)
		forge->file[start + sizeof(record)] ^= 1;
}

static void put_records(struct forge *forge, struct slice in)
{
	struct spool_segment_header header = {.segment = 1, .boot = 1};
	struct spool_record first = {.type = SPOOL_RECORD_HEADER, .octets = sizeof(header)};

	put(forge, &first, &header);
	while (in.len >= 4) {
		size_t octets = (size_t)(in.at[1] | in.at[2] << 8);

		octets = octets < in.len - 4 ? octets : in.len - 4;
		put_record(forge, in.at[0], in.at[3], (struct slice){in.at + 4, octets});
		in.at += 4 + octets;
		in.len -= 4 + octets;
	}
}

void spool_forge(struct disk *disk, const char *directory, const char *name, const uint8_t *data,
	size_t octets)
{
	static struct forge forge;
	struct iovec iov;
	int dir, file;
	ssize_t n;

	memset(&forge, 0, sizeof(forge));
	octets = octets < sizeof(forge.file) ? octets : sizeof(forge.file);
	if (octets > 0 && data[0] % 2 == 1) {
		put_records(&forge, (struct slice){data + 1, octets - 1});
	} else if (octets > 0) {
		memcpy(forge.file, data + 1, octets - 1);
		forge.octets = octets - 1;
	}
	dir = disk->open_dir(disk, directory);
	assert(dir >= 0);
	file = disk->open(disk, dir, name, O_RDWR | O_CREAT);
	assert(file >= 0);
	iov = (struct iovec){forge.file, forge.octets};
	n = forge.octets > 0 ? disk->pwritev(disk, file, &iov, 1, 0) : 0;
	assert(n == (ssize_t)forge.octets);
	disk->close(disk, file);
	disk->close(disk, dir);
}
