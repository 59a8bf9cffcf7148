#include "deliver/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NOT_IN_HEAP SIZE_MAX

// Heap: the message that is due first is at 0.

static bool is_before(const struct queue_message *a, const struct queue_message *b)
{
	return a->next_ms != b->next_ms ? a->next_ms < b->next_ms : a->serial < b->serial;
}

static void heap_set(struct queue *q, size_t i, struct queue_message *m)
{
	q->heap[i] = m;
	m->heap_index = i;
}

static void heap_up(struct queue *q, size_t i, struct queue_message *m)
{
	while (i > 0 && is_before(m, q->heap[(i - 1) / 2])) {
		heap_set(q, i, q->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(q, i, m);
}

static void heap_down(struct queue *q, size_t i, struct queue_message *m)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < q->heap_count && is_before(q->heap[child + 1], q->heap[child]))
			child++;
		if (child >= q->heap_count || !is_before(q->heap[child], m))
			break;
		heap_set(q, i, q->heap[child]);
		i = child;
	}
	heap_set(q, i, m);
}

static void heap_put(struct queue *q, struct queue_message *m)
{
	if (q->heap_count == q->heap_room) {
		q->heap_room = q->heap_room == 0 ? 64 : q->heap_room * 2;
		q->heap = reallocarray(q->heap, q->heap_room, sizeof(struct queue_message *));
		assert(q->heap != NULL);
	}
	heap_up(q, q->heap_count++, m);
}

static void heap_remove(struct queue *q, struct queue_message *m)
{
	struct queue_message *last = q->heap[--q->heap_count];
	size_t i = m->heap_index;

	m->heap_index = NOT_IN_HEAP;
	if (last == m)
		return;
	heap_down(q, i, last);
	heap_up(q, last->heap_index, last);
}

// Messages

void queue_init(struct queue *q, size_t messages_max)
{
	*q = (struct queue){.messages_max = messages_max};
}

static void message_free(struct queue_message *m)
{
	for (uint32_t i = 0; i < m->rcpt_count; i++)
		free(m->rcpts[i].last);
	free(m->segments);
	free(m);
}

void queue_free(struct queue *q)
{
	while (q->oldest != NULL) {
		struct queue_message *m = q->oldest;

		q->oldest = m->newer;
		message_free(m);
	}
	free(q->heap);
	id_map_free(&q->ids);
	segment_set_free(&q->segments);
	*q = (struct queue){0};
}

static void refer(struct queue *q, struct queue_message *m, uint64_t segment)
{
	for (uint32_t i = 0; i < m->segment_count; i++)
		if (m->segments[i] == segment)
			return;
	m->segments = reallocarray(m->segments, m->segment_count + 1, sizeof(*m->segments));
	assert(m->segments != NULL);
	m->segments[m->segment_count++] = segment;
	segment_set_ref(&q->segments, segment);
}

static void list_append(struct queue *q, struct queue_message *m)
{
	m->older = q->newest;
	if (q->newest != NULL)
		q->newest->newer = m;
	else
		q->oldest = m;
	q->newest = m;
	q->messages++;
}

static void list_remove(struct queue *q, struct queue_message *m)
{
	*(m->older != NULL ? &m->older->newer : &q->oldest) = m->newer;
	*(m->newer != NULL ? &m->newer->older : &q->newest) = m->older;
	q->messages--;
}

static struct queue_message *message_new(const struct spool_message *spool, int64_t now_ms)
{
	uint32_t n = spool->commit.rcpt_count;
	struct queue_message *m = calloc(1, sizeof(*m) + n * sizeof(m->rcpts[0]));

	assert(m != NULL);
	m->id = spool->id;
	m->segment = spool->segment;
	m->offset = spool->offset;
	m->arrived_s = spool->commit.arrived_s;
	m->octets = spool->commit.body_octets;
	m->is_null_sender = spool->sender[0] == '\0' || spool->commit.origin != 0;
	m->rcpt_count = m->open = n;
	m->heap_index = NOT_IN_HEAP;
	for (uint32_t i = 0; i < n; i++)
		m->rcpts[i].next_ms = now_ms;
	return m;
}

enum queue_added queue_add(struct queue *q, const struct spool_message *spool, int64_t now_ms,
	struct queue_message **out)
{
	struct queue_message *m;

	*out = NULL;
	if (queue_is_known(q, spool->id))
		return QUEUE_KNOWN;
	if (q->messages >= q->messages_max)
		return QUEUE_FULL;
	m = message_new(spool, now_ms);
	m->serial = q->serial++;
	id_map_put(&q->ids, m->id, m);
	list_append(q, m);
	segment_set_add_id(&q->segments, m->segment, m->id);
	refer(q, m, m->segment);
	for (uint32_t i = 0; i < spool->commit.extent_count; i++)
		refer(q, m, spool->extents[i].segment);
	*(spool->commit.origin != 0 ? &q->counts.created : &q->counts.received) += m->rcpt_count;
	q->counts.states[QUEUE_WAITING] += m->rcpt_count;
	queue_message_place(q, m);
	*out = m;
	return QUEUE_NEW;
}

bool queue_is_known(const struct queue *q, uint64_t id)
{
	return id_map_find(&q->ids, id) != NULL;
}

struct queue_message *queue_find(const struct queue *q, uint64_t id)
{
	const struct id_map_place *place = id_map_find(&q->ids, id);

	return place != NULL ? place->value : NULL;
}

struct queue_message *queue_due(struct queue *q, int64_t now_ms)
{
	struct queue_message *m = q->heap_count > 0 ? q->heap[0] : NULL;

	if (m == NULL || m->next_ms > now_ms)
		return NULL;
	heap_remove(q, m);
	return m;
}

int64_t queue_next_ms(const struct queue *q)
{
	return q->heap_count > 0 ? q->heap[0]->next_ms : INT64_MAX;
}

static int64_t first_due(const struct queue_message *m)
{
	int64_t first = INT64_MAX;

	for (uint32_t i = 0; i < m->rcpt_count; i++)
		if (m->rcpts[i].state == QUEUE_WAITING && m->rcpts[i].next_ms < first)
			first = m->rcpts[i].next_ms;
	return first;
}

void queue_message_place(struct queue *q, struct queue_message *m)
{
	int64_t next = m->is_held ? INT64_MAX : first_due(m);

	if (m->heap_index != NOT_IN_HEAP)
		heap_remove(q, m);
	m->next_ms = next;
	if (next != INT64_MAX)
		heap_put(q, m);
}

static void rcpt_state(struct queue *q, struct queue_rcpt *rcpt, enum queue_rcpt_state state)
{
	q->counts.states[rcpt->state]--;
	q->counts.states[state]++;
	rcpt->state = (uint8_t)state;
}

void queue_rcpt_sending(struct queue *q, struct queue_message *m, uint32_t rcpt)
{
	assert(m->rcpts[rcpt].state == QUEUE_WAITING);
	rcpt_state(q, &m->rcpts[rcpt], QUEUE_SENDING);
}

void queue_rcpt_wait(struct queue *q, struct queue_message *m, uint32_t rcpt, int64_t next_ms)
{
	assert(m->rcpts[rcpt].state <= QUEUE_BOUNCING);
	m->rcpts[rcpt].next_ms = next_ms;
	rcpt_state(q, &m->rcpts[rcpt], QUEUE_WAITING);
}

void queue_rcpt_bouncing(struct queue *q, struct queue_message *m, uint32_t rcpt)
{
	assert(m->rcpts[rcpt].state <= QUEUE_SENDING);
	rcpt_state(q, &m->rcpts[rcpt], QUEUE_BOUNCING);
}

void queue_rcpt_said(struct queue_message *m, uint32_t rcpt, const char *text)
{
	free(m->rcpts[rcpt].last);
	m->rcpts[rcpt].last = strdup(text);
}

void queue_rcpt_end(
	struct queue *q, struct queue_message *m, uint32_t rcpt, enum queue_rcpt_state state)
{
	assert(m->rcpts[rcpt].state <= QUEUE_BOUNCING && state > QUEUE_BOUNCING);
	rcpt_state(q, &m->rcpts[rcpt], state);
	free(m->rcpts[rcpt].last);
	m->rcpts[rcpt].last = NULL;
	m->open--;
}

void queue_rcpt_replay(struct queue *q, struct queue_message *m, const struct queue_past *past)
{
	static const enum queue_rcpt_state states[] = {[SPOOL_DELIVERED] = QUEUE_DELIVERED,
		[SPOOL_BOUNCED] = QUEUE_BOUNCED,
		[SPOOL_REMOVED] = QUEUE_REMOVED};

	// From disk: an entry can come twice, and a damaged one can say anything.
	if (past->rcpt >= m->rcpt_count || m->rcpts[past->rcpt].state != QUEUE_WAITING)
		return;
	if (past->kind < SPOOL_DELIVERED || past->kind > SPOOL_REMOVED)
		return;
	queue_rcpt_end(q, m, past->rcpt, states[past->kind]);
}

void queue_message_hold(struct queue *q, struct queue_message *m, bool is_held)
{
	if (m->is_held == is_held)
		return;
	m->is_held = is_held;
	q->held = is_held ? q->held + 1 : q->held - 1;
	queue_message_place(q, m);
}

bool queue_message_settled(struct queue *q, struct queue_message *m)
{
	if (m->open > 0)
		return false;
	if (m->heap_index != NOT_IN_HEAP)
		heap_remove(q, m);
	q->held -= m->is_held;
	for (uint32_t i = 0; i < m->segment_count; i++)
		segment_set_unref(&q->segments, m->segments[i]);
	id_map_put(&q->ids, m->id, NULL);
	list_remove(q, m);
	message_free(m);
	return true;
}

void queue_segment_gone(struct queue *q, uint64_t segment)
{
	const struct segment *s = segment_set_find(&q->segments, segment);

	if (s == NULL || s->refs > 0)
		return;
	for (size_t i = 0; i < s->id_count; i++)
		id_map_remove(&q->ids, s->ids[i]);
	segment_set_remove(&q->segments, segment);
}

const char *queue_state_name(enum queue_rcpt_state state)
{
	static const char *const names[] = {[QUEUE_WAITING] = "waiting",
		[QUEUE_SENDING] = "sending",
		[QUEUE_BOUNCING] = "bouncing",
		[QUEUE_DELIVERED] = "delivered",
		[QUEUE_BOUNCED] = "bounced",
		[QUEUE_REMOVED] = "removed"};

	return names[state];
}
