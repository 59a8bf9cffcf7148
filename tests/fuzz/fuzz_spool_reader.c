// Target functions: spool_reader_scan, spool_reader_message, spool_reader_body
//
// Checked here, not only crashes: messages come in order of place, with recipients and with extents that add up to the
// body; each is the same when it is read by its place; a body is the same in one piece and in two; a second scan finds the same.

#include "sim/disk_sim.h"
#include "sim/spool_forge.h"
#include "spool/spool_reader.h"

#include <stdlib.h>
#include <string.h>

enum {
	BODY_MAX = 1 << 18,
};

struct found {
	struct spool_reader *reader;
	uint64_t last_offset;
	uint64_t messages, corrupt;
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_body(struct found *found, const struct spool_message *message)
{
	static uint8_t whole[BODY_MAX], parts[BODY_MAX];
	uint64_t octets = message->commit.body_octets;
	uint32_t half = (uint32_t)octets / 2;

	if (octets > BODY_MAX)
		return;
	if (spool_reader_body(found->reader, message, 0, whole, (uint32_t)octets) != ERR_OK)
		return;
	check(spool_reader_body(found->reader, message, 0, parts, half) == ERR_OK);
	check(spool_reader_body(found->reader, message, half, parts + half,
		      (uint32_t)octets - half) == ERR_OK);
	check(memcmp(whole, parts, octets) == 0);
	check(spool_reader_body(found->reader, message, octets, parts, 1) == ERR_NOT_FOUND);
}

static void on_message(void *user, const struct spool_message *message)
{
	struct found *found = user;
	struct spool_message *again;
	uint64_t sum = 0;
	size_t text = 0;

	check(message->segment == 1 && message->offset > found->last_offset);
	check(message->commit.rcpt_count > 0);
	for (uint32_t i = 0; i < message->commit.extent_count; i++)
		sum += message->extents[i].octets;
	check(sum == message->commit.body_octets);
	for (uint32_t i = 0; i < message->commit.rcpt_count; i++)
		text += strlen(message->rcpts[i]);
	check(text <= SPOOL_FORGE_OCTETS && strlen(message->account) <= SPOOL_FORGE_OCTETS);
	check(spool_reader_message(found->reader, 1, message->offset, &again) == ERR_OK);
	check(again->id == message->id && strcmp(again->sender, message->sender) == 0);
	check_body(found, again);
	spool_message_free(again);
	found->last_offset = message->offset;
	found->messages++;
}

static void on_segment(void *user, uint64_t segment, uint64_t octets)
{
	(void)user;
	check(segment == 1 && octets <= SPOOL_FORGE_OCTETS);
}

static void on_corrupt(void *user, uint64_t segment, uint64_t offset)
{
	struct found *found = user;

	check(segment == 1 && offset < SPOOL_FORGE_OCTETS);
	found->corrupt++;
}

static struct found scan(struct spool_reader *reader)
{
	struct found found = {.reader = reader};
	const struct spool_scan callbacks = {on_message, on_segment, on_corrupt, &found};

	check(spool_reader_scan(reader, &callbacks) == ERR_OK);
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct disk_sim *sim = disk_sim_new(1);
	struct disk *disk = disk_sim_disk(sim);
	struct spool_reader *reader;
	struct found first, second;

	check(spool_reader_open(disk, "spool", &reader) == ERR_OK);
	spool_forge(disk, "spool/segments", "0000000000000001.seg", data, size);
	first = scan(reader);
	second = scan(reader);
	check(first.messages == second.messages && first.corrupt == second.corrupt);
	spool_reader_close(reader);
	disk_sim_free(sim);
	return 0;
}
