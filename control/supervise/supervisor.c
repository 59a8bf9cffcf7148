#include "supervise/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "supervise/child.h"
#include "supervise/child_link.h"
#include "supervise/config_memfd.h"
#include "tls/certificate.h"

enum {
	EDGE,
	DELIVER,
	LOOKUP,
	CHILDREN,
	CHANNEL_OCTETS = 4 << 20, // of committed messages that may wait between edge and deliver
	RECORDS_A_TURN = 64,      // from one child, so that none keeps the others waiting
};

struct supervisor {
	struct supervisor_options options;
	struct child children[CHILDREN];
	int signals;
	bool announced; // "ready" was printed
	bool stopping, failed;
	bool reload_wanted; // SIGHUP while edge was not there to hear it
	int64_t kill_ms;    // stopping: when patience ends
	int stopped;        // stopping: children before this one have had STOP
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wanted_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGCHLD);
}

void supervisor_block_signals(void)
{
	sigset_t set;

	wanted_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

// A child that does not take a record is dead or stuck; the first shows by itself, the second is nothing we could mend here.
static void tell(const struct child *child, enum child_link_kind kind, int fd)
{
	int status;

	if (child->link < 0)
		return;
	status = child_link_send(child->link, kind, fd);
	if (status < 0)
		fprintf(stderr, "posternd: %s does not take a message: %s\n", child->name,
			strerror(-status));
}

static void tell_config(const struct child *child, int memfd)
{
	int own = config_memfd_reopen(memfd);

	if (own < 0) {
		fprintf(stderr, "posternd: cannot hand the configuration to %s: %s\n", child->name,
			strerror(-own));
		return;
	}
	tell(child, CHILD_LINK_CONFIG, own);
	close(own);
}

// Which children speak with each other, and what each is told about its end.
static const struct {
	int child[2];
	enum child_link_kind kind[2];
} channels[] = {
	{{EDGE, DELIVER}, {CHILD_LINK_CHANNEL, CHILD_LINK_CHANNEL}},
	{{DELIVER, LOOKUP}, {CHILD_LINK_LOOKUP, CHILD_LINK_CHANNEL}},
	{{EDGE, LOOKUP}, {CHILD_LINK_LOOKUP, CHILD_LINK_CHANNEL}},
};

static void connect_two(const struct supervisor *s, size_t which)
{
	const struct child *children[2] = {
		&s->children[channels[which].child[0]], &s->children[channels[which].child[1]]};
	int pair[2], octets = CHANNEL_OCTETS;

	if (children[0]->pid == 0 || children[1]->pid == 0)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		fprintf(stderr, "posternd: no channel between %s and %s: %s\n", children[0]->name,
			children[1]->name, strerror(errno));
		return;
	}
	for (int end = 0; end < 2; end++) {
		if (setsockopt(pair[end], SOL_SOCKET, SO_SNDBUFFORCE, &octets, sizeof(octets)) < 0)
			setsockopt(pair[end], SOL_SOCKET, SO_SNDBUF, &octets, sizeof(octets));
		tell(children[end], channels[which].kind[end], pair[end]);
	}
	close(pair[0]);
	close(pair[1]);
}

// A new pair with everybody it speaks with, since this child is new.
static void connect_child(const struct supervisor *s, int new)
{
	for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
		if (channels[i].child[0] == new || channels[i].child[1] == new)
			connect_two(s, i);
	}
}

static void start(struct supervisor *s, int which)
{
	struct child *child = &s->children[which];
	const struct child_start how = {
		.directory = s->options.directory,
		.config_path = s->options.config_path,
		.config_memfd = s->options.config_memfd,
		.files_memfd = which == EDGE ? s->options.files_memfd : -1,
		.control_socket = which == EDGE ? s->options.control_socket : -1,
		.lock = s->options.lock,
	};
	int status = child_start(child, &how, now_ms());

	if (status == 0) {
		connect_child(s, which);
		return;
	}
	fprintf(stderr, "posternd: cannot start %s: %s\n", child->name, strerror(-status));
	child->restart_ms = now_ms() + CHILD_RESTART_MAX_MS;
}

// Stop in order: edge first, so that deliver can take what edge still commits; lookup last, since both ask it.
static void stop_next(struct supervisor *s)
{
	while (s->stopped < CHILDREN && s->children[s->stopped].pid == 0)
		s->stopped++;
	if (s->stopped == CHILDREN)
		return;
	tell(&s->children[s->stopped], CHILD_LINK_STOP, -1);
	s->kill_ms = now_ms() + SUPERVISOR_STOP_MS;
}

static void stop(struct supervisor *s, const char *why)
{
	if (s->stopping)
		return;
	fprintf(stderr, "posternd: stopping: %s\n", why);
	s->stopping = true;
	stop_next(s);
}

// Edge may not be allowed to read the file any more, so it gets the text with the wish.
static void reload(struct supervisor *s)
{
	int memfd, files;

	if (!s->children[EDGE].ready) {
		s->reload_wanted = true;
		return;
	}
	s->reload_wanted = false;
	memfd = config_memfd_read(s->options.config_path);
	if (memfd < 0) {
		fprintf(stderr, "posternd: %s: cannot read: %s\n", s->options.config_path,
			strerror(-memfd));
		return;
	}
	files = certificate_files_read(s->options.config_path, memfd);
	if (files >= 0)
		tell(&s->children[EDGE], CHILD_LINK_FILES, files);
	tell(&s->children[EDGE], CHILD_LINK_RELOAD, memfd);
	if (files >= 0)
		close(files);
	close(memfd);
}

static bool all_ready(const struct supervisor *s)
{
	for (int i = 0; i < CHILDREN; i++) {
		if (!s->children[i].ready)
			return false;
	}
	return true;
}

static void child_is_ready(struct supervisor *s, struct child *child)
{
	bool before = child->was_ready;

	child->ready = true;
	child->was_ready = true;
	if (before)
		fprintf(stderr, "posternd: %s is back (ready)\n", child->name);
	if (!s->announced && all_ready(s)) {
		s->announced = true;
		fprintf(stderr, "posternd: ready\n");
	}
	if (s->reload_wanted && child == &s->children[EDGE])
		reload(s);
}

static void take_config(struct supervisor *s, const struct child *from, int fd)
{
	if (from != &s->children[EDGE] || fd < 0 || !config_memfd_is_sealed(fd)) {
		fprintf(stderr, "posternd: %s sent a configuration that is not taken\n",
			from->name);
		if (fd >= 0)
			close(fd);
		return;
	}
	close(s->options.config_memfd);
	s->options.config_memfd = fd;
	for (int i = 0; i < CHILDREN; i++) {
		if (i != EDGE && s->children[i].pid != 0)
			tell_config(&s->children[i], fd);
	}
}

// Keys: for the next edge, and for nobody else.
static void take_files(struct supervisor *s, const struct child *from, int fd)
{
	if (from != &s->children[EDGE] || fd < 0 || !config_memfd_is_sealed(fd)) {
		fprintf(stderr, "posternd: %s sent files that are not taken\n", from->name);
		if (fd >= 0)
			close(fd);
		return;
	}
	if (s->options.files_memfd >= 0)
		close(s->options.files_memfd);
	s->options.files_memfd = fd;
}

static void take_record(
	struct supervisor *s, struct child *from, const struct child_link_record *record, int fd)
{
	if (record->kind == CHILD_LINK_CONFIG) {
		take_config(s, from, fd);
		return;
	}
	if (record->kind == CHILD_LINK_FILES) {
		take_files(s, from, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (record->kind == CHILD_LINK_READY && !from->ready)
		child_is_ready(s, from);
	else if (record->kind == CHILD_LINK_STOP && from == &s->children[EDGE])
		stop(s, "asked by posternctl");
}

static void read_link(struct supervisor *s, struct child *child)
{
	struct child_link_record record;
	int fd, status = 0;

	for (int i = 0; i < RECORDS_A_TURN && child->link >= 0; i++) {
		status = child_link_receive(child->link, &record, &fd);
		if (status <= 0)
			break;
		take_record(s, child, &record, fd);
	}
	if (status >= 0)
		return;
	// It closed the link or broke its form: without it there is nothing to steer the child by. Its death is reported by SIGCHLD.
	close(child->link);
	child->link = -1;
	if (child->pid != 0)
		kill(child->pid, SIGKILL);
}

static void child_died(struct supervisor *s, struct child *child, int wait_status)
{
	char why[CHILD_DEATH_TEXT_MAX];
	pid_t pid = child->pid;

	child->pid = 0; // the number may be somebody else's from now on
	// What it said before it died counts.
	if (child->link >= 0)
		read_link(s, child);
	child_death_text(wait_status, why);
	child_ended(child, wait_status, now_ms());
	if (s->stopping) {
		if (wait_status != 0)
			fprintf(stderr, "posternd: %s (pid %d) ended: %s\n", child->name, (int)pid,
				why);
		if (child == &s->children[s->stopped])
			stop_next(s);
		return;
	}
	if (child_is_hopeless(child, wait_status)) {
		fprintf(stderr, "posternd: %s cannot start: %s\n", child->name, why);
		s->failed = true;
		stop(s, "a child cannot start");
		return;
	}
	fprintf(stderr, "posternd: %s (pid %d) died: %s; starting it again in %u ms\n", child->name,
		(int)pid, why, child->delay_ms);
}

static void reap(struct supervisor *s)
{
	int wait_status;
	pid_t pid;

	while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0)
		for (int i = 0; i < CHILDREN; i++)
			if (s->children[i].pid == pid)
				child_died(s, &s->children[i], wait_status);
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM)
			stop(s, "SIGTERM");
		else if (info.ssi_signo == SIGINT)
			stop(s, "SIGINT");
		else if (info.ssi_signo == SIGHUP)
			reload(s);
	}
	// Whichever signal it was: one SIGCHLD may stand for several deaths.
	reap(s);
}

// What is due now; returns milliseconds until the next, -1: nothing.
static int run_due(struct supervisor *s)
{
	int64_t now = now_ms(), next = INT64_MAX;

	if (s->stopping && s->stopped < CHILDREN) {
		const struct child *last = &s->children[s->stopped];

		if (now >= s->kill_ms && last->pid != 0) {
			fprintf(stderr, "posternd: %s does not stop, killing it\n", last->name);
			kill(last->pid, SIGKILL);
			s->kill_ms = now + SUPERVISOR_STOP_MS;
		}
		next = s->kill_ms;
	}
	for (int i = 0; i < CHILDREN && !s->stopping; i++) {
		struct child *child = &s->children[i];

		if (child->pid == 0 && now >= child->restart_ms)
			start(s, i);
		if (child->pid == 0 && child->restart_ms < next)
			next = child->restart_ms;
	}
	if (next == INT64_MAX)
		return -1;
	return next > now ? (int)(next - now) : 0;
}

static bool is_over(const struct supervisor *s)
{
	bool all_gone = true;

	for (int i = 0; i < CHILDREN; i++)
		all_gone = all_gone && s->children[i].pid == 0;
	return s->stopping && all_gone;
}

static void turn(struct supervisor *s)
{
	struct pollfd polled[1 + CHILDREN] = {{s->signals, POLLIN, 0}};
	int wait_ms = run_due(s);

	for (int i = 0; i < CHILDREN; i++)
		polled[1 + i] = (struct pollfd){s->children[i].link, POLLIN, 0};
	if (poll(polled, 1 + CHILDREN, wait_ms) < 0 && errno != EINTR) {
		fprintf(stderr, "posternd: poll: %s\n", strerror(errno));
		s->failed = true;
		stop(s, "poll failed");
	}
	for (int i = 0; i < CHILDREN; i++)
		if (polled[1 + i].revents != 0)
			read_link(s, &s->children[i]);
	if (polled[0].revents != 0)
		read_signals(s);
}

int supervisor_run(const struct supervisor_options *options)
{
	struct supervisor s = {
		.options = *options,
		.children = {{.name = "postern-edge", .link = -1},
			{.name = "postern-deliver", .link = -1},
			{.name = "postern-lookup", .link = -1}},
	};
	sigset_t set;

	supervisor_block_signals();
	wanted_signals(&set);
	s.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s.signals < 0) {
		fprintf(stderr, "posternd: signalfd: %s\n", strerror(errno));
		return 1;
	}
	while (!is_over(&s))
		turn(&s);
	close(s.signals);
	close(s.options.config_memfd);
	if (!s.failed)
		fprintf(stderr, "posternd: stopped\n");
	return s.failed ? 1 : 0;
}
