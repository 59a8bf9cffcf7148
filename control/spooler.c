#include "control/spooler.h"

#include <pthread.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	EVENTS = 16384,
	CONTROL_REQUESTS = 1024,
	SEGMENTS = 256,
	BURST = 64,
	SEGMENT_OCTETS = 64 * 1024 * 1024,
	SPIN_ROUNDS = 200, // idle rounds before sleeping
	SHORT_SLEEP_US = 50,
	LONG_ROUNDS = 2000, // then longer
	LONG_SLEEP_US = 1000,
	ALONE_SLEEP_US =
		5000, // nobody is connected: no mail can come before several round trips have passed
	TICK_S = 1,   // the writer wants to be called so often
	REOPEN_S = 2, // between tries to open a spool anew whose disk failed
};

// One producer of requests.
struct source {
	struct rte_ring *requests, *answers;
};

struct segment_done {
	uint64_t segment, seen;
};

struct spooler {
	struct edge *edge;
	const char *directory;
	struct spool_writer *writer; // NULL: its disk failed, another is opened when it can be
	uint64_t boot;               // of the first writer: all ids of this process
	int64_t reopen_s;            // next try
	bool was_accepting;          // for the log
	struct source sources[LIMIT_WORKERS + 1]; // workers, then the control thread
	unsigned source_count;
	struct rte_ring *events;        // to the control thread
	struct rte_ring *segments_done; // from the control thread
	_Atomic bool events_lost, stop;
	_Atomic uint64_t segment;
	pthread_t thread;
	void (*wake)(void *);
	void *user;
	bool event_put;
};

static int64_t wall_s(void)
{
	return (int64_t)time(NULL);
}

static enum err open_writer(struct spooler *s)
{
	const struct spool_writer_config config = {
		.disk = disk_real(), .directory = s->directory, .segment_octets = SEGMENT_OCTETS};

	TRY(spool_writer_open(&config, wall_s(), &s->writer));
	atomic_store(&s->segment, spool_writer_segment(s->writer));
	return ERR_OK;
}

// After every change: whether MAIL is taken, and a line when that is news.
static void publish(struct spooler *s)
{
	bool accepting = s->writer != NULL && spool_writer_is_accepting(s->writer);

	atomic_store_explicit(&s->edge->spool_accepting, accepting, memory_order_relaxed);
	if (accepting == s->was_accepting)
		return;
	s->was_accepting = accepting;
	if (accepting)
		fprintf(stderr, "postern-edge: spool %s: taking mail again\n", s->directory);
	else
		fprintf(stderr,
			"postern-edge: spool %s: %s (%s): mail gets 451 until that is mended\n",
			s->directory, err_text(s->writer != NULL ? ERR_DISK_FULL : ERR_DISK_IO),
			s->writer != NULL ? "no room for another segment and the reserve"
					  : disk_real_failure());
}

enum err spooler_open(struct edge *edge, const char *directory, struct spooler **spooler)
{
	struct spooler *s = calloc(1, sizeof(*s));
	enum err e;

	if (s == NULL)
		return ERR_NO_MEMORY;
	s->edge = edge;
	s->directory = directory;
	s->was_accepting = true;
	e = open_writer(s);
	if (e != ERR_OK) {
		free(s);
		return e;
	}
	s->boot = spool_writer_boot(s->writer);
	publish(s);
	*spooler = s;
	return ERR_OK;
}

uint64_t spooler_boot(const struct spooler *spooler)
{
	return spooler->boot;
}

uint64_t spooler_segment(const struct spooler *spooler)
{
	return atomic_load(&spooler->segment);
}

// ---- The thread

static void put_event(struct spooler *s, struct spooler_event event)
{
	if (rte_ring_sp_enqueue_elem(s->events, &event, sizeof(event)) != 0)
		atomic_store(&s->events_lost, true);
	s->event_put = true;
}

static void on_answer(void *user, const struct spool_answer *answer)
{
	struct spooler *s = user;
	struct spool_answer copy = *answer; // rte_ring wants it writable
	unsigned home =
		answer->home == MESSAGE_ID_WORKER_CONTROL ? s->source_count - 1 : answer->home;

	if (answer->kind == SPOOL_PUT_COMMIT && answer->status == ERR_OK) {
		edge_count(&s->edge->spool_committed, 1);
		put_event(s, (struct spooler_event){.kind = SPOOLER_COMMITTED,
				     .message_id = answer->message_id,
				     .segment = answer->segment,
				     .offset = answer->offset});
	} else if (answer->status != ERR_OK) {
		edge_count(&s->edge->spool_errors, 1);
	}
	// As many places as requests can be under way (worker_make).
	if (rte_ring_sp_enqueue_elem(s->sources[home].answers, &copy, sizeof(copy)) != 0)
		abort();
}

// Without a writer: what was begun before is lost, what comes is refused.
static void refuse(struct spooler *s, const struct spool_request *r)
{
	const struct spool_answer answer = {.kind = r->kind,
		.home = r->home,
		.conn = r->conn,
		.generation = r->generation,
		.status = r->kind == SPOOL_PUT_ABORT ? ERR_OK : ERR_DISK_IO,
		.message_id = r->message_id,
		.buf = r->buf};

	on_answer(s, &answer);
}

static unsigned take_requests(struct spooler *s)
{
	struct spool_request requests[BURST];
	int64_t now_s = wall_s();
	unsigned taken = 0;

	for (unsigned i = 0; i < s->source_count; i++) {
		unsigned room = s->writer != NULL ? spool_writer_room(s->writer) : BURST;
		unsigned n = rte_ring_sc_dequeue_burst_elem(s->sources[i].requests, requests,
			sizeof(requests[0]), room < BURST ? room : BURST, NULL);

		for (unsigned k = 0; k < n && s->writer == NULL; k++)
			refuse(s, &requests[k]);
		for (unsigned k = 0; k < n && s->writer != NULL; k++)
			spool_writer_put(s->writer, &requests[k], now_s);
		taken += n;
	}
	return taken;
}

static unsigned take_segments(struct spooler *s)
{
	struct segment_done done;
	unsigned taken = 0;

	while (rte_ring_sc_dequeue_elem(s->segments_done, &done, sizeof(done)) == 0) {
		taken++;
		if (spool_writer_segment_done(s->writer, done.segment, done.seen))
			put_event(s, (struct spooler_event){.kind = SPOOLER_SEGMENT_GONE,
					     .segment = done.segment});
	}
	return taken;
}

// A disk that failed is left alone by this writer for good: no descriptor is synced twice. What it answered as durable is,
// the rest was refused. Another writer begins a segment of its own, as after a restart; sessions hear 451 meanwhile.
static void give_up(struct spooler *s)
{
	spool_writer_close(s->writer);
	s->writer = NULL;
	s->reopen_s = wall_s() + REOPEN_S;
	publish(s);
}

static void reopen(struct spooler *s)
{
	if (wall_s() < s->reopen_s)
		return;
	s->reopen_s = wall_s() + REOPEN_S;
	if (open_writer(s) == ERR_OK)
		publish(s);
}

static void sync_now(struct spooler *s)
{
	if (s->writer == NULL) {
		reopen(s);
		return;
	}
	spool_writer_sync(s->writer, wall_s(), on_answer, s);
	atomic_store_explicit(&s->segment, spool_writer_segment(s->writer), memory_order_relaxed);
	if (spool_writer_is_broken(s->writer))
		give_up(s);
	else
		publish(s);
}

// Everything that waits now goes into one write and one sync. Returns how much that was.
static unsigned round_of(struct spooler *s)
{
	unsigned taken = 0, n;

	do {
		n = take_requests(s);
		taken += n;
	} while (n != 0 && s->writer != NULL && spool_writer_room(s->writer) != 0);
	if (taken != 0 && s->writer != NULL)
		edge_count(&s->edge->spool_syncs, 1);
	if (taken != 0)
		sync_now(s);
	if (s->writer != NULL)
		taken += take_segments(s);
	if (s->event_put) {
		s->event_put = false;
		s->wake(s->user);
	}
	return taken;
}

static bool is_alone(const struct spooler *s)
{
	for (unsigned i = 0; i < s->edge->worker_count; i++) {
		if (atomic_load_explicit(&s->edge->workers[i]->sessions, memory_order_relaxed) != 0)
			return false;
	}
	return true;
}

static void idle(const struct spooler *s, unsigned rounds)
{
	long us = SHORT_SLEEP_US;

	if (rounds < SPIN_ROUNDS)
		return;
	if (rounds >= LONG_ROUNDS)
		us = is_alone(s) ? ALONE_SLEEP_US : LONG_SLEEP_US;
	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void *spooler_run(void *user)
{
	struct spooler *s = user;
	unsigned idle_rounds = 0;
	int64_t ticked_s = wall_s();

	// Stop is looked at before the rings, so that what was put before it is written.
	for (;;) {
		bool stop = atomic_load(&s->stop);

		if (round_of(s) != 0) {
			idle_rounds = 0;
			continue;
		}
		if (stop)
			return NULL;
		if (wall_s() - ticked_s >= TICK_S) {
			ticked_s = wall_s();
			sync_now(s);
		}
		idle(s, idle_rounds++);
	}
}

// ---- The control thread's side

static struct rte_ring *make_ring(const char *name, unsigned octets, unsigned count)
{
	return rte_ring_create_elem(
		name, octets, count, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

bool spooler_start(struct spooler *s, struct worker **workers, unsigned count, void (*wake)(void *),
	void *user)
{
	struct source control = {
		make_ring("control_requests", sizeof(struct spool_request), CONTROL_REQUESTS),
		make_ring("control_answers", sizeof(struct spool_answer), CONTROL_REQUESTS)};

	s->events = make_ring("spool_events", sizeof(struct spooler_event), EVENTS);
	s->segments_done = make_ring("segments_done", sizeof(struct segment_done), SEGMENTS);
	if (control.requests == NULL || control.answers == NULL || s->events == NULL ||
		s->segments_done == NULL)
		return false;
	for (unsigned i = 0; i < count; i++)
		s->sources[i] = (struct source){workers[i]->requests, workers[i]->answers};
	s->sources[count] = control;
	s->source_count = count + 1;
	s->wake = wake;
	s->user = user;
	return pthread_create(&s->thread, NULL, spooler_run, s) == 0;
}

void spooler_stop(struct spooler *s)
{
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
	if (s->writer != NULL)
		spool_writer_close(s->writer);
	free(s);
}

bool spooler_next_event(struct spooler *s, struct spooler_event *event, bool *lost)
{
	*lost = atomic_exchange(&s->events_lost, false);
	return rte_ring_sc_dequeue_elem(s->events, event, sizeof(*event)) == 0;
}

bool spooler_put(struct spooler *s, struct spool_request request)
{
	return rte_ring_sp_enqueue_elem(
		       s->sources[s->source_count - 1].requests, &request, sizeof(request)) == 0;
}

bool spooler_next_answer(struct spooler *s, struct spool_answer *answer)
{
	return rte_ring_sc_dequeue_elem(
		       s->sources[s->source_count - 1].answers, answer, sizeof(*answer)) == 0;
}

bool spooler_segment_done(struct spooler *s, uint64_t segment, uint64_t seen)
{
	struct segment_done done = {segment, seen};

	return rte_ring_sp_enqueue_elem(s->segments_done, &done, sizeof(done)) == 0;
}
