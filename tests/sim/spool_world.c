#include "sim/spool_world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/disk_image.h"
#include "spool/envelope.h"
#include "spool/message_id.h"

enum {
	SEGMENT_OCTETS = 4096,
	CHUNK_OCTETS = 900,
	OPEN_MAILS = 4,
};

static uint64_t draw_below(struct spool_world *world, uint64_t bound)
{
	return disk_image_draw(&world->random) % bound;
}

static void violate(struct spool_world *world, const char *what)
{
	if (world->violation == NULL)
		world->violation = what;
}

static bool is_over(const struct spool_world *world)
{
	return world->violation != NULL || disk_sim_is_down(world->sim);
}

struct spool_world *spool_world_new(uint64_t seed)
{
	struct spool_world *world = calloc(1, sizeof(*world));

	assert(world != NULL);
	world->sim = disk_sim_new(seed ^ 0x5eed);
	world->random = seed;
	world->wall_s = 1000000;
	return world;
}

void spool_world_free(struct spool_world *world)
{
	spool_world_stop(world);
	disk_sim_free(world->sim);
	free(world);
}

static struct mail *find_mail(struct spool_world *world, uint64_t id)
{
	for (uint32_t i = 0; i < world->mail_count; i++) {
		if (world->mails[i].id == id)
			return &world->mails[i];
	}
	return NULL;
}

// A mail drawn among those in that state; NULL: none.
static struct mail *draw_open(struct spool_world *world)
{
	struct mail *open[OPEN_MAILS];
	uint32_t count = 0;

	for (uint32_t i = 0; i < world->mail_count && count < OPEN_MAILS; i++) {
		if (world->mails[i].state == MAIL_OPEN)
			open[count++] = &world->mails[i];
	}
	if (count == 0)
		return NULL;
	return open[draw_below(world, count)];
}

static uint8_t body_octet(const struct mail *mail, uint32_t i)
{
	return (uint8_t)(mail->id * 131 + i * 7 + (i >> 8));
}

static void rcpt_of(uint64_t id, uint32_t i, char text[48])
{
	snprintf(text, 48, "user%u.%llx@example.net", i, (unsigned long long)id);
}

static uint32_t rcpt_count_of(uint64_t id)
{
	return 1 + (uint32_t)(id % 3);
}

static struct spool_buf *lend(void *user)
{
	struct spool_world *world = user;
	struct spool_buf *buf = malloc(sizeof(*buf));

	assert(buf != NULL && world->buf_count < SPOOL_WORLD_BUFS);
	buf->next = NULL;
	buf->octets = 0;
	world->bufs[world->buf_count++] = buf;
	return buf;
}

static void take_back(struct spool_world *world, struct spool_buf *chain)
{
	while (chain != NULL) {
		struct spool_buf *next = chain->next;
		uint32_t i = 0;

		while (i < world->buf_count && world->bufs[i] != chain)
			i++;
		assert(i < world->buf_count); // given back twice otherwise
		world->bufs[i] = world->bufs[--world->buf_count];
		free(chain);
		chain = next;
	}
}

static void begin_mail(struct spool_world *world)
{
	struct mail *mail = &world->mails[world->mail_count];
	uint32_t open = 0;

	for (uint32_t i = 0; i < world->mail_count; i++)
		open += world->mails[i].state == MAIL_OPEN;
	if (open >= OPEN_MAILS || world->mail_count == SPOOL_WORLD_MAILS)
		return;
	world->mail_count++;
	*mail = (struct mail){.id = message_id_make(world->boot, 1, ++world->counter)};
}

static void put_chunk(struct spool_world *world, struct mail *mail)
{
	struct spool_request request = {.kind = SPOOL_PUT_CHUNK, .message_id = mail->id};
	uint32_t octets = 1 + (uint32_t)draw_below(world, CHUNK_OCTETS);

	if (mail->segment_count == SPOOL_WORLD_CHUNKS)
		return;
	mail->segment_count++; // counts chunks while it is open
	request.buf = lend(world);
	for (uint32_t i = 0; i < octets; i++)
		request.buf->data[i] = body_octet(mail, mail->octets + i);
	request.buf->octets = octets;
	mail->octets += octets;
	spool_writer_put(world->writer, &request, world->wall_s);
}

static void put_commit(struct spool_world *world, struct mail *mail)
{
	struct envelope_writer envelope;
	struct spool_request request = {.kind = SPOOL_PUT_COMMIT,
		.message_id = mail->id,
		.rcpt_count = rcpt_count_of(mail->id),
		.body_octets = mail->octets};
	char rcpt[48];
	enum err err = ERR_OK;

	envelope_begin(&envelope, lend, world);
	for (int i = 0; i < ENVELOPE_STRINGS && err == ERR_OK; i++)
		err = envelope_put(&envelope, "steven@neulan.net", 17);
	for (uint32_t i = 0; i < request.rcpt_count && err == ERR_OK; i++) {
		rcpt_of(mail->id, i, rcpt);
		err = envelope_put_rcpt(&envelope, rcpt, (uint16_t)strlen(rcpt));
	}
	assert(err == ERR_OK);
	request.buf = envelope.first;
	mail->state = MAIL_PUT;
	spool_writer_put(world->writer, &request, world->wall_s);
}

static void put_abort(struct spool_world *world, struct mail *mail)
{
	const struct spool_request request = {.kind = SPOOL_PUT_ABORT, .message_id = mail->id};

	mail->state = MAIL_ABORTED;
	spool_writer_put(world->writer, &request, world->wall_s);
}

static void learn(struct mail *mail, const struct spool_message *message)
{
	mail->known = true;
	mail->segment = message->segment;
	mail->offset = message->offset;
	mail->segment_count = 0;
	for (uint32_t i = 0; i < message->commit.extent_count && i < SPOOL_WORLD_CHUNKS; i++)
		mail->segments[mail->segment_count++] = message->extents[i].segment;
}

// COMMITTED on the channel: the deliverer reads the record.
static void hear_of(struct spool_world *world, struct mail *mail, const struct spool_answer *answer)
{
	struct spool_message *message;
	enum err err =
		spool_reader_message(world->reader, answer->segment, answer->offset, &message);

	world->seen = answer->segment;
	if (err == ERR_OK) {
		learn(mail, message);
		spool_message_free(message);
	} else if (!is_over(world)) {
		violate(world, "a commit just acknowledged cannot be read");
	}
}

static void answered(void *user, const struct spool_answer *answer)
{
	struct spool_world *world = user;
	struct mail *mail = find_mail(world, answer->message_id);

	take_back(world, answer->buf);
	if (answer->kind != SPOOL_PUT_COMMIT)
		return;
	assert(mail != NULL && mail->state == MAIL_PUT);
	if (answer->status == ERR_OK) {
		mail->state = MAIL_ACKED;
		hear_of(world, mail, answer);
	} else if (!disk_sim_is_down(world->sim)) {
		mail->state = MAIL_REFUSED;
		mail->refused = answer->status;
		if (!world->faults)
			violate(world, "refused without a cause");
	}
}

static bool is_body_right(
	struct spool_world *world, const struct mail *mail, const struct spool_message *message)
{
	uint8_t body[SPOOL_WORLD_CHUNKS * CHUNK_OCTETS];

	if (message->commit.body_octets != mail->octets)
		return false;
	if (spool_reader_body(world->reader, message, 0, body, mail->octets) != ERR_OK)
		return false;
	for (uint32_t i = 0; i < mail->octets; i++) {
		if (body[i] != body_octet(mail, i))
			return false;
	}
	return true;
}

static bool is_envelope_right(const struct mail *mail, const struct spool_message *message)
{
	char rcpt[48];

	if (strcmp(message->sender, "steven@neulan.net") != 0)
		return false;
	if (message->commit.rcpt_count != rcpt_count_of(mail->id))
		return false;
	for (uint32_t i = 0; i < message->commit.rcpt_count; i++) {
		rcpt_of(mail->id, i, rcpt);
		if (strcmp(message->rcpts[i], rcpt) != 0)
			return false;
	}
	return true;
}

static void deliver(struct spool_world *world, struct mail *mail)
{
	const struct spool_outcome_entry entry = {
		.id = mail->id, .outcome = {.kind = SPOOL_DELIVERED}, .text = "250 2.0.0 Ok"};
	struct spool_message *message;
	enum err err = spool_reader_message(world->reader, mail->segment, mail->offset, &message);

	if (err != ERR_OK) {
		if (!disk_sim_is_down(world->sim))
			violate(world, "a known message cannot be read");
		return;
	}
	if (is_body_right(world, mail, message) && is_envelope_right(mail, message)) {
		mail->delivered = true;
		mail->done = true;
		outcome_log_put(world->log, &entry);
	} else if (!disk_sim_is_down(world->sim)) {
		violate(world, "a known message has other octets");
	}
	spool_message_free(message);
}

static void deliver_some(struct spool_world *world)
{
	for (uint32_t i = 0; i < world->mail_count; i++) {
		struct mail *mail = &world->mails[i];

		if (mail->known && !mail->done && draw_below(world, 2) == 0)
			deliver(world, mail);
	}
}

static void sync_outcomes(struct spool_world *world)
{
	if (outcome_log_sync(world->log) != ERR_OK) {
		if (!is_over(world) && !world->faults)
			violate(world, "outcomes cannot be synced");
		return;
	}
	for (uint32_t i = 0; i < world->mail_count; i++) {
		struct mail *mail = &world->mails[i];

		if (mail->known && mail->done) {
			mail->done_durable = true;
			mail->outcome_acked = true;
		}
	}
}

static bool needs(const struct mail *mail, uint64_t segment)
{
	if (!mail->known || mail->done_durable)
		return false;
	for (uint32_t i = 0; i < mail->segment_count; i++) {
		if (mail->segments[i] == segment)
			return true;
	}
	return mail->segment == segment;
}

static bool is_done(const struct spool_world *world, uint64_t segment)
{
	for (uint32_t i = 0; i < world->mail_count; i++) {
		if (needs(&world->mails[i], segment))
			return false;
	}
	return true;
}

static void forget(struct spool_world *world, uint64_t segment)
{
	world->gone[segment] = true;
	spool_reader_segment_gone(world->reader, segment);
	for (uint32_t i = 0; i < world->mail_count; i++) {
		if (world->mails[i].segment == segment)
			world->mails[i].known = false;
	}
}

static void remove_segments(struct spool_world *world)
{
	assert(world->seen < SPOOL_WORLD_SEGMENTS);
	for (uint64_t segment = 1; segment < world->seen; segment++) {
		if (!world->gone[segment] && is_done(world, segment) &&
			spool_writer_segment_done(world->writer, segment, world->seen))
			forget(world, segment);
	}
}

static int keeps(void *user, uint64_t id)
{
	const struct mail *mail = find_mail(user, id);

	return mail != NULL && mail->known;
}

static void compact(struct spool_world *world)
{
	if (outcome_log_compact(world->log, keeps, world) != ERR_OK && !is_over(world) &&
		!world->faults)
		violate(world, "outcomes cannot be compacted");
}

static void sync_mail(struct spool_world *world)
{
	spool_writer_sync(world->writer, ++world->wall_s, answered, world);
}

static void break_something(struct spool_world *world)
{
	disk_sim_set_space(world->sim, draw_below(world, 4) == 0 ? 0 : UINT64_MAX);
	disk_sim_fail(world->sim, (enum disk_sim_fault)draw_below(world, DISK_SIM_READ_ERROR),
		1 + (uint32_t)draw_below(world, 2));
}

static void work_on_open(struct spool_world *world, uint64_t what)
{
	struct mail *mail = draw_open(world);

	if (mail == NULL)
		begin_mail(world);
	else if (what < 6)
		put_chunk(world, mail);
	else if (what < 9)
		put_commit(world, mail);
	else
		put_abort(world, mail);
}

static void step(struct spool_world *world)
{
	uint64_t what = draw_below(world, 24);

	if (what < 2)
		begin_mail(world);
	else if (what < 12)
		work_on_open(world, what - 2);
	else if (what < 16)
		sync_mail(world);
	else if (what < 18)
		deliver_some(world);
	else if (what < 20)
		sync_outcomes(world);
	else if (what < 22)
		remove_segments(world);
	else if (what < 23)
		compact(world);
	else if (world->faults && draw_below(world, 4) == 0)
		break_something(world);
}

static void replayed(void *user, const struct spool_outcome_entry *entry)
{
	struct spool_world *world = user;
	struct mail *mail = find_mail(world, entry->id);

	if (mail == NULL || !mail->delivered) {
		violate(world, "an outcome that nobody put");
		return;
	}
	mail->done = true;
	mail->done_durable = true;
}

static void scanned(void *user, const struct spool_message *message)
{
	struct spool_world *world = user;
	struct mail *mail = find_mail(world, message->id);

	if (mail == NULL || mail->state == MAIL_OPEN || mail->state == MAIL_ABORTED) {
		violate(world, "a message that was never committed");
		return;
	}
	if (mail->state == MAIL_REFUSED && !(mail->refused == ERR_DISK_IO && world->was_cut)) {
		violate(world, "a message that was refused");
		return;
	}
	if (mail->known)
		violate(world, "a message twice");
	learn(mail, message);
	if (!is_envelope_right(mail, message))
		violate(world, "a message with another envelope");
	// Segments with chunks of a finished message may be gone.
	if (!mail->done && !is_body_right(world, mail, message) && !is_over(world))
		violate(world, "a message with other octets");
}

static void scanned_segment(void *user, uint64_t segment, uint64_t octets)
{
	struct spool_world *world = user;

	(void)octets;
	assert(segment < SPOOL_WORLD_SEGMENTS);
	world->gone[segment] = false;
}

static void scanned_corrupt(void *user, uint64_t segment, uint64_t offset)
{
	(void)segment;
	(void)offset;
	violate(user, "damage where none is");
}

static void check_mails(struct spool_world *world)
{
	for (uint32_t i = 0; i < world->mail_count; i++) {
		const struct mail *mail = &world->mails[i];

		if (mail->state == MAIL_ACKED && !mail->delivered && !mail->known)
			violate(world, "an acknowledged message is lost");
		if (mail->known && mail->outcome_acked && !mail->done)
			violate(world, "a message with an acknowledged outcome is back");
	}
}

static void open_writer(struct spool_world *world)
{
	const struct spool_writer_config config = {.disk = disk_sim_disk(world->sim),
		.directory = "/postern",
		.segment_octets = SEGMENT_OCTETS};

	if (world->writer != NULL)
		return;
	if (spool_writer_open(&config, world->wall_s, &world->writer) != ERR_OK) {
		world->writer = NULL;
		if (!is_over(world))
			violate(world, "the spool cannot be opened");
		return;
	}
	if (spool_writer_boot(world->writer) <= world->boot)
		violate(world, "ids of an earlier run come again");
	world->boot = spool_writer_boot(world->writer);
	world->seen = spool_writer_segment(world->writer);
}

static void open_deliver(struct spool_world *world)
{
	struct disk *disk = disk_sim_disk(world->sim);
	const struct spool_scan scan = {scanned, scanned_segment, scanned_corrupt, world};

	memset(world->gone, true, sizeof(world->gone));
	if (outcome_log_open(disk, "/postern", replayed, world, &world->log) != ERR_OK)
		world->log = NULL;
	if (spool_reader_open(disk, "/postern", &world->reader) != ERR_OK)
		world->reader = NULL;
	if (world->log != NULL && outcome_log_corrupt(world->log) > 0)
		violate(world, "damaged outcomes where none are");
	if (world->log == NULL || world->reader == NULL ||
		spool_reader_scan(world->reader, &scan) != ERR_OK) {
		if (!is_over(world))
			violate(world, "the deliverer cannot start");
		return;
	}
	if (!is_over(world))
		check_mails(world);
}

static void forget_run(struct spool_world *world)
{
	for (uint32_t i = 0; i < world->mail_count; i++) {
		struct mail *mail = &world->mails[i];

		mail->known = mail->done = mail->done_durable = false;
		if (mail->state == MAIL_OPEN)
			mail->state = MAIL_ABORTED;
	}
}

bool spool_world_run(struct spool_world *world, uint32_t steps)
{
	forget_run(world);
	// The scan belongs behind the channel's first record, so behind the writer's start; what comes before it may only look.
	open_writer(world);
	if (!is_over(world))
		open_deliver(world);
	for (uint32_t i = 0; i < steps && !is_over(world); i++)
		step(world);
	if (!is_over(world))
		sync_mail(world);
	if (disk_sim_was_resynced(world->sim))
		violate(world, "a sync after a failed sync of the same descriptor");
	return !is_over(world);
}

void spool_world_stop(struct spool_world *world)
{
	if (world->writer != NULL)
		spool_writer_close(world->writer);
	if (world->log != NULL)
		outcome_log_close(world->log);
	if (world->reader != NULL)
		spool_reader_close(world->reader);
	world->writer = NULL;
	world->log = NULL;
	world->reader = NULL;
	while (world->buf_count > 0)
		free(world->bufs[--world->buf_count]);
}
