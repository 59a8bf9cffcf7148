#include "spool/segment_table.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "spool/record_scan.h"
#include "spool/spool_file.h"

enum err segment_table_add(struct segment_table *table, uint64_t number, uint64_t octets)
{
	assert(number > segment_table_highest(table));
	if (table->count == LIMIT_SPOOL_SEGMENTS)
		return ERR_DISK_FULL;
	if (table->count == table->room) {
		uint32_t room = table->room == 0 ? 64 : table->room * 2;
		struct segment_entry *more = realloc(table->entries, room * sizeof(*more));

		if (more == NULL)
			return ERR_NO_MEMORY;
		table->entries = more;
		table->room = room;
	}
	table->entries[table->count++] = (struct segment_entry){number, octets, 0};
	table->octets += octets;
	return ERR_OK;
}

struct segment_entry *segment_table_find(const struct segment_table *table, uint64_t number)
{
	uint32_t low = 0, high = table->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->entries[middle].number == number)
			return &table->entries[middle];
		if (table->entries[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void segment_table_need(struct segment_table *table, uint64_t segment, uint64_t by)
{
	struct segment_entry *entry = segment_table_find(table, segment);

	assert(entry != NULL); // kept while the message was open
	if (segment < by)
		entry->needed_by = by;
}

void segment_table_remove(struct segment_table *table, struct segment_entry *entry)
{
	size_t index = (size_t)(entry - table->entries);

	assert(index < table->count);
	table->octets -= entry->octets;
	memmove(entry, entry + 1, (table->count - index - 1) * sizeof(*entry));
	table->count--;
}

uint64_t segment_table_highest(const struct segment_table *table)
{
	return table->count == 0 ? 0 : table->entries[table->count - 1].number;
}

// boot: out: 0 when the header cannot be read.
static enum err look_at(struct disk *disk, int dir, uint64_t number, uint64_t *boot, int64_t *size)
{
	struct spool_segment_header header = {.boot = 0};
	struct record_scan_file scan = {.number = number};
	char name[SPOOL_FILE_NAME_MAX];
	uint64_t salt;

	spool_file_name(number, SEGMENT_SUFFIX, name);
	scan.file = disk->open(disk, dir, name, O_RDONLY);
	if (scan.file < 0)
		return spool_file_err(scan.file);
	*boot = record_scan_salt(disk, &scan, &salt, &header) == ERR_OK ? header.boot : 0;
	*size = disk->size(disk, scan.file);
	disk->close(disk, scan.file);
	return spool_file_err(*size);
}

enum err segment_table_load(struct segment_table *table, struct disk *disk, int dir, uint64_t *boot)
{
	uint64_t *numbers = NULL, highest = 0, unreadable = 0;
	uint32_t count = 0;
	enum err err = spool_file_list(disk, dir, SEGMENT_SUFFIX, &numbers, &count);

	for (uint32_t i = 0; i < count && err == ERR_OK; i++) {
		uint64_t found = 0;
		int64_t size = 0;

		err = look_at(disk, dir, numbers[i], &found, &size);
		if (err == ERR_OK)
			err = segment_table_add(table, numbers[i], (uint64_t)size);
		unreadable += found == 0;
		highest = found > highest ? found : highest;
	}
	// What the commits in them need is known to no one here: each may need any of the others.
	for (uint32_t i = 0; i < table->count; i++)
		table->entries[i].needed_by = segment_table_highest(table);
	free(numbers);
	*boot = highest + 1 + unreadable;
	return err;
}
