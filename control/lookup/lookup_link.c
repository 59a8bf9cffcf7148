#include "lookup/lookup_link.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TICK_MS = 1000,
};

struct pending {
	lookup_link_fn *fn; // NULL: free
	void *user;
	uint64_t token, due_ms;   // due_ms 0: at the next tick
	enum lookup_status early; // for a question that was not sent
};

struct lookup_link {
	uv_loop_t *loop;
	uv_poll_t *poll; // NULL: nobody is there
	uv_timer_t tick, soon;
	int fd;
	uint64_t tokens; // given out
	uint32_t open;
	struct pending pending[LOOKUP_LINK_OPEN];
};

static void answer_pending(
	struct lookup_link *link, struct pending *p, const struct lookup_answer *answer)
{
	const struct pending was = *p;

	p->fn = NULL;
	link->open--;
	was.fn(was.user, answer);
}

static void answer_early(struct lookup_link *link, struct pending *p, enum lookup_status status)
{
	const struct lookup_answer answer = {.status = status, .token = p->token};

	answer_pending(link, p, &answer);
}

static void on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

static void detach(struct lookup_link *link)
{
	if (link->poll == NULL)
		return;
	(void)uv_poll_stop(link->poll);
	uv_close((uv_handle_t *)link->poll, on_poll_closed);
	link->poll = NULL;
	close(link->fd);
	for (uint32_t i = 0; i < LOOKUP_LINK_OPEN; i++) {
		if (link->pending[i].fn != NULL)
			answer_early(link, &link->pending[i], LOOKUP_DEFER);
	}
}

static void on_answer(struct lookup_link *link, const struct lookup_answer *answer)
{
	struct pending *p = &link->pending[answer->token % LOOKUP_LINK_OPEN];

	// A late one is for a question that was given up.
	if (p->fn != NULL && p->token == answer->token && answer->count <= LOOKUP_ITEMS)
		answer_pending(link, p, answer);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct lookup_link *link = poll->data;

	(void)events;
	while (link->poll == poll) {
		struct lookup_answer answer;
		const ssize_t n = recv(link->fd, &answer, sizeof(answer), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR) && status == 0)
			return;
		if (n != (ssize_t)sizeof(answer)) {
			detach(link);
			return;
		}
		on_answer(link, &answer);
	}
}

// Questions that were not sent, and those whose time is over.
static void on_tick(uv_timer_t *timer)
{
	struct lookup_link *link = timer->data;

	for (uint32_t i = 0; i < LOOKUP_LINK_OPEN && link->open > 0; i++) {
		struct pending *p = &link->pending[i];

		if (p->fn != NULL && p->due_ms <= uv_now(link->loop))
			answer_early(link, p, p->early);
	}
}

struct lookup_link *lookup_link_new(uv_loop_t *loop)
{
	struct lookup_link *link = calloc(1, sizeof(*link));

	assert(link != NULL);
	link->loop = loop;
	link->tick.data = link->soon.data = link;
	(void)uv_timer_init(loop, &link->tick);
	(void)uv_timer_init(loop, &link->soon);
	(void)uv_timer_start(&link->tick, on_tick, TICK_MS, TICK_MS);
	return link;
}

void lookup_link_attach(struct lookup_link *link, int fd)
{
	uv_poll_t *poll = calloc(1, sizeof(*poll));

	assert(poll != NULL);
	detach(link);
	if (uv_poll_init(link->loop, poll, fd) != 0) {
		free(poll);
		close(fd);
		return;
	}
	poll->data = link;
	link->poll = poll;
	link->fd = fd;
	(void)uv_poll_start(poll, UV_READABLE, on_readable);
}

static bool send_question(const struct lookup_link *link, const struct lookup_question *q)
{
	return link->poll != NULL &&
	       send(link->fd, q, sizeof(*q), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*q);
}

// The place of the next token that is free: old questions may hold others.
static struct pending *take_place(struct lookup_link *link)
{
	for (uint32_t i = 0; i < LOOKUP_LINK_OPEN; i++) {
		struct pending *p = &link->pending[++link->tokens % LOOKUP_LINK_OPEN];

		if (p->fn == NULL)
			return p;
	}
	return NULL;
}

// NULL: too many are open.
static struct pending *add_pending(struct lookup_link *link, lookup_link_fn *fn, void *user)
{
	struct pending *p = take_place(link);

	if (p == NULL)
		return NULL;
	link->open++;
	*p = (struct pending){.fn = fn, .user = user, .token = link->tokens, .early = LOOKUP_DEFER};
	return p;
}

static void set_out(struct lookup_link *link, struct pending *p, struct lookup_question *q)
{
	q->token = p->token;
	if (send_question(link, q))
		p->due_ms = uv_now(link->loop) + LOOKUP_ANSWER_S * UINT64_C(1000);
}

bool lookup_link_ask(struct lookup_link *link, enum lookup_kind kind, const char *name,
	lookup_link_fn *fn, void *user)
{
	struct pending *p = add_pending(link, fn, user);
	struct lookup_question q = {.kind = kind};
	const size_t len = strlen(name);

	if (p == NULL)
		return false;
	if (len >= LOOKUP_NAME_OCTETS) {
		p->early = LOOKUP_NONE;
	} else {
		memcpy(q.name, name, len + 1);
		set_out(link, p, &q);
	}
	if (p->due_ms == 0)
		(void)uv_timer_start(&link->soon, on_tick, 0, 0);
	return true;
}

bool lookup_link_ask_client(struct lookup_link *link, enum lookup_kind kind,
	const struct ip_addr *address, lookup_link_fn *fn, void *user)
{
	struct pending *p = add_pending(link, fn, user);
	struct lookup_question q = {.kind = kind, .address = *address};

	if (p == NULL)
		return false;
	set_out(link, p, &q);
	if (p->due_ms == 0)
		(void)uv_timer_start(&link->soon, on_tick, 0, 0);
	return true;
}
