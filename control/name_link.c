#include "control/name_link.h"

#include <assert.h>
#include <rte_ring_elem.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/name_record.h"
#include "lookup/lookup_link.h"

enum {
	QUESTIONS_A_TURN = 256, // of one worker
};

_Static_assert(
	(int)LIMIT_NAME_QUESTIONS <= (int)LOOKUP_LINK_OPEN, "whatever the workers ask has a place");

struct asked {
	struct name_link *link;
	struct edge_worker *worker;
	struct name_question question;
	struct asked *next; // free ones
};

struct name_link {
	struct edge *edge;
	struct lookup_link *lookup;
	struct asked *free;
	struct asked asked[LIMIT_NAME_QUESTIONS];
};

static void give(struct edge_worker *worker, struct name_answer *answer)
{
	// The ring has a place for each question a worker may have open.
	if (rte_ring_sp_enqueue_elem(worker->name_answers, answer, sizeof(*answer)) != 0)
		abort();
}

static void give_failed(struct edge_worker *worker, const struct name_question *q)
{
	struct name_answer answer = {.entry = q->entry, .serial = q->serial, .status = NAME_FAILED};

	give(worker, &answer);
}

// What does not fit is cut, which a list of exceptions hears of.
static void pack(struct name_answer *out, const struct lookup_answer *in)
{
	size_t used = 0;

	for (uint16_t i = 0; i < in->count && i < LOOKUP_ITEMS; i++) {
		const size_t len = strnlen(in->items[i].name, LOOKUP_NAME_OCTETS - 1);

		if (out->count == NAME_RECORD_NAMES || used + len + 1 > sizeof(out->text)) {
			out->cut = 1;
			return;
		}
		memcpy(out->text + used, in->items[i].name, len);
		out->text[used + len] = '\0';
		used += len + 1;
		out->count++;
	}
}

static void on_answer(void *user, const struct lookup_answer *in)
{
	struct asked *asked = user;
	struct name_answer out = {.entry = asked->question.entry,
		.serial = asked->question.serial,
		.ttl_s = in->ttl_s,
		.status = NAME_FAILED};

	if (in->status == LOOKUP_NONE)
		out.status = NAME_NONE;
	if (in->status == LOOKUP_FOUND && in->count > 0) {
		out.status = NAME_FOUND;
		out.partial = in->partial;
		out.cut = in->cut;
		pack(&out, in);
	}
	give(asked->worker, &out);
	asked->next = asked->link->free;
	asked->link->free = asked;
}

static void ask(struct name_link *link, struct edge_worker *worker, const struct name_question *q)
{
	struct asked *asked = link->free;

	if (asked == NULL) {
		give_failed(worker, q);
		return;
	}
	link->free = asked->next;
	asked->worker = worker;
	asked->question = *q;
	if (lookup_link_ask_client(link->lookup, q->plain ? LOOKUP_POINTER : LOOKUP_CLIENT,
		    &q->address, on_answer, asked))
		return;
	asked->next = link->free;
	link->free = asked;
	give_failed(worker, q);
}

void name_link_poll(struct name_link *link)
{
	struct name_question q;

	for (unsigned i = 0; i < link->edge->worker_count; i++) {
		struct edge_worker *worker = link->edge->workers[i];

		for (int n = 0;
			n < QUESTIONS_A_TURN &&
			rte_ring_sc_dequeue_elem(worker->name_questions, &q, sizeof(q)) == 0;
			n++)
			ask(link, worker, &q);
	}
}

void name_link_attach(struct name_link *link, int fd)
{
	lookup_link_attach(link->lookup, fd);
}

struct name_link *name_link_new(uv_loop_t *loop, struct edge *edge)
{
	struct name_link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return NULL;
	link->edge = edge;
	link->lookup = lookup_link_new(loop);
	for (int i = 0; i < LIMIT_NAME_QUESTIONS; i++) {
		link->asked[i].link = link;
		link->asked[i].next = link->free;
		link->free = &link->asked[i];
	}
	return link;
}
