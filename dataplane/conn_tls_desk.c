#include "dataplane/conn_tls_desk.h"

#include <openssl/crypto.h>
#include <rte_malloc.h>
#include <rte_ring.h>
#include <stdio.h>

static struct rte_ring *make_ring(const char *what, const struct worker *w, unsigned thread)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "tls%s%u_%u", what, w->index, thread);
	return rte_ring_create(
		name, 2 * LIMIT_TLS_JOBS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static bool make_clients(struct worker *w, const struct siphash_key *key)
{
	void *memory = rte_zmalloc("tls_clients", client_count_octets(LIMIT_TLS_HANDSHAKES), 64);

	if (memory == NULL)
		return false;
	w->tls->clients = client_count_init(memory, LIMIT_TLS_HANDSHAKES, key);
	return true;
}

bool conn_tls_desk_make(struct worker *w, const struct siphash_key *key)
{
	struct conn_tls_desk *desk = rte_zmalloc("tls_desk", sizeof(*desk), 64);
	struct tls_job *jobs = rte_malloc("tls_jobs", LIMIT_TLS_JOBS * sizeof(*jobs), 64);

	w->tls = desk;
	if (desk == NULL || jobs == NULL)
		return false;
	desk->sessions =
		rte_zmalloc("tls_sessions", LIMIT_TLS_SESSIONS * sizeof(struct conn_tls), 64);
	if (desk->sessions == NULL || !make_clients(w, key))
		return false;
	for (uint32_t i = 0; i < LIMIT_TLS_SESSIONS; i++) {
		desk->sessions[i].next = desk->free;
		desk->free = &desk->sessions[i];
	}
	for (uint32_t i = 0; i < LIMIT_TLS_JOBS; i++) {
		jobs[i].next = desk->jobs;
		desk->jobs = &jobs[i];
	}
	for (unsigned i = 0; i < LIMIT_TLS_THREADS; i++) {
		desk->out[i] = make_ring("out", w, i);
		desk->in[i] = make_ring("in", w, i);
		if (desk->out[i] == NULL || desk->in[i] == NULL)
			return false;
	}
	return true;
}

void conn_tls_desk_give(struct worker *w, struct conn_tls *t)
{
	tls_session_close(&t->session);
	OPENSSL_free(t->plain);
	OPENSSL_free(t->say);
	t->plain = t->say = NULL;
	t->plain_len = t->say_len = 0;
	t->facts = (struct tls_facts){0};
	t->phase = CONN_TLS_FREE;
	t->next = w->tls->free;
	w->tls->free = t;
	edge_count(&w->shared->tls_open, UINT64_MAX);
}

void conn_tls_desk_wait(struct conn_tls_desk *desk, struct conn_tls *t)
{
	if (t->waiting)
		return;
	t->waiting = true;
	t->next = NULL;
	*(desk->waiting.last != NULL ? &desk->waiting.last->next : &desk->waiting.first) = t;
	desk->waiting.last = t;
}

void conn_tls_desk_leave(struct conn_tls_desk *desk, struct conn_tls *t)
{
	struct conn_tls **link = &desk->waiting.first, *before = NULL;

	if (!t->waiting)
		return;
	while (*link != t) {
		before = *link;
		link = &before->next;
	}
	*link = t->next;
	if (desk->waiting.last == t)
		desk->waiting.last = before;
	t->waiting = false;
}
