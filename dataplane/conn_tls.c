#include "dataplane/conn_tls.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <rte_ring.h>
#include <string.h>

#include "dataplane/conn_admit.h"
#include "dataplane/conn_say.h"
#include "dataplane/conn_tls_desk.h"

enum {
	PORT_IMPLICIT = 465,
	SAY_OCTETS = 4096, // replies gathered for one record
	ANSWERS = 32,      // of a loop
};

static struct conn_tls *of(const struct worker *w, const struct conn *c)
{
	return &w->tls->sessions[c->tls_index];
}

bool conn_tls_make(struct worker *w, const struct siphash_key *key)
{
	return conn_tls_desk_make(w, key);
}

struct rte_ring *conn_tls_jobs(const struct worker *w, unsigned thread)
{
	return w->tls->out[thread];
}

struct rte_ring *conn_tls_answers(const struct worker *w, unsigned thread)
{
	return w->tls->in[thread];
}

// ---- Birth and death

bool conn_tls_is_implicit(struct conn *c)
{
	uint16_t port;

	(void)tcp_conn_local(conn_tcp(c), &port);
	return port == PORT_IMPLICIT;
}

static bool count_handshake(struct worker *w, struct conn *c)
{
	struct conn_tls_desk *desk = w->tls;
	uint16_t port;
	const struct ip_addr *peer = tcp_conn_peer(conn_tcp(c), &port);

	if (desk->handshakes >= LIMIT_TLS_HANDSHAKES)
		return false;
	if (client_count_add(desk->clients, peer, c->slot) > LIMIT_TLS_HANDSHAKES_PER_CLIENT) {
		(void)client_count_remove(desk->clients, peer, c->slot);
		return false;
	}
	desk->handshakes++;
	return true;
}

static void uncount_handshake(struct worker *w, struct conn *c, struct conn_tls *t)
{
	uint16_t port;

	if (!t->counted)
		return;
	t->counted = false;
	w->tls->handshakes--;
	(void)client_count_remove(w->tls->clients, tcp_conn_peer(conn_tcp(c), &port), c->slot);
}

bool conn_tls_begin(struct worker *w, struct conn *c, bool implicit)
{
	struct conn_tls_desk *desk = w->tls;
	struct conn_tls *t = desk->free;

	if (t == NULL || w->policy->tls[c->vserver] == NULL || !count_handshake(w, c)) {
		edge_count(&conn_admit_counters(w, c)->tls_refused, 1);
		return false;
	}
	desk->free = t->next;
	t->owner = c;
	t->phase = CONN_TLS_HANDSHAKE;
	t->implicit = implicit;
	t->counted = true;
	t->skip = 0;
	t->begun_loop = (uint32_t)w->loops;
	c->tls_index = (uint32_t)(t - desk->sessions);
	c->smtp.tls = true;
	edge_count(&w->shared->tls_open, 1);
	tcp_set_deadline(conn_tcp(c), w->now_us + LIMIT_TLS_HANDSHAKE_S * UINT64_C(1000000));
	return true;
}

void conn_tls_closed(struct worker *w, struct conn *c)
{
	struct conn_tls *t = of(w, c);

	uncount_handshake(w, c, t);
	conn_tls_desk_leave(w->tls, t);
	t->owner = NULL;
	if (!t->away)
		conn_tls_desk_give(w, t);
}

// ---- Handshake

// The certificate of now: one that was reloaded since the connection began is the one that counts.
static SSL_CTX *context_of(const struct worker *w, const struct conn *c)
{
	SSL_CTX *ctx = w->policy->tls[c->vserver];

	return ctx != NULL && SSL_CTX_up_ref(ctx) == 1 ? ctx : NULL;
}

static void fail(struct worker *w, struct conn *c, struct conn_tls *t)
{
	edge_count(&conn_admit_counters(w, c)->tls_failed, 1);
	if (t->session.alerted)
		edge_count(&w->shared->tls_alerts, 1);
	t->phase = CONN_TLS_OVER;
	conn_say_close(w, c);
}

static void hand_over(struct worker *w, struct conn *c, struct conn_tls *t, struct slice in)
{
	struct conn_tls_desk *desk = w->tls;
	struct tls_job *job = desk->jobs;
	SSL_CTX *ctx = NULL;

	if (job == NULL) {
		conn_tls_desk_wait(desk, t);
		return;
	}
	if (t->session.ssl == NULL) {
		ctx = context_of(w, c);
		if (ctx == NULL) {
			fail(w, c, t);
			return;
		}
	}
	desk->jobs = job->next;
	job->session = &t->session;
	job->ctx = ctx;
	job->conn = tcp_conn_index(conn_tcp(c));
	job->generation = tcp_conn_generation(conn_tcp(c));
	job->slot = (uint32_t)(t - desk->sessions);
	job->in_len = (uint32_t)(in.len < TLS_JOB_OCTETS ? in.len : TLS_JOB_OCTETS);
	if (job->in_len > 0)
		memcpy(job->in, in.at, job->in_len);
	t->away = true;
	int full = rte_ring_sp_enqueue(desk->out[job->slot % LIMIT_TLS_THREADS], job);

	assert(full == 0); // it has a place for every job
	(void)full;
}

// What a handshake thread looks at stays in TCP's queue until it says how much of it was the handshake's.
static size_t data_of_handshake(
	struct worker *w, struct conn *c, struct conn_tls *t, struct slice in)
{
	size_t skip = t->skip < in.len ? t->skip : in.len;

	if (t->away)
		return 0;
	t->skip -= (uint32_t)skip;
	if (!t->implicit && t->begun_loop == (uint32_t)w->loops && in.len > 0) {
		conn_tls_count_early(w, c);
		fail(w, c, t);
		return in.len;
	}
	if (skip < in.len)
		hand_over(w, c, t, (struct slice){in.at + skip, in.len - skip});
	return c->closing ? in.len : skip;
}

void conn_tls_count_early(struct worker *w, struct conn *c)
{
	edge_count(&conn_admit_counters(w, c)->tls_early, 1);
}

void conn_tls_timed_out(struct worker *w, struct conn *c)
{
	fail(w, c, of(w, c));
}

static void complete(struct worker *w, struct conn *c, struct conn_tls *t)
{
	t->phase = CONN_TLS_OPEN;
	uncount_handshake(w, c, t);
	edge_count(&conn_admit_counters(w, c)->tls_sessions, 1);
	if (t->facts.resumed)
		edge_count(&conn_admit_counters(w, c)->tls_resumed, 1);
	conn_secured(w, c, t->implicit);
}

static void give_job(struct worker *w, struct tls_job *job)
{
	job->next = w->tls->jobs;
	w->tls->jobs = job;
}

static void go_on(struct worker *w, struct conn *c, struct conn_tls *t, enum tls_step step)
{
	if (step == TLS_STEP_DONE)
		complete(w, c, t);
	else if (step != TLS_STEP_MORE)
		fail(w, c, t);
	if (!c->closing)
		tcp_resume(conn_tcp(c), w->now_us);
}

static void take_step(struct worker *w, struct conn *c, struct conn_tls *t, struct tls_job *job)
{
	enum tls_step step = (enum tls_step)job->step;
	bool cut = step == TLS_STEP_MORE && job->out_len == TLS_JOB_OCTETS;
	bool sent = job->out_len == 0 ||
		    tcp_send(conn_tcp(c), (struct slice){job->out, job->out_len}, w->now_us);

	t->skip = job->taken;
	t->facts = job->facts;
	give_job(w, job);
	if (!sent)
		tcp_abort(conn_tcp(c), w->now_us);
	else if (cut)
		hand_over(w, c, t,
			(struct slice){NULL, 0}); // there is a job: the one just given back
	else
		go_on(w, c, t, step);
}

// The others that wait, in their order.
static void serve_waiting(struct worker *w)
{
	struct conn_tls_desk *desk = w->tls;

	while (desk->jobs != NULL && desk->waiting.first != NULL) {
		struct conn_tls *t = desk->waiting.first;

		conn_tls_desk_leave(desk, t);
		tcp_resume(conn_tcp(t->owner), w->now_us);
	}
}

static void take_answer(struct worker *w, struct tls_job *job)
{
	struct conn_tls *t = &w->tls->sessions[job->slot];
	struct tcp_conn *tcp = tcp_conn_find(w->tcp, job->conn, job->generation);

	t->away = false;
	assert(t->owner == NULL || conn_tcp(t->owner) == tcp);
	if (t->owner != NULL && !t->owner->closing) {
		take_step(w, t->owner, t, job);
		return;
	}
	// A connection that closes keeps its session to its end; one that is gone has left it to us.
	if (t->owner == NULL)
		conn_tls_desk_give(w, t);
	give_job(w, job);
}

unsigned conn_tls_poll(struct worker *w)
{
	void *jobs[ANSWERS];
	unsigned all = 0;

	for (unsigned i = 0; i < LIMIT_TLS_THREADS; i++) {
		unsigned n = rte_ring_sc_dequeue_burst(w->tls->in[i], jobs, ANSWERS, NULL);

		for (unsigned k = 0; k < n; k++)
			take_answer(w, jobs[k]);
		all += n;
	}
	serve_waiting(w);
	return all;
}

// ---- Records

bool conn_tls_is_open(const struct worker *w, const struct conn *c)
{
	return of(w, c)->phase == CONN_TLS_OPEN;
}

bool conn_tls_has_unread(const struct worker *w, const struct conn *c)
{
	return of(w, c)->plain_len > 0;
}

uint32_t conn_tls_pending(const struct worker *w, const struct conn *c)
{
	return of(w, c)->say_len + 2 * TLS_RECORD_MORE;
}

struct tls_facts conn_tls_facts(const struct worker *w, const struct conn *c)
{
	return c->smtp.tls ? of(w, c)->facts : (struct tls_facts){0};
}

static void lend_wire(struct worker *w, struct conn_tls *t)
{
	t->session.out = w->tls->wire;
	t->session.out_len = 0;
	t->session.out_cap = CONN_TLS_WIRE_OCTETS;
}

static bool send_wire(struct worker *w, struct conn *c, struct conn_tls *t)
{
	struct slice wire = {t->session.out, t->session.out_len};

	return wire.len == 0 || tcp_send(conn_tcp(c), wire, w->now_us);
}

// As many records as there is room for. DONE: octets came, or may come.
static enum tls_step decrypt(struct conn_tls_desk *desk, struct conn_tls *t, uint32_t *len)
{
	enum tls_step step = TLS_STEP_DONE;
	uint32_t got;

	while (step == TLS_STEP_DONE && *len <= LIMIT_COMMAND_READ_OCTETS) {
		step = tls_session_read(&t->session, desk->plain + *len, TLS_RECORD_OCTETS, &got);
		*len += got;
	}
	return step;
}

static void keep(struct worker *w, struct conn_tls *t, uint32_t len)
{
	if (len > 0) {
		tls_memory_charge(&t->session.account);
		t->plain = OPENSSL_malloc(len);
		tls_memory_charge(NULL);
	}
	if (len > 0 && t->plain == NULL)
		t->phase = CONN_TLS_OVER;
	else if (len > 0)
		memcpy(t->plain, w->tls->plain, len);
	t->plain_len = t->plain != NULL ? len : 0;
}

static uint32_t fetch(struct worker *w, struct conn_tls *t)
{
	uint32_t len = t->plain_len;

	if (len > 0)
		memcpy(w->tls->plain, t->plain, len);
	OPENSSL_free(t->plain);
	t->plain = NULL;
	t->plain_len = 0;
	return len;
}

static void end_of(struct worker *w, struct conn *c, struct conn_tls *t, enum tls_step step)
{
	if (t->phase == CONN_TLS_OVER || step == TLS_STEP_BAD) {
		fail(w, c, t);
		return;
	}
	if (step == TLS_STEP_END)
		c->peer_done = true;
	if (c->peer_done && t->plain_len == 0 && !c->name_wait &&
		!smtp_session_is_waiting(&c->smtp))
		conn_say_close(w, c);
}

// Octets the session does not want yet are not decrypted, but for the rest of a record.
static size_t pump(struct worker *w, struct conn *c, struct conn_tls *t, size_t *plain)
{
	uint32_t len, before;
	enum tls_step step = TLS_STEP_DONE;

	if (!conn_is_ready(w, c))
		return 0;
	len = fetch(w, t);
	do {
		before = len;
		lend_wire(w, t);
		if (step == TLS_STEP_DONE && conn_is_ready(w, c))
			step = decrypt(w->tls, t, &len);
		if (!send_wire(w, c, t)) {
			tcp_abort(conn_tcp(c), w->now_us);
			return *plain;
		}
		size_t done = len > 0 ? conn_feed(w, c, (struct slice){w->tls->plain, len}) : 0;

		if (c->closing)
			return *plain;
		memmove(w->tls->plain, w->tls->plain + done, len - done);
		len -= (uint32_t)done;
		*plain += done;
		if (done == 0 && len == before)
			break;
	} while (true);
	keep(w, t, len);
	end_of(w, c, t, step);
	return *plain;
}

size_t conn_tls_data(struct worker *w, struct conn *c, struct slice in, size_t *plain)
{
	struct conn_tls *t = of(w, c);
	size_t skip;

	*plain = 0;
	if (t->phase == CONN_TLS_HANDSHAKE)
		return data_of_handshake(w, c, t, in);
	skip = t->skip < in.len ? t->skip : in.len;
	t->skip -= (uint32_t)skip;
	t->session.in = (struct slice){in.at + skip, in.len - skip};
	(void)pump(w, c, t, plain);
	if (c->closing)
		return in.len;
	size_t unread = t->session.in.len;

	t->session.in = (struct slice){NULL, 0};
	return in.len - unread;
}

// ---- Replies

static bool encrypt(struct worker *w, struct conn *c, struct conn_tls *t)
{
	struct slice text = {t->say, t->say_len};
	bool sent;

	if (t->say_len == 0)
		return true;
	lend_wire(w, t);
	sent = tls_session_write(&t->session, text) && send_wire(w, c, t);
	OPENSSL_free(t->say);
	t->say = NULL;
	t->say_len = 0;
	return sent;
}

bool conn_tls_say(struct worker *w, struct conn *c, struct slice text)
{
	struct conn_tls *t = of(w, c);

	if (t->phase != CONN_TLS_OPEN)
		return true; // nobody could read it
	if (t->say_len + text.len > SAY_OCTETS && !encrypt(w, c, t))
		return false;
	if (t->say == NULL) {
		tls_memory_charge(&t->session.account);
		t->say = OPENSSL_malloc(SAY_OCTETS);
		tls_memory_charge(NULL);
	}
	if (t->say == NULL)
		return false;
	memcpy(t->say + t->say_len, text.at, text.len);
	t->say_len += (uint32_t)text.len;
	if (t->to_flush)
		return true;
	t->to_flush = true;
	t->next_to_flush = w->tls->to_flush;
	w->tls->to_flush = t;
	return true;
}

void conn_tls_finish(struct worker *w, struct conn *c)
{
	struct conn_tls *t = of(w, c);

	if (t->phase != CONN_TLS_OPEN || !encrypt(w, c, t))
		return;
	lend_wire(w, t);
	tls_session_end(&t->session);
	(void)send_wire(w, c, t); // no room: the FIN says it, less well
	t->phase = CONN_TLS_OVER;
}

void conn_tls_flush(struct worker *w)
{
	struct conn_tls *t = w->tls->to_flush;

	w->tls->to_flush = NULL;
	while (t != NULL) {
		struct conn_tls *next = t->next_to_flush;

		t->to_flush = false;
		if (t->owner != NULL && t->phase == CONN_TLS_OPEN && !encrypt(w, t->owner, t))
			tcp_abort(conn_tcp(t->owner), w->now_us);
		t = next;
	}
}
