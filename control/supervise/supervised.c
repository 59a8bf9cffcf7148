#include "supervise/supervised.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "supervise/privileges.h"

enum {
	WORK_NICE = 19,
	RECORDS_A_TURN = 64,
};

// user: the name of the process.
static void print_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	fprintf(stderr, "%s: %s:%u:%u: %s\n", (const char *)user, path, pos.line, pos.column,
		message);
}

static char *name_of(const char *name)
{
	return strdup(name); // a config_mistake_fn takes no const
}

// ---- Start

struct config *supervised_config(const char *name, const char *help, int argc, char **argv)
{
	struct config *config;
	char *user;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(help, stdout);
		exit(0);
	}
	if (argc != 2 || argv[1][0] == '-') {
		fputs(help, stderr);
		exit(2);
	}
	if (fcntl(CHILD_LINK_FD, F_GETFD) < 0) {
		fprintf(stderr, "%s: there is no supervisor: start posternd instead\n", name);
		exit(1);
	}
	user = name_of(name);
	config = config_load(argv[1], CHILD_CONFIG_FD, print_mistake, user);
	free(user);
	if (config == NULL)
		exit(1);
	return config;
}

void supervised_settle(const char *name, const struct config *config)
{
	int status = privileges_settle(config->control_user);

	if (status != 0)
		fprintf(stderr, "%s: cannot become user %s (control.user): %s\n", name,
			config->control_user, strerror(-status));
	else if (fcntl(CHILD_LINK_FD, F_SETFL, O_NONBLOCK) != 0)
		status = -1;
	if (status != 0)
		exit(1);
}

// ---- Another configuration

static void read_next(struct supervised *s);

static void on_work(uv_work_t *work)
{
	struct supervised *s = work->data;
	char *name = name_of(s->name);

	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), WORK_NICE);
	s->read = config_load(s->config_path, s->text_fd, print_mistake, name);
	free(name);
}

static void on_worked(uv_work_t *work, int status)
{
	struct supervised *s = work->data;

	assert(status == 0); // nobody cancels it
	close(s->text_fd);
	s->text_fd = -1;
	if (s->read != NULL)
		s->events.config(s->events.user, s->read);
	else
		fprintf(stderr, "%s: the new configuration is bad, the old one stays\n", s->name);
	s->read = NULL;
	read_next(s);
}

static void read_next(struct supervised *s)
{
	if (s->text_fd >= 0 || s->waiting_fd < 0)
		return;
	s->text_fd = s->waiting_fd;
	s->waiting_fd = -1;
	s->work.data = s;
	const int queued = uv_queue_work(s->loop, &s->work, on_work, on_worked);

	assert(queued == 0); // fails without a callback only
}

// The newest of those that wait is the one that runs.
static void take_config(struct supervised *s, int fd)
{
	if (s->waiting_fd >= 0)
		close(s->waiting_fd);
	s->waiting_fd = fd;
	read_next(s);
}

// ---- The link

static void on_link(uv_poll_t *poll, int status, int events)
{
	struct supervised *s = poll->data;
	struct child_link_record record;
	int fd = -1, got = status < 0 ? -1 : 1;

	(void)events;
	for (int i = 0; i < RECORDS_A_TURN && got > 0; i++) {
		got = child_link_receive(CHILD_LINK_FD, &record, &fd);
		if (got <= 0)
			break;
		if (record.kind == CHILD_LINK_CONFIG && fd >= 0 && s->events.config != NULL)
			take_config(s, fd);
		else
			s->events.record(s->events.user, (enum child_link_kind)record.kind, fd);
	}
	if (got < 0)
		_exit(1); // nothing acknowledged is lost by ending at once
}

bool supervised_listen(
	struct supervised *s, uv_loop_t *loop, const struct supervised_events *events)
{
	s->events = *events;
	s->loop = loop;
	s->text_fd = s->waiting_fd = -1;
	if (uv_poll_init(loop, &s->poll, CHILD_LINK_FD) != 0)
		return false;
	s->poll.data = s;
	return uv_poll_start(&s->poll, UV_READABLE, on_link) == 0;
}
