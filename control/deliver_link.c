#include "control/deliver_link.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
	RECORDS_A_TURN = 256, // of one readable event; libuv comes back for the rest
	TICK_MS = 500,        // how exactly DELIVER_LINK_ASK_MS is kept
	// COMMITTED may fill the queue up to here; the rest is for records that no scan replaces.
	COMMITTED_MAX = DELIVER_LINK_QUEUE - 1024,
};

// A record without data.
struct waiting {
	uint16_t kind;
	uint32_t status;
	uint64_t token, message_id, segment, offset;
};

struct ask {
	uint64_t token; // 0: free
	deliver_link_answer_fn *answer;
	void *user;
	uint64_t end_ms;
	char *text; // put together so far
	size_t octets;
};

struct deliver_link {
	uv_loop_t *loop;
	uv_poll_t *poll; // NULL: channel down
	uv_timer_t timer;
	int fd;
	struct deliver_link_events events;
	bool sync_wanted; // before anything that waits
	uint64_t next_token, lost;
	struct waiting queue[DELIVER_LINK_QUEUE];
	uint32_t first, count;
	struct ask asks[DELIVER_LINK_ASKS];
	uint64_t in[CHANNEL_RECORD_MAX / 8]; // one record; aligned for it
};

static void ask_end(struct ask *ask, const char *text, size_t octets, const char *why)
{
	struct ask ended = *ask;

	// Free first: the answer may ask again.
	*ask = (struct ask){0};
	ended.answer(ended.user, text, octets, why);
	free(ended.text);
}

static void asks_end(struct deliver_link *link, const char *why)
{
	for (int i = 0; i < DELIVER_LINK_ASKS; i++)
		if (link->asks[i].token != 0)
			ask_end(&link->asks[i], NULL, 0, why);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void detach(struct deliver_link *link, const char *why)
{
	if (link->poll != NULL) {
		uv_poll_stop(link->poll);
		uv_close((uv_handle_t *)link->poll, on_poll_closed);
		link->poll = NULL;
		close(link->fd);
		link->fd = -1;
	}
	asks_end(link, why);
}

static enum err send_waiting(const struct deliver_link *link, const struct waiting *waiting)
{
	const struct channel_record record = {.kind = waiting->kind,
		.status = waiting->status,
		.token = waiting->token,
		.message_id = waiting->message_id,
		.segment = waiting->segment,
		.offset = waiting->offset};

	return channel_send(link->fd, &record, NULL);
}

static enum err flush(struct deliver_link *link)
{
	if (link->sync_wanted) {
		struct waiting sync = {
			.kind = CHANNEL_SYNC, .segment = link->events.segment(link->events.user)};

		TRY(send_waiting(link, &sync));
		link->sync_wanted = false;
	}
	while (link->count > 0) {
		TRY(send_waiting(link, &link->queue[link->first]));
		link->first = (link->first + 1) % DELIVER_LINK_QUEUE;
		link->count--;
	}
	return ERR_OK;
}

static void on_event(uv_poll_t *handle, int status, int events);

static void pump(struct deliver_link *link)
{
	enum err status;

	if (link->poll == NULL)
		return;
	status = flush(link);
	if (status != ERR_OK && status != ERR_MORE) {
		detach(link, "postern-deliver went away");
		return;
	}
	uv_poll_start(link->poll, UV_READABLE | (status == ERR_MORE ? UV_WRITABLE : 0), on_event);
}

// Everything the deliverer has not heard of yet it will find by scanning.
static void forget_committed(struct deliver_link *link)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < link->count; i++) {
		struct waiting *from = &link->queue[(link->first + i) % DELIVER_LINK_QUEUE];

		if (from->kind != CHANNEL_COMMITTED)
			link->queue[(link->first + kept++) % DELIVER_LINK_QUEUE] = *from;
	}
	link->count = kept;
	link->sync_wanted = true;
}

static void put(struct deliver_link *link, const struct waiting *waiting)
{
	if (link->count >= COMMITTED_MAX && waiting->kind == CHANNEL_COMMITTED) {
		forget_committed(link);
		return; // this one is found by the scan as well
	}
	if (link->count == DELIVER_LINK_QUEUE) {
		link->lost++; // the deliverer asks again when no answer comes
		return;
	}
	link->queue[(link->first + link->count) % DELIVER_LINK_QUEUE] = *waiting;
	link->count++;
}

void deliver_link_committed(
	struct deliver_link *link, uint64_t message_id, uint64_t segment, uint64_t offset)
{
	if (link->poll == NULL)
		return; // the next channel begins with SYNC
	put(link, &(struct waiting){.kind = CHANNEL_COMMITTED,
			  .message_id = message_id,
			  .segment = segment,
			  .offset = offset});
	pump(link);
}

void deliver_link_resync(struct deliver_link *link)
{
	if (link->poll == NULL)
		return;
	forget_committed(link);
	pump(link);
}

void deliver_link_injected(
	struct deliver_link *link, uint64_t token, uint64_t message_id, uint32_t status)
{
	if (link->poll == NULL)
		return;
	put(link, &(struct waiting){.kind = CHANNEL_INJECTED,
			  .token = token,
			  .message_id = message_id,
			  .status = status});
	pump(link);
}

void deliver_link_segment_gone(struct deliver_link *link, uint64_t segment)
{
	if (link->poll == NULL)
		return;
	put(link, &(struct waiting){.kind = CHANNEL_SEGMENT_GONE, .segment = segment});
	pump(link);
}

static struct ask *ask_find(struct deliver_link *link, uint64_t token)
{
	for (int i = 0; i < DELIVER_LINK_ASKS; i++)
		if (link->asks[i].token == token)
			return &link->asks[i];
	return NULL;
}

static void take_answer(struct deliver_link *link, const struct channel_record *record)
{
	struct ask *ask = record->token == 0 ? NULL : ask_find(link, record->token);
	char *longer;

	if (ask == NULL)
		return; // too late, or forgotten
	if (ask->octets + record->octets > DELIVER_LINK_ANSWER_OCTETS) {
		ask_end(ask, NULL, 0, "the answer of postern-deliver is too long");
		return;
	}
	longer = realloc(ask->text, ask->octets + record->octets + 1);
	if (longer == NULL) {
		ask_end(ask, NULL, 0, "no memory for the answer of postern-deliver");
		return;
	}
	memcpy(longer + ask->octets, record->data, record->octets);
	ask->text = longer;
	ask->octets += record->octets;
	if ((record->flags & CHANNEL_MORE) == 0)
		ask_end(ask, ask->text, ask->octets, NULL);
}

static void take(struct deliver_link *link, const struct channel_record *record)
{
	switch (record->kind) {
	case CHANNEL_QUEUE_ANSWER:
		take_answer(link, record);
		break;
	case CHANNEL_SEGMENT_DONE:
		link->events.segment_done(link->events.user, record->segment, record->token);
		break;
	case CHANNEL_INJECT:
		link->events.inject(link->events.user, record);
		break;
	default:
		break; // edge's own kinds mean nothing from that side
	}
}

static void read_some(struct deliver_link *link)
{
	for (int i = 0; i < RECORDS_A_TURN && link->poll != NULL; i++) {
		struct channel_record *record = (struct channel_record *)(void *)link->in;
		enum err status = channel_receive(link->fd, record);

		if (status == ERR_MORE)
			return;
		if (status != ERR_OK) {
			detach(link, "postern-deliver went away");
			return;
		}
		take(link, record);
	}
}

static void on_event(uv_poll_t *handle, int status, int events)
{
	struct deliver_link *link = handle->data;

	if (status < 0) {
		detach(link, "postern-deliver went away");
		return;
	}
	if (events & UV_READABLE)
		read_some(link);
	pump(link);
}

static void on_tick(uv_timer_t *timer)
{
	struct deliver_link *link = timer->data;
	uint64_t now_ms = uv_now(link->loop);

	for (int i = 0; i < DELIVER_LINK_ASKS; i++)
		if (link->asks[i].token != 0 && now_ms >= link->asks[i].end_ms)
			ask_end(&link->asks[i], NULL, 0, "postern-deliver did not answer in time");
}

struct deliver_link *deliver_link_new(uv_loop_t *loop, const struct deliver_link_events *events)
{
	struct deliver_link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return NULL;
	link->loop = loop;
	link->fd = -1;
	link->events = *events;
	uv_timer_init(loop, &link->timer);
	link->timer.data = link;
	uv_timer_start(&link->timer, on_tick, TICK_MS, TICK_MS);
	uv_unref((uv_handle_t *)&link->timer);
	return link;
}

void deliver_link_attach(struct deliver_link *link, int fd)
{
	uv_poll_t *poll = calloc(1, sizeof(*poll));

	detach(link, "postern-deliver was restarted");
	if (poll == NULL || uv_poll_init(link->loop, poll, fd) < 0) {
		free(poll);
		close(fd); // the deliverer sees the end and is given another when it asks again
		return;
	}
	poll->data = link;
	link->fd = fd;
	link->poll = poll;
	link->first = 0;
	link->count = 0;
	link->sync_wanted = true;
	pump(link);
}

bool deliver_link_is_up(const struct deliver_link *link)
{
	return link->poll != NULL;
}

bool deliver_link_ask(struct deliver_link *link, const char *text, size_t octets,
	deliver_link_answer_fn *answer, void *user)
{
	struct ask *ask = ask_find(link, 0);
	struct channel_record record = {.kind = CHANNEL_QUEUE_ASK, .octets = (uint32_t)octets};

	if (link->poll == NULL || ask == NULL || octets > CHANNEL_DATA_MAX)
		return false;
	record.token = ++link->next_token;
	// Not queued: with a full channel the operator hears it now rather than waits behind the mail.
	if (channel_send(link->fd, &record, text) != ERR_OK)
		return false;
	*ask = (struct ask){.token = record.token,
		.answer = answer,
		.user = user,
		.end_ms = uv_now(link->loop) + DELIVER_LINK_ASK_MS};
	return true;
}

void deliver_link_forget(struct deliver_link *link, const void *user)
{
	for (int i = 0; i < DELIVER_LINK_ASKS; i++)
		if (link->asks[i].token != 0 && link->asks[i].user == user) {
			free(link->asks[i].text);
			link->asks[i] = (struct ask){0};
		}
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void deliver_link_free(struct deliver_link *link)
{
	detach(link, "postern-edge stops");
	uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}
