// Mails of 4 KiB through the spool's writer: its own work on a memory file system, and with a real disk under it.

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "micro_tables.h"
#include "spool/envelope.h"
#include "spool/message_id.h"
#include "spool/spool_writer.h"

enum {
	BATCH = 32, // mails of one sync
	MAIL_OCTETS = 4096,
	SEGMENT_OCTETS = 64 << 20,
	KEPT_SEGMENTS = 2, // older ones go, as if delivered
};

struct spool_world {
	char directory[64];
	struct spool_writer *writer;
	struct spool_buf bufs[2 * BATCH]; // body and envelope of each mail
	uint64_t counter, durable, last_gone;
};

static struct spool_buf *take_envelope(void *user)
{
	struct spool_buf *buf = user;

	buf->next = NULL;
	buf->octets = 0;
	return buf;
}

static void write_envelope(struct spool_buf *buf)
{
	static const char *const strings[ENVELOPE_STRINGS] = {"form@neulan.net", "relay",
		"smtp-relay.neulan.net", "10.12.170.20", "web.neulan.net", ""};
	struct envelope_writer e;
	bool good = true;

	envelope_begin(&e, take_envelope, buf);
	for (int i = 0; i < ENVELOPE_STRINGS; i++)
		good = good && envelope_put(&e, strings[i], (uint16_t)strlen(strings[i])) == ERR_OK;
	good = good && envelope_put_rcpt(&e, "user@example.com", 16) == ERR_OK;
	if (!good)
		abort();
}

static void *make(const char *under)
{
	struct spool_world *w = calloc(1, sizeof(*w));
	struct spool_writer_config config = {
		.disk = disk_real(), .directory = w->directory, .segment_octets = SEGMENT_OCTETS};

	snprintf(w->directory, sizeof(w->directory), "%s/postern-bench-XXXXXX", under);
	if (mkdtemp(w->directory) == NULL || spool_writer_open(&config, 1, &w->writer) != ERR_OK) {
		perror(w->directory);
		free(w);
		return NULL;
	}
	for (uint32_t i = 0; i < 2 * BATCH; i++)
		memset(w->bufs[i].data, 'x', MAIL_OCTETS);
	return w;
}

static void *start_memory(void)
{
	return make("/dev/shm");
}

static void *start_disk(void)
{
	return make(getenv("POSTERN_BENCH_DIR") == NULL ? "/var/tmp" : getenv("POSTERN_BENCH_DIR"));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static void spool_end(void *world)
{
	struct spool_world *w = world;

	spool_writer_close(w->writer);
	if (nftw(w->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
		perror(w->directory);
	free(w);
}

static void on_answer(void *user, const struct spool_answer *answer)
{
	struct spool_world *w = user;

	if (answer->status != ERR_OK)
		abort();
	w->durable += answer->kind == SPOOL_PUT_COMMIT;
}

static void put_mail(struct spool_world *w, uint32_t n)
{
	struct spool_request r = {.kind = SPOOL_PUT_CHUNK,
		.message_id = message_id_make(spool_writer_boot(w->writer), 0, ++w->counter),
		.buf = &w->bufs[(size_t)2 * n]};

	r.buf->octets = MAIL_OCTETS;
	spool_writer_put(w->writer, &r, 1);
	r.kind = SPOOL_PUT_COMMIT;
	r.buf = &w->bufs[(size_t)2 * n + 1];
	write_envelope(r.buf);
	r.rcpt_count = 1;
	r.body_octets = MAIL_OCTETS;
	spool_writer_put(w->writer, &r, 1);
}

static void forget_old(struct spool_world *w)
{
	const uint64_t now = spool_writer_segment(w->writer);

	while (w->last_gone + KEPT_SEGMENTS < now)
		(void)spool_writer_segment_done(w->writer, ++w->last_gone, now);
}

// A turn: BATCH mails and one sync.
static void commit(void *world, uint64_t turns)
{
	struct spool_world *w = world;

	while (turns-- > 0) {
		for (uint32_t i = 0; i < BATCH; i++)
			put_mail(w, i);
		spool_writer_sync(w->writer, 1, on_answer, w);
		forget_old(w);
	}
	micro_keep(w->durable);
}

const struct micro micro_spool[] = {
	{"spool_commit_memory", "mail of 4 KiB, 32 a sync", BATCH, start_memory, commit, spool_end},
	{"spool_commit_disk", "mail of 4 KiB, 32 a sync", BATCH, start_disk, commit, spool_end},
	{.name = NULL},
};
