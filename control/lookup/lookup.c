#include "lookup/lookup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lookup/ask.h"
#include "lookup/unbound.h"
#include "supervise/supervised.h"

enum {
	GIVE_UP_MS = (LOOKUP_ANSWER_S - 2) * 1000,
	TICK_MS = 500,
	READ_A_TURN = 64, // from one link, so that none keeps the others waiting
};

#define NONE UINT32_MAX // no place in the table of open questions

struct link {
	uv_poll_t *poll; // libuv frees it in its own time
	struct lookup *lookup;
	int fd; // -1: free
	uint32_t generation;
};

struct open_question {
	struct lookup *lookup;
	struct ask *ask;
	uint32_t link, generation;
	uint32_t next; // free ones; in use: the next younger
	uint32_t previous;
	uint64_t due_ms;
};

struct lookup {
	uv_loop_t *loop;
	struct config *config;
	struct unbound *unbound;
	uv_timer_t tick;
	struct link links[LOOKUP_LINKS];
	struct open_question open[LOOKUP_OPEN];
	uint32_t free_first, oldest, youngest;
};

// ---- Open questions, in the order of their time

static struct open_question *open_take(struct lookup *l)
{
	struct open_question *q;

	if (l->free_first == NONE)
		return NULL;
	const uint32_t index = l->free_first;

	q = &l->open[index];
	l->free_first = q->next;
	q->next = NONE;
	q->previous = l->youngest;
	if (l->youngest != NONE)
		l->open[l->youngest].next = index;
	else
		l->oldest = index;
	l->youngest = index;
	return q;
}

static void open_give_back(struct open_question *q)
{
	struct lookup *l = q->lookup;
	const uint32_t index = (uint32_t)(q - l->open);

	*(q->previous != NONE ? &l->open[q->previous].next : &l->oldest) = q->next;
	*(q->next != NONE ? &l->open[q->next].previous : &l->youngest) = q->previous;
	q->next = l->free_first;
	l->free_first = index;
}

// ---- Links

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void link_close(struct link *link)
{
	(void)uv_poll_stop(link->poll);
	uv_close((uv_handle_t *)link->poll, on_poll_closed);
	close(link->fd);
	link->fd = -1;
	link->generation++;
}

// An asker that does not read its answers loses them; it takes the silence for DEFER.
static void send_answer(
	struct lookup *l, uint32_t index, uint32_t generation, const struct lookup_answer *answer)
{
	const struct link *link = &l->links[index];

	if (link->fd < 0 || link->generation != generation)
		return;
	if (send(link->fd, answer, sizeof(*answer), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		errno != EAGAIN)
		fprintf(stderr, "postern-lookup: an answer is lost: errno %d\n", errno);
}

static void on_answered(void *user, const struct lookup_answer *answer)
{
	struct open_question *q = user;

	send_answer(q->lookup, q->link, q->generation, answer);
	open_give_back(q);
}

static void defer_at_once(struct link *link, const struct lookup_question *question)
{
	const struct lookup_answer answer = {
		.kind = question->kind, .status = LOOKUP_DEFER, .token = question->token};

	send_answer(
		link->lookup, (uint32_t)(link - link->lookup->links), link->generation, &answer);
}

static void begin(struct link *link, const struct lookup_question *question)
{
	struct lookup *l = link->lookup;
	struct open_question *q = open_take(l);
	uint32_t random = 0;

	if (q == NULL) {
		defer_at_once(link, question);
		return;
	}
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	q->lookup = l;
	q->link = (uint32_t)(link - l->links);
	q->generation = link->generation;
	q->due_ms = uv_now(l->loop) + GIVE_UP_MS;
	const struct ask_owner owner = {unbound_resolver(l->unbound), on_answered, q};

	q->ask = ask_start(&owner, question, random);
	if (q->ask == NULL) {
		open_give_back(q);
		defer_at_once(link, question);
	}
}

static void on_link(uv_poll_t *poll, int status, int events)
{
	struct link *link = poll->data;

	(void)events;
	for (int i = 0; i < READ_A_TURN && link->fd >= 0; i++) {
		struct lookup_question question;
		const ssize_t n =
			recv(link->fd, &question, sizeof(question), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR) && status == 0)
			return;
		if (n != (ssize_t)sizeof(question) || !ask_is_valid(&question)) {
			if (n > 0)
				fprintf(stderr, "postern-lookup: a question without form; its link "
						"is closed\n");
			link_close(link);
			return;
		}
		begin(link, &question);
	}
}

static bool link_open(struct link *link, int fd)
{
	link->poll = calloc(1, sizeof(*link->poll));
	if (link->poll == NULL || uv_poll_init(link->lookup->loop, link->poll, fd) != 0) {
		free(link->poll);
		return false;
	}
	link->fd = fd;
	link->poll->data = link;
	(void)uv_poll_start(link->poll, UV_READABLE, on_link);
	return true;
}

static void link_add(struct lookup *l, int fd)
{
	for (uint32_t i = 0; i < LOOKUP_LINKS; i++) {
		l->links[i].lookup = l;
		if (l->links[i].fd < 0 && link_open(&l->links[i], fd))
			return;
	}
	fprintf(stderr, "postern-lookup: no room for another asker\n");
	close(fd);
}

// ---- Time

static void on_tick(uv_timer_t *timer)
{
	struct lookup *l = timer->data;

	while (l->oldest != NONE && l->open[l->oldest].due_ms <= uv_now(l->loop))
		ask_give_up(l->open[l->oldest].ask);
}

// ---- The supervisor

static bool is_same_dns(const struct config_dns *a, const struct config_dns *b)
{
	const char *anchor_a = a->trust_anchor != NULL ? a->trust_anchor : "";
	const char *anchor_b = b->trust_anchor != NULL ? b->trust_anchor : "";

	for (uint32_t i = 0; i < a->server_count && i < b->server_count; i++) {
		if (a->servers[i].port != b->servers[i].port ||
			!ip_addr_eq(&a->servers[i].addr, &b->servers[i].addr))
			return false;
	}
	return a->server_count == b->server_count && strcmp(anchor_a, anchor_b) == 0;
}

// What is open with the old resolver fails and is deferred, so the same servers keep theirs, and its cache.
static void on_config(void *user, struct config *config)
{
	struct lookup *l = user;
	struct unbound *unbound = NULL;

	if (!is_same_dns(&l->config->dns, &config->dns)) {
		unbound = unbound_start(l->loop, config);
		if (unbound == NULL) {
			fprintf(stderr, "postern-lookup: the new dns is not taken, the old one "
					"stays\n");
			config_free(config);
			return;
		}
		unbound_stop(l->unbound);
		l->unbound = unbound;
	}
	config_free(l->config);
	l->config = config;
}

static void on_supervisor(void *user, enum child_link_kind kind, int fd)
{
	struct lookup *l = user;

	if (kind == CHILD_LINK_CHANNEL && fd >= 0) {
		link_add(l, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (kind == CHILD_LINK_STOP)
		_exit(0); // who asks now gets no answer, which is DEFER
}

// ---- Start

static void init_tables(struct lookup *l)
{
	for (uint32_t i = 0; i < LOOKUP_OPEN; i++)
		l->open[i].next = i + 1 < LOOKUP_OPEN ? i + 1 : NONE;
	l->free_first = 0;
	l->oldest = l->youngest = NONE;
	for (uint32_t i = 0; i < LOOKUP_LINKS; i++)
		l->links[i].fd = -1;
}

struct lookup *lookup_start(uv_loop_t *loop, struct config *config, struct supervised *supervised)
{
	struct lookup *l = calloc(1, sizeof(*l));
	const struct supervised_events events = {on_supervisor, on_config, l};

	if (l == NULL)
		return NULL;
	l->loop = loop;
	l->config = config;
	init_tables(l);
	l->unbound = unbound_start(loop, config);
	if (l->unbound == NULL || !supervised_listen(supervised, loop, &events)) {
		free(l);
		return NULL;
	}
	l->tick.data = l;
	(void)uv_timer_init(loop, &l->tick);
	(void)uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
	return l;
}
