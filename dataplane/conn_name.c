#include "dataplane/conn_name.h"

#include <assert.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>
#include <string.h>

#include "config/name_match.h"
#include "dataplane/name_table.h"

enum {
	FAILED_S = 2, // so long a failure stands before somebody is asked again
	ANSWERS_A_LOOP = 32,
};

_Static_assert(LIMIT_VSERVERS *CONFIG_LISTS <= NAME_TABLE_WORDS * 64, "a bit for each list");

struct name_table *conn_name_table_make(const struct siphash_key *key)
{
	const size_t octets = name_table_octets(LIMIT_NAME_ENTRIES, LIMIT_NAME_WAITERS);
	void *memory = rte_zmalloc("names", octets, 64);

	return memory == NULL
		       ? NULL
		       : name_table_init(memory, LIMIT_NAME_ENTRIES, LIMIT_NAME_WAITERS, key);
}

static const struct ip_addr *client_of(struct conn *c)
{
	uint16_t port;

	return tcp_conn_peer(conn_tcp(c), &port);
}

// Whether names count unconfirmed here.
static bool is_plain(const struct worker *w, const struct conn *c)
{
	return !w->policy->snapshot->vservers[c->vserver].config->forward_confirm;
}

// ---- Asking

static uint32_t most_questions(const struct worker *w)
{
	return LIMIT_NAME_QUESTIONS / w->edge->worker_count;
}

// False: too many are open.
static bool ask(struct worker *w, struct conn *c, struct name_entry *e)
{
	struct name_question question = {.address = e->address,
		.entry = name_table_index(w->names, e),
		.serial = e->serial + 1,
		.plain = e->plain};

	if (w->names_open >= most_questions(w) ||
		w->names_open_of[c->slot] >= most_questions(w) / 2 ||
		rte_ring_sp_enqueue_elem(w->shared->name_questions, &question, sizeof(question)) !=
			0) {
		edge_count(&w->shared->names_refused, 1);
		return false;
	}
	name_table_ask(w->names, e);
	e->slot = c->slot;
	w->names_open++;
	w->names_open_of[c->slot]++;
	edge_count(&w->shared->names_asked, 1);
	return true;
}

// ---- What is known

static void match(const struct worker *w, struct name_entry *e)
{
	const struct snapshot *snapshot = w->policy->snapshot;
	const char *name = e->text;

	memset(e->lists, 0, sizeof(e->lists));
	memset(e->own, 0, sizeof(e->own));
	for (uint8_t i = 0; i < e->count; i++) {
		const size_t len = strlen(name);

		snapshot_name_lists(snapshot, w->policy->scratch[w->index],
			(struct slice){(const uint8_t *)name, len}, e->own[i]);
		for (int word = 0; word < NAME_TABLE_WORDS; word++)
			e->lists[word] |= e->own[i][word];
		name += len + 1;
	}
	e->epoch = snapshot->epoch;
}

static void tell(const struct worker *w, struct name_entry *e, struct policy_names *out)
{
	switch ((enum name_status)e->status) {
	case NAME_FAILED:
		out->kind = POLICY_NAMES_UNKNOWN;
		break;
	case NAME_NONE:
		out->kind = POLICY_NAMES_NONE;
		break;
	case NAME_FOUND:
		if (e->epoch != w->policy->snapshot->epoch)
			match(w, e);
		*out = (struct policy_names){POLICY_NAMES_FOUND, e->partial, e->cut, e->lists};
		break;
	}
}

static bool is_alive(const struct worker *w, const struct name_entry *e)
{
	return e->state == NAME_STATE_ANSWERED && e->until_us > w->now_us;
}

bool conn_name_resolve(struct worker *w, struct conn *c, struct policy_names *out)
{
	struct name_entry *e = name_table_take(w->names, client_of(c), is_plain(w, c));

	*out = (struct policy_names){.kind = POLICY_NAMES_UNKNOWN};
	if (e == NULL) {
		edge_count(&w->shared->names_refused, 1);
		return true;
	}
	if (is_alive(w, e)) {
		tell(w, e, out);
		return true;
	}
	if (e->state != NAME_STATE_ASKED && !ask(w, c, e))
		return true;
	c->name_wait = name_table_wait(
		w->names, e, tcp_conn_index(conn_tcp(c)), tcp_conn_generation(conn_tcp(c)));
	return !c->name_wait;
}

void conn_name_forget(struct worker *w, struct conn *c)
{
	if (!c->name_wait)
		return;
	c->name_wait = false;
	// A reload may have changed which of the two it waits for.
	for (unsigned plain = 0; plain < 2; plain++) {
		struct name_entry *e = name_table_find(w->names, client_of(c), plain == 1);

		if (e != NULL)
			name_table_unwait(w->names, e, tcp_conn_index(conn_tcp(c)));
	}
}

// ---- Names as texts

static const struct slice no_name;

static struct name_entry *found(struct worker *w, struct conn *c)
{
	struct name_entry *e = NULL;

	if (w->policy->snapshot->names && c->vserver < w->policy->snapshot->vserver_count)
		e = name_table_find(w->names, client_of(c), is_plain(w, c));
	return e != NULL && is_alive(w, e) && e->status == NAME_FOUND ? e : NULL;
}

static struct slice slice_of(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

struct slice conn_name_for_log(struct worker *w, struct conn *c, uint16_t list)
{
	const struct name_entry *e = found(w, c);
	const char *name;

	if (e == NULL)
		return no_name;
	name = e->text;
	for (uint8_t i = 0; i < e->count && e->epoch == c->epoch; i++) {
		if (e->own[i][list / 64] >> (list % 64) & 1)
			return slice_of(name);
		name += strlen(name) + 1;
	}
	return slice_of(e->text);
}

struct slice conn_name_confirmed(struct worker *w, struct conn *c)
{
	const struct name_entry *e = found(w, c);

	return e == NULL || e->plain ? no_name : slice_of(e->text);
}

// ---- Answers

static void take_answer(struct worker *w, const struct name_answer *answer)
{
	const uint64_t life_s = answer->status == NAME_FAILED ? FAILED_S : answer->ttl_s;
	struct name_entry *e =
		name_table_answer(w->names, answer, w->now_us + life_s * UINT64_C(1000000));
	uint32_t index, generation;

	assert(e != NULL); // each question has one answer, and its entry stays until then
	w->names_open--;
	w->names_open_of[e->slot]--;
	if (answer->status == NAME_FAILED)
		edge_count(&w->shared->names_failed, 1);
	while (name_table_next_waiter(w->names, e, &index, &generation))
		conn_named(w, index, generation);
}

unsigned conn_name_poll(struct worker *w)
{
	struct name_answer answer;
	unsigned n = 0;

	while (n < ANSWERS_A_LOOP &&
		rte_ring_sc_dequeue_elem(w->shared->name_answers, &answer, sizeof(answer)) == 0) {
		take_answer(w, &answer);
		n++;
	}
	return n;
}
