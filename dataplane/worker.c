#include "dataplane/worker.h"

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring_elem.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>

#include "dataplane/address.h"
#include "dataplane/conn.h"
#include "dataplane/conn_admit.h"
#include "dataplane/conn_flow.h"
#include "dataplane/conn_name.h"
#include "dataplane/conn_tls.h"
#include "dataplane/fragment.h"
#include "dataplane/mail.h"
#include "dataplane/name_record.h"
#include "dataplane/neighbour.h"
#include "dataplane/receive.h"
#include "dataplane/transmit.h"

enum {
	RING_FRAMES = 1024, // frames between two workers; full: DROP_RING_FULL
	ANSWERS_PER_LOOP = 64,
	TIMERS_PER_LOOP = 256,
};

static const struct tcp_env env = {.emit = transmit_segment};

// From the kernel: what strangers see of it must not tell them the rest, as rte_rand()'s registers would.
static struct siphash_key random_key(void)
{
	struct siphash_key key;

	while (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key))
		;
	return key;
}

// ---- Making a worker

static bool make_bufs(struct worker *w, uint32_t count)
{
	struct spool_buf *bufs = rte_malloc("spool_bufs", count * sizeof(*bufs), 64);

	for (uint32_t i = 0; bufs != NULL && i < count; i++) {
		bufs[i].next = w->free_bufs;
		bufs[i].home = w->index;
		w->free_bufs = &bufs[i];
	}
	w->free_buf_count = count;
	return bufs != NULL;
}

static bool make_tcp(struct worker *w)
{
	const struct worker_common *common = w->common;
	struct tcp_stack_config config = {.app = &conn_tcp_app,
		.env = &env,
		.user = w,
		.conns = common->conns,
		.blocks = common->blocks,
		.mss = common->mss,
		.receive_window = LIMIT_TCP_RECEIVE_WINDOW,
		.app_octets = sizeof(struct conn),
		.secret = random_key()};
	void *memory = rte_zmalloc("tcp_stack", tcp_stack_octets(&config), 64);

	if (memory == NULL)
		return false;
	w->tcp = tcp_stack_init(memory, &config, w->now_us);
	return true;
}

static bool make_clients(struct worker *w)
{
	struct siphash_key key = random_key();
	void *memory = rte_zmalloc("clients", client_count_octets(w->common->conns), 64);

	if (memory == NULL)
		return false;
	w->clients = client_count_init(memory, w->common->conns, &key);
	key = random_key();
	w->names = conn_name_table_make(&key);
	return w->names != NULL;
}

static bool make_fragments(struct worker *w)
{
	struct siphash_key key = random_key();

	w->fragments = fragment_make(w, &key);
	return w->fragments != NULL;
}

static struct rte_ring *make_ring(
	const char *what, unsigned a, unsigned b, unsigned octets, unsigned count)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%u_%u", what, a, b);
	return rte_ring_create_elem(
		name, octets, rte_align32pow2(count), SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static uint64_t clock_us(void)
{
	uint64_t hz = rte_get_tsc_hz(), cycles = rte_rdtsc();

	return cycles / hz * 1000000 + cycles % hz * 1000000 / hz;
}

static int64_t clock_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

struct worker *worker_make(
	const struct worker_common *common, unsigned index, struct edge_worker *shared)
{
	struct worker *w = rte_zmalloc("worker", sizeof(*w), 64);
	unsigned requests = mail_requests_most(common);
	struct siphash_key neigh_key = random_key(), tls_key = random_key();

	if (w == NULL)
		return NULL;
	w->edge = common->edge;
	w->shared = shared;
	w->common = common;
	w->index = index;
	w->now_us = clock_us();
	w->wall_us = clock_wall_us();
	neigh_init(&w->neigh, &neigh_key);
	w->policy = atomic_load(&common->edge->policy);
	w->requests = make_ring("requests", index, 0, sizeof(struct spool_request), requests);
	w->answers = make_ring("answers", index, 0, sizeof(struct spool_answer), requests);
	shared->log = make_ring("log", index, 0, sizeof(struct log_record), 4096);
	shared->name_questions = make_ring(
		"name_q", index, 0, sizeof(struct name_question), LIMIT_NAME_QUESTIONS + 1);
	shared->name_answers =
		make_ring("name_a", index, 0, sizeof(struct name_answer), LIMIT_NAME_QUESTIONS + 1);
	shared->self = w;
	if (w->requests == NULL || w->answers == NULL || shared->log == NULL ||
		shared->name_questions == NULL || shared->name_answers == NULL)
		return NULL;
	w->addresses = index == 0 ? address_make() : NULL;
	if (index == 0 && w->addresses == NULL)
		return NULL;
	if (!make_bufs(w, common->spool_bufs) || !make_tcp(w) || !make_clients(w) ||
		!make_fragments(w) || !conn_tls_make(w, &tls_key))
		return NULL;
	return w;
}

bool worker_connect(struct worker **workers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		for (unsigned k = 0; k < count; k++) {
			if (i == k)
				continue;
			workers[i]->steer_out[k] =
				make_ring("steer", i, k, sizeof(void *), RING_FRAMES);
			workers[i]->tx_out[k] = make_ring("tx", i, k, sizeof(void *), RING_FRAMES);
			workers[k]->steer_in[i] = workers[i]->steer_out[k];
			workers[k]->tx_in[i] = workers[i]->tx_out[k];
			if (workers[i]->steer_out[k] == NULL || workers[i]->tx_out[k] == NULL)
				return false;
		}
	}
	return true;
}

void worker_log(struct worker *w, const struct log_record *record)
{
	struct log_record copy = *record; // rte_ring wants it writable

	if (rte_ring_sp_enqueue_elem(w->shared->log, &copy, sizeof(copy)) != 0)
		edge_count(&w->shared->log_lost, 1);
}

// ---- The loop

static unsigned poll_answers(struct worker *w)
{
	struct spool_answer answers[ANSWERS_PER_LOOP];
	unsigned n = rte_ring_sc_dequeue_burst_elem(
		w->answers, answers, sizeof(answers[0]), ANSWERS_PER_LOOP, NULL);

	for (unsigned i = 0; i < n; i++) {
		if (answers[i].buf != NULL)
			mail_give_back(w, answers[i].buf);
		if (answers[i].kind != SPOOL_PUT_COMMIT)
			continue;
		w->commits_owed--;
		conn_answer(w, &answers[i]);
	}
	// Buffers come back without an answer as well, from sessions that end.
	if (w->free_bufs != NULL && w->stalled.first != NULL)
		conn_retry_stalled(w);
	return n;
}

// A virtual server that was stopped or drained, or the whole edge: sessions that are open must hear of it, in
// steps, so that no loop is long.
static void watch_states(struct worker *w)
{
	uint32_t seen = atomic_load_explicit(&w->edge->draining, memory_order_relaxed);

	for (unsigned i = 0; i < w->policy->snapshot->vserver_count; i++)
		seen = seen * 31 +
		       atomic_load_explicit(
			       &w->edge->vservers[w->policy->slot[i]].state, memory_order_relaxed);
	if (seen != w->states_seen) {
		w->states_seen = seen;
		w->walk_cursor = 0;
		w->walk_pending = true;
	}
	if (w->walk_pending)
		w->walk_pending = conn_admit_walk(w);
}

static void publish_counters(struct worker *w)
{
	const struct tcp_counters *tcp = tcp_stack_counters(w->tcp);
	struct edge_worker *s = w->shared;

	atomic_store_explicit(&s->connections, tcp_conn_count(w->tcp), memory_order_relaxed);
	atomic_store_explicit(
		&s->blocks_free, tcp_stack_blocks(w->tcp)->free_count, memory_order_relaxed);
	atomic_store_explicit(&s->bufs_free, w->free_buf_count, memory_order_relaxed);
	atomic_store_explicit(&s->tcp_retransmits, tcp->retransmits, memory_order_relaxed);
	atomic_store_explicit(&s->tcp_resets_in, tcp->resets_in, memory_order_relaxed);
	atomic_store_explicit(&s->tcp_resets_out, tcp->resets_out, memory_order_relaxed);
	atomic_store_explicit(&s->cookies_sent, tcp->cookies_sent, memory_order_relaxed);
	atomic_store_explicit(&s->cookies_taken, tcp->cookies_taken, memory_order_relaxed);
	atomic_store_explicit(&s->icmp_errors, tcp->icmp_in, memory_order_relaxed);
	atomic_store_explicit(&s->pmtu_cuts, tcp->pmtu_cuts, memory_order_relaxed);
	atomic_store_explicit(&s->cookies_bad, tcp->cookies_bad, memory_order_relaxed);
	atomic_store_explicit(&s->handshakes_pushed_out, tcp->pushed_out, memory_order_relaxed);
	atomic_store_explicit(&s->tcp_opened, tcp->opened, memory_order_relaxed);
}

static bool wants_cookies(const struct worker *w)
{
	return w->pressure.level >= PRESSURE_COOKIES ||
	       atomic_load_explicit(&w->edge->tunables.syn_cookies, memory_order_relaxed) ==
		       CONFIG_COOKIES_ALWAYS;
}

bool worker_turn(struct worker *w, uint64_t now_us, int64_t wall_us)
{
	unsigned work;

	w->now_us = now_us;
	w->wall_us = wall_us;
	w->policy = atomic_load_explicit(&w->edge->policy, memory_order_acquire);
	pressure_follow(w);
	tcp_stack_set_cookies(w->tcp, wants_cookies(w));
	work = receive_poll(w);
	work += poll_answers(w);
	if (w->names_open > 0)
		work += conn_name_poll(w);
	work += conn_tls_poll(w);
	conn_flow_share(w);
	tcp_timers(w->tcp, w->now_us, TIMERS_PER_LOOP);
	watch_states(w);
	neighbour_poll(w);
	address_poll(w);
	fragment_poll(w);
	conn_tls_flush(w);
	tcp_flush(w->tcp, w->now_us);
	work += transmit_flush(w);
	rte_rcu_qsbr_quiescent(w->edge->qsbr, w->index);
	w->loops++;
	if (work != 0)
		publish_counters(w);
	return work != 0;
}

// Idle under poll: adaptive: how long to sleep after so long without work. A sleep costs some 30 us of CPU to wake from on a
// virtual machine, and its length is what the first packet may have to wait. The first row is longer than any pause in which
// a busy server finds nothing: under load there is no sleep.
static const struct {
	uint32_t idle_us, sleep_us;
} rests[] = {{20000, 250}, {200000, 1000}, {2000000, 2000}};

enum {
	COMMIT_SPIN_US = 200000, // a commit is under way: no sleep, unless the disk hangs
};

static uint64_t rest_us(const struct worker *w, uint64_t idle_us)
{
	uint64_t us = 0;

	if (w->commits_owed > 0 && idle_us < COMMIT_SPIN_US)
		return 0;
	for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]) && idle_us >= rests[i].idle_us; i++)
		us = rests[i].sleep_us;
	return us;
}

// Spin for a while, then sleep in steps that grow; never past a timer.
static void rest(struct worker *w, uint64_t idle_us)
{
	uint64_t step = rest_us(w, idle_us), next;

	if (step == 0) {
		rte_pause();
		return;
	}
	next = tcp_next_timer_us(w->tcp, w->now_us, step);
	if (next <= w->now_us)
		return;
	if (next - w->now_us < step)
		step = next - w->now_us;
	edge_count(&w->shared->sleeps, 1);
	// A sleeping worker holds no policy: publishing need not wait for it.
	rte_rcu_qsbr_thread_offline(w->edge->qsbr, w->index);
	nanosleep(&(struct timespec){.tv_nsec = (long)step * 1000}, NULL);
	rte_rcu_qsbr_thread_online(w->edge->qsbr, w->index);
}

int worker_run(void *worker)
{
	struct worker *w = worker;
	uint64_t worked_us = clock_us();
	uint64_t started;

	tls_memory_own_arena();
	prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0); // a short sleep is meant to be short
	rte_rcu_qsbr_thread_register(w->edge->qsbr, w->index);
	rte_rcu_qsbr_thread_online(w->edge->qsbr, w->index);
	w->now_us = worked_us;
	neighbour_start(w);
	address_start(w);
	while (!atomic_load_explicit(&w->edge->stop, memory_order_relaxed)) {
		started = rte_rdtsc();
		if (worker_turn(w, clock_us(), clock_wall_us())) {
			worked_us = w->now_us;
			edge_count(&w->shared->busy_cycles, rte_rdtsc() - started);
		} else {
			edge_count(&w->shared->idle_loops, 1);
			if (atomic_load_explicit(
				    &w->edge->tunables.poll_busy, memory_order_relaxed) == 0)
				rest(w, w->now_us - worked_us);
		}
		atomic_store_explicit(&w->shared->loops, w->loops, memory_order_relaxed);
	}
	rte_rcu_qsbr_thread_offline(w->edge->qsbr, w->index);
	rte_rcu_qsbr_thread_unregister(w->edge->qsbr, w->index);
	return 0;
}
