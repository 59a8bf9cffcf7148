#include "deliver/deliver.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "deliver/dispatch.h"
#include "deliver/log_line.h"
#include "deliver/queue_verb.h"

// Finding messages

static void replay(struct deliver *d, struct queue_message *m)
{
	size_t count;
	const struct past_entry *past = past_find(&d->past, m->id, &count);

	for (size_t i = 0; i < count; i++)
		queue_rcpt_replay(&d->queue, m, &past[i].past);
	if (count > 0 && !queue_message_settled(&d->queue, m))
		queue_message_place(&d->queue, m);
}

static void message_add(struct deliver *d, const struct spool_message *spool)
{
	struct queue_message *m;

	switch (queue_add(&d->queue, spool, (int64_t)uv_now(d->loop), &m)) {
	case QUEUE_NEW:
		replay(d, m);
		return;
	case QUEUE_FULL:
		// It stays on disk, where a later scan finds it; until then no segment may be declared done.
		d->is_complete = false;
		return;
	case QUEUE_KNOWN:
		return;
	}
}

static void on_scan_message(void *user, const struct spool_message *spool)
{
	message_add(user, spool);
}

static void on_scan_segment(void *user, uint64_t segment, uint64_t octets)
{
	struct deliver *d = user;

	(void)octets;
	(void)segment_set_get(&d->queue.segments, segment);
}

static void on_scan_corrupt(void *user, uint64_t segment, uint64_t offset)
{
	struct deliver *d = user;
	struct segment *s = segment_set_get(&d->queue.segments, segment);

	log_line("segment %llu: damaged at offset %llu, the segment is kept",
		(unsigned long long)segment, (unsigned long long)offset);
	s->is_pinned = true;
	d->corrupt++;
}

static void scan(struct deliver *d)
{
	const struct spool_scan scan = {.message = on_scan_message,
		.segment = on_scan_segment,
		.corrupt = on_scan_corrupt,
		.user = d};
	enum err e;

	d->is_complete = true;
	d->corrupt = 0;
	e = spool_reader_scan(d->reader, &scan);
	if (e != ERR_OK)
		log_line("scan: %s: %s", err_text(e), disk_real_failure());
	if (e != ERR_OK)
		d->is_complete = false;
	// A message that was seen has taken its outcomes over; others come with a later scan.
	if (d->is_complete)
		past_free(&d->past);
	uv_update_time(d->loop);
	d->rescan_at_ms = uv_now(d->loop) + DELIVER_RESCAN_MS;
	deliver_plan(d);
}

static void on_committed(struct deliver *d, const struct channel_record *record)
{
	struct spool_message *spool;
	enum err e;

	d->seen = record->segment;
	if (queue_is_known(&d->queue, record->message_id))
		return;
	e = spool_reader_message(d->reader, record->segment, record->offset, &spool);
	if (e != ERR_OK) {
		log_line("segment %llu offset %llu: %s, the segment is kept",
			(unsigned long long)record->segment, (unsigned long long)record->offset,
			err_text(e));
		segment_set_get(&d->queue.segments, record->segment)->is_pinned = true;
		return;
	}
	message_add(d, spool);
	spool_message_free(spool);
	deliver_plan(d);
}

// The channel

static void on_sync(struct deliver *d, const struct channel_record *record)
{
	d->seen = record->segment;
	scan(d);
	bounce_go(&d->bounces);
}

static void on_segment_gone(struct deliver *d, uint64_t segment)
{
	queue_segment_gone(&d->queue, segment);
	spool_reader_segment_gone(d->reader, segment);
	d->segments_gone++;
}

static void on_record(void *user, const struct channel_record *record)
{
	struct deliver *d = user;

	switch ((enum channel_kind)record->kind) {
	case CHANNEL_SYNC:
		on_sync(d, record);
		return;
	case CHANNEL_COMMITTED:
		on_committed(d, record);
		return;
	case CHANNEL_INJECTED:
		bounce_injected(&d->bounces, record);
		return;
	case CHANNEL_SEGMENT_GONE:
		on_segment_gone(d, record->segment);
		return;
	case CHANNEL_QUEUE_ASK:
		queue_verb(d, record);
		return;
	case CHANNEL_INJECT:
	case CHANNEL_SEGMENT_DONE:
	case CHANNEL_QUEUE_ANSWER:
		break;
	}
	log_line("channel: a record of kind %u is not for us", record->kind);
}

static void on_channel_gone(void *user)
{
	struct deliver *d = user;

	d->edge = NULL;
	d->seen = 0;
	bounce_channel_lost(&d->bounces);
}

static void channel_switch(struct deliver *d, int fd)
{
	static struct edge_link_user user = {.record = on_record, .gone = on_channel_gone};

	user.user = d;
	if (d->edge != NULL)
		edge_link_close(d->edge);
	on_channel_gone(d);
	d->edge = edge_link_open(d->loop, fd, &user);
}

// Time

bool deliver_is_paused(const struct deliver *d)
{
	return d->is_stopping || d->outcomes.is_disk_full || d->hops.concurrency == 0;
}

static void on_due(uv_timer_t *timer)
{
	struct deliver *d = timer->data;

	dispatch_due(d);
	deliver_plan(d);
}

void deliver_plan(struct deliver *d)
{
	int64_t wait_ms = queue_next_ms(&d->queue) - (int64_t)uv_now(d->loop);

	// The tick looks again after a pause; a day is as good as never.
	if (deliver_is_paused(d) || wait_ms > INT64_C(86400000)) {
		uv_timer_stop(&d->due);
		return;
	}
	uv_timer_start(&d->due, on_due, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void offer_segments(struct deliver *d)
{
	struct channel_record record = {.kind = CHANNEL_SEGMENT_DONE, .token = d->seen};

	if (d->edge == NULL || d->seen == 0 || !d->is_complete)
		return;
	while (edge_link_has_room(d->edge) && segment_set_offer(&d->queue.segments, d->seen,
						      (int64_t)uv_now(d->loop), &record.segment))
		edge_link_send(d->edge, &record, NULL);
}

static int keep(void *user, uint64_t id)
{
	return queue_is_known(user, id);
}

// Only after a scan that saw everything: outcomes of a message that was not seen are still needed.
static void compact(struct deliver *d)
{
	enum err e;

	if (d->segments_gone < DELIVER_COMPACT_GONE || !d->is_complete)
		return;
	d->segments_gone = 0;
	if (!outcomes_sync(&d->outcomes))
		return;
	e = outcome_log_compact(d->log, keep, &d->queue);
	if (e != ERR_OK)
		log_line("outcome log: not compacted: %s: %s", err_text(e), disk_real_failure());
}

static void on_tick(uv_timer_t *timer)
{
	struct deliver *d = timer->data;
	bool has_room = d->queue.messages < d->queue.messages_max / 2 + 1;

	if (!d->is_complete && has_room && uv_now(d->loop) >= d->rescan_at_ms)
		scan(d);
	offer_segments(d);
	compact(d);
	bounce_go(&d->bounces);
	deliver_plan(d);
}

// The supervisor

static void on_config(void *user, struct config *config)
{
	struct deliver *d = user;
	struct config *old = d->config;

	d->config = config;
	hop_pool_configure(&d->hops, old, config);
	config_free(old);
	deliver_plan(d);
}

static void leave(struct deliver *d)
{
	if (!outcomes_sync(&d->outcomes))
		log_line("the disk is full: outcomes are lost, their mails will be sent again");
	outcome_log_close(d->log);
	fflush(stderr);
	_exit(0);
}

static void on_drain(uv_timer_t *timer)
{
	struct deliver *d = timer->data;

	if (d->hops.in_flight == 0 || uv_now(d->loop) >= d->leave_at_ms)
		leave(d);
}

void deliver_stop(struct deliver *d)
{
	if (d->is_stopping)
		return;
	d->is_stopping = true;
	d->leave_at_ms = uv_now(d->loop) + DELIVER_DRAIN_MS;
	hop_pool_stop(&d->hops);
	uv_timer_start(&d->drain, on_drain, 0, 20);
}

static void on_supervisor(void *user, enum child_link_kind kind, int fd)
{
	struct deliver *d = user;

	if (kind == CHILD_LINK_CHANNEL && fd >= 0) {
		channel_switch(d, fd);
		return;
	}
	if (kind == CHILD_LINK_LOOKUP && fd >= 0) {
		lookup_link_attach(d->hops.lookup, fd);
		return;
	}
	if (kind == CHILD_LINK_STOP)
		deliver_stop(d);
	if (fd >= 0)
		close(fd);
}

// Start

static void on_past(void *user, const struct spool_outcome_entry *entry)
{
	past_add(user, entry);
}

static void timers_start(struct deliver *d)
{
	uv_timer_init(d->loop, &d->due);
	uv_timer_init(d->loop, &d->tick);
	uv_timer_init(d->loop, &d->drain);
	d->due.data = d->tick.data = d->drain.data = d;
	uv_timer_start(&d->tick, on_tick, DELIVER_TICK_MS, DELIVER_TICK_MS);
}

static bool could_not(const struct deliver *d, const char *what, enum err e)
{
	log_line("spool %s: cannot open the %s: %s: %s", d->config->spool, what, err_text(e),
		disk_real_failure());
	return false;
}

static bool open_spool(struct deliver *d)
{
	const char *spool = d->config->spool;
	enum err e = outcome_log_open(disk_real(), spool, on_past, &d->past, &d->log);

	if (e != ERR_OK)
		return could_not(d, "outcome log", e);
	past_sort(&d->past);
	if (outcome_log_corrupt(d->log) > 0)
		log_line("outcome log: %llu damaged records: some mails may be sent again",
			(unsigned long long)outcome_log_corrupt(d->log));
	e = spool_reader_open(disk_real(), spool, &d->reader);
	return e == ERR_OK || could_not(d, "segments", e);
}

bool deliver_start(struct deliver *d, uv_loop_t *loop)
{
	const struct supervised_events events = {on_supervisor, on_config, d};

	d->loop = loop;
	queue_init(&d->queue, QUEUE_MESSAGES_MAX);
	d->bounces.d = d;
	if (!open_spool(d))
		return false;
	outcomes_init(&d->outcomes, loop, &d->queue, d->log);
	hop_pool_init(&d->hops, loop, &dispatch_hop_user, d);
	d->hops.lookup = lookup_link_new(loop);
	hop_pool_configure(&d->hops, NULL, d->config);
	timers_start(d);
	scan(d);
	if (supervised_listen(&d->supervised, loop, &events) &&
		child_link_send(CHILD_LINK_FD, CHILD_LINK_READY, -1) == 0)
		return true;
	log_line("the supervisor is gone");
	return false;
}
