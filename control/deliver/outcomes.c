#include "deliver/outcomes.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "deliver/log_line.h"

static void on_timer(uv_timer_t *timer)
{
	(void)outcomes_sync(timer->data);
}

void outcomes_init(
	struct outcomes *o, uv_loop_t *loop, struct queue *queue, struct outcome_log *log)
{
	*o = (struct outcomes){.queue = queue, .log = log};
	uv_timer_init(loop, &o->timer);
	o->timer.data = o;
}

static void settle_all(struct outcomes *o)
{
	for (size_t i = 0; i < o->count; i++) {
		// By id: a message with several outcomes in one batch is freed at the first.
		struct queue_message *m = queue_find(o->queue, o->ids[i]);

		if (m != NULL)
			(void)queue_message_settled(o->queue, m);
	}
	o->count = 0;
}

bool outcomes_sync(struct outcomes *o)
{
	enum err e;

	if (o->count == 0)
		return true;
	e = outcome_log_sync(o->log);
	if (e == ERR_DISK_FULL) {
		if (!o->is_disk_full)
			log_line("the disk is full: outcomes wait, nothing more is sent: %s",
				disk_real_failure());
		o->is_disk_full = true;
		uv_timer_start(&o->timer, on_timer, OUTCOMES_FULL_RETRY_MS, 0);
		return false;
	}
	if (e != ERR_OK) {
		log_line("outcome log: %s: %s", err_text(e), disk_real_failure());
		_Exit(1);
	}
	o->is_disk_full = false;
	uv_timer_stop(&o->timer);
	settle_all(o);
	return true;
}

static enum queue_rcpt_state state_of(enum spool_outcome_kind kind)
{
	switch (kind) {
	case SPOOL_DELIVERED:
		return QUEUE_DELIVERED;
	case SPOOL_BOUNCED:
		return QUEUE_BOUNCED;
	case SPOOL_REMOVED:
		break;
	}
	return QUEUE_REMOVED;
}

void outcomes_put(struct outcomes *o, const struct outcomes_entry *entry)
{
	struct queue_message *m = entry->message;
	const struct spool_outcome_entry line = {.id = m->id,
		.outcome = {.rcpt = entry->rcpt,
			.kind = entry->kind,
			.at_s = time(NULL),
			.related = entry->related},
		.text = entry->text};

	outcome_log_put(o->log, &line);
	queue_rcpt_end(o->queue, m, entry->rcpt, state_of(entry->kind));
	if (o->count == 0)
		uv_timer_start(&o->timer, on_timer, OUTCOMES_SYNC_MS, 0);
	if (o->count == o->room) {
		o->room = o->room == 0 ? 256 : o->room * 2;
		o->ids = reallocarray(o->ids, o->room, sizeof(*o->ids));
		assert(o->ids != NULL);
	}
	o->ids[o->count++] = m->id;
}
