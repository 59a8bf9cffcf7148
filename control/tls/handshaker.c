#include "tls/handshaker.h"

#include <pthread.h>
#include <rte_ring.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/tls_job.h"

enum {
	BURST = 8,
	SHORT_ROUNDS =
		400, // idle rounds, each with a short sleep: a handshake goes on after a round trip
	LONG_ROUNDS = 1000,
	SHORT_SLEEP_US = 50,
	LONG_SLEEP_US = 1000,
	ALONE_SLEEP_US = 4000,
};

struct thread {
	struct handshaker_queue queues[LIMIT_WORKERS];
	unsigned workers;
	struct handshaker *of;
	pthread_t id;
};

struct handshaker {
	struct thread threads[LIMIT_TLS_THREADS];
	unsigned started;
	_Atomic bool stop;
};

void handshaker_step(struct tls_job *job)
{
	struct tls_session *s = job->session;

	job->taken = job->out_len = 0;
	job->facts = (struct tls_facts){0};
	job->step = TLS_STEP_BAD;
	if (job->ctx != NULL && !tls_session_open(s, job->ctx))
		return;
	s->in = (struct slice){job->in, job->in_len};
	s->out = job->out;
	s->out_len = 0;
	s->out_cap = TLS_JOB_OCTETS;
	job->step = (uint16_t)tls_session_handshake(s);
	job->taken = job->in_len - (uint32_t)s->in.len;
	job->out_len = s->out_len;
	if (job->step == TLS_STEP_DONE)
		job->facts = tls_session_facts(s);
	s->in = (struct slice){NULL, 0};
	s->out = NULL;
	s->out_len = s->out_cap = 0;
}

static unsigned serve(const struct handshaker_queue *queue)
{
	void *jobs[BURST];
	unsigned n = rte_ring_sc_dequeue_burst(queue->jobs, jobs, BURST, NULL);

	for (unsigned i = 0; i < n; i++) {
		handshaker_step(jobs[i]);
		if (rte_ring_sp_enqueue(queue->answers, jobs[i]) != 0)
			abort(); // it has a place for every job
	}
	return n;
}

static void rest(unsigned rounds)
{
	long us = rounds < SHORT_ROUNDS  ? SHORT_SLEEP_US
		  : rounds < LONG_ROUNDS ? LONG_SLEEP_US
					 : ALONE_SLEEP_US;

	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void *run(void *user)
{
	struct thread *t = user;
	unsigned idle = LONG_ROUNDS;

	tls_memory_own_arena();
	while (!atomic_load_explicit(&t->of->stop, memory_order_relaxed)) {
		unsigned served = 0;

		for (unsigned i = 0; i < t->workers; i++)
			served += serve(&t->queues[i]);
		if (served > 0)
			idle = 0;
		else
			rest(idle < LONG_ROUNDS ? idle++ : idle);
	}
	return NULL;
}

struct handshaker *handshaker_start(
	struct handshaker_queue queues[][LIMIT_WORKERS], unsigned workers)
{
	struct handshaker *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	for (unsigned i = 0; i < LIMIT_TLS_THREADS; i++) {
		struct thread *t = &h->threads[i];

		memcpy(t->queues, queues[i], sizeof(t->queues));
		t->workers = workers;
		t->of = h;
		if (pthread_create(&t->id, NULL, run, t) != 0) {
			handshaker_stop(h);
			return NULL;
		}
		(void)pthread_setname_np(t->id, "tls-handshake");
		h->started++;
	}
	return h;
}

void handshaker_stop(struct handshaker *h)
{
	atomic_store(&h->stop, true);
	for (unsigned i = 0; i < h->started; i++)
		pthread_join(h->threads[i].id, NULL);
	free(h);
}
