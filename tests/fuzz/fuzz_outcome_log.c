// Target functions: outcome_log_open, outcome_log_compact
//
// Checked here, not only crashes: texts are within the bound; whatever was replayed is replayed again by the next run, with what
// was put since behind it; compaction keeps exactly what it is told to.

#include "base/limits.h"
#include "sim/disk_sim.h"
#include "sim/spool_forge.h"
#include "spool/outcome_log.h"

#include <stdlib.h>
#include <string.h>

struct replayed {
	uint64_t count, even, sum, last_id;
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void on_entry(void *user, const struct spool_outcome_entry *entry)
{
	struct replayed *replayed = user;

	check(strlen(entry->text) <= LIMIT_OUTCOME_TEXT_OCTETS);
	replayed->count++;
	replayed->even += entry->id % 2 == 0;
	replayed->sum += entry->id * 31 + entry->outcome.rcpt;
	replayed->last_id = entry->id;
}

static int is_even(void *user, uint64_t id)
{
	(void)user;
	return id % 2 == 0;
}

static struct replayed replay(struct disk *disk, struct outcome_log **log)
{
	struct replayed replayed = {.count = 0};

	check(outcome_log_open(disk, "spool", on_entry, &replayed, log) == ERR_OK);
	return replayed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct spool_outcome_entry entry = {.id = 4242, .text = "250 2.0.0 Ok"};
	struct disk_sim *sim = disk_sim_new(1);
	struct disk *disk = disk_sim_disk(sim);
	struct replayed before, after;
	struct outcome_log *log;

	check(disk->open_dir(disk, "spool") >= 0);
	spool_forge(disk, "spool/outcomes", "0000000000000001.out", data, size);
	before = replay(disk, &log);
	outcome_log_put(log, &entry);
	check(outcome_log_sync(log) == ERR_OK);
	outcome_log_close(log);

	after = replay(disk, &log);
	check(after.count == before.count + 1 && after.last_id == entry.id);
	check(after.sum == before.sum + entry.id * 31);
	check(outcome_log_compact(log, is_even, NULL) == ERR_OK);
	outcome_log_close(log);

	before = replay(disk, &log);
	check(before.count == after.even && before.even == before.count);
	outcome_log_close(log);
	disk_sim_free(sim);
	return 0;
}
