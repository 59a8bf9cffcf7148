#include "lookup/lookup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lookup/ask.h"
#include "lookup/unbound.h"
#include "supervise/child_link.h"

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
	const struct config *config;
	const char *config_path;
	struct unbound *unbound;
	uv_poll_t supervisor;
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

static void configure(struct lookup *l, int fd)
{
	struct config *config = config_load(l->config_path, fd, NULL, NULL);
	struct unbound *unbound = config == NULL ? NULL : unbound_start(l->loop, config);

	if (unbound == NULL) {
		fprintf(stderr,
			"postern-lookup: the new configuration is not taken, the old one stays\n");
		return;
	}
	// What is open with the old one fails and is deferred.
	unbound_stop(l->unbound);
	l->unbound = unbound;
	l->config = config;
}

static void on_supervisor_record(struct lookup *l, const struct child_link_record *record, int fd)
{
	if (record->kind == CHILD_LINK_CHANNEL && fd >= 0) {
		link_add(l, fd);
		return;
	}
	if (record->kind == CHILD_LINK_CONFIG && fd >= 0)
		configure(l, fd);
	if (fd >= 0)
		close(fd);
	if (record->kind == CHILD_LINK_STOP)
		_exit(0); // who asks now gets no answer, which is DEFER
}

static void on_supervisor(uv_poll_t *poll, int status, int events)
{
	struct lookup *l = poll->data;
	struct child_link_record record;
	int fd, n;

	(void)events;
	while (status == 0 && (n = child_link_receive(CHILD_LINK_FD, &record, &fd)) != 0) {
		if (n < 0)
			_exit(1);
		on_supervisor_record(l, &record, fd);
	}
	if (status < 0)
		_exit(1);
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

struct lookup *lookup_start(uv_loop_t *loop, const struct config *config, const char *config_path)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->loop = loop;
	l->config = config;
	l->config_path = config_path;
	init_tables(l);
	l->unbound = unbound_start(loop, config);
	if (l->unbound == NULL || uv_poll_init(loop, &l->supervisor, CHILD_LINK_FD) != 0) {
		free(l);
		return NULL;
	}
	l->supervisor.data = l->tick.data = l;
	(void)uv_poll_start(&l->supervisor, UV_READABLE, on_supervisor);
	(void)uv_timer_init(loop, &l->tick);
	(void)uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
	return l;
}
